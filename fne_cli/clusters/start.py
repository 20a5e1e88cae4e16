"""Bringing a Dask cluster up, or finding one, and taking down again what was brought up."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dask.config
from dask.utils import parse_timedelta
from distributed import Client, Nanny, Scheduler, SpecCluster
from distributed.comm import get_address_host_port
from distributed.core import rpc
from distributed.security import Security

from fne_cli.clusters.spec import PRELOAD, RESOURCE, Spec, visible_gpus
from fne_cli.errors import BadInput, FneError
from fne_cli.progress import Progress

_PATIENCE = 2.0  # seconds without an answer, after which people are told


class Lost(FneError):
    """The scheduler cannot be reached, or no longer."""


@contextmanager
def client_of(spec: Spec, progress: Progress) -> Iterator[tuple[Client, Any]]:
    """A client, and the cluster behind it if it is ours to scale and to close. Raises Lost, BadInput."""
    with ExitStack() as stack:
        stack.enter_context(_logs_told(progress))
        cluster: Any = None
        if spec.kind == "local":
            cluster = stack.enter_context(_local(spec))
        elif spec.kind == "slurm":
            from fne_cli.clusters.slurm import slurm_cluster

            cluster = stack.enter_context(slurm_cluster(spec))
        address = cluster.scheduler_address if cluster is not None else spec.address
        try:
            if cluster is None:
                _knock(address, progress)
            client = stack.enter_context(Client(address, set_as_default=False, name="fne"))
        except (OSError, ValueError) as error:
            raise Lost(
                f"{address} should be a Dask scheduler. Found: {_brief(error)}.\n"
                "Start one (dask scheduler), or give --cluster local:N."
            ) from error
        progress.note(f"Dask's dashboard: {client.dashboard_link}{_without_bokeh()}")
        yield client, cluster


def _knock(address: str, progress: Progress) -> None:
    """Ask who is there, before a client does: it waits for ever if what answers does not speak Dask's protocol.

    A scheduler that is just being started is waited for. Raises OSError or ValueError.
    """

    async def ask() -> Any:
        waiting = f"waiting up to {seconds:.0f} s for the Dask scheduler {address}"
        note = asyncio.get_running_loop().call_later(_PATIENCE, progress.note, waiting)
        try:
            return await asyncio.wait_for(identity(), seconds + 0.5)  # Dask says more of those it cannot reach
        finally:
            note.cancel()

    async def identity() -> Any:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
            return await scheduler.identity(n_workers=0)

    seconds = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
    socket.getaddrinfo(*get_address_host_port(address))  # at once, where Dask would try again and again
    try:
        found = asyncio.run(ask())
    except TimeoutError as error:
        raise OSError(f"no answer as a scheduler gives it in {seconds:.0f} s") from error
    except (MemoryError, AttributeError, TypeError) as error:  # Dask takes the bytes of another protocol for lengths
        raise OSError("an answer that is not Dask's") from error
    if found.get("type") != "Scheduler":
        raise OSError(f"a {found.get('type')} of Dask")


def _local(spec: Spec) -> SpecCluster:
    """Worker processes on this machine, each with its share of the cores and a GPU of its own, if there are any.

    Dask's nannies restart a worker that dies. They have no say over its memory: what a worker holds is bounded by its
    batch size, Dask cannot spill it, and a worker paused or killed for its memory would look like a lost one.
    """
    threads = threads_of(spec)
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "TF_INTRAOP", "TF_INTEROP")
    share = {
        (f"TF_NUM_{name[3:]}_THREADS" if name[:3] == "TF_" else f"{name}_NUM_THREADS"): str(threads) for name in names
    }
    preload = [*dask.config.get("distributed.worker.preload", []), PRELOAD]
    gpus = visible_gpus()
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                "host": "127.0.0.1",
                "nthreads": 1,
                "memory_limit": 0,
                "resources": {RESOURCE: 1},
                "dashboard": False,
                "preload": preload,
                "silence_logs": logging.CRITICAL,
                "env": share | ({"CUDA_VISIBLE_DEVICES": gpus[number]} if gpus else {}),
            },
        }
        for number in range(spec.workers)
    }
    options = {"host": "127.0.0.1", "port": 0, "dashboard": True, "dashboard_address": "127.0.0.1:0"}
    try:
        return SpecCluster(workers=workers, scheduler={"cls": Scheduler, "options": options}, name="fne")
    except RuntimeError as error:  # Dask does not say why
        raise BadInput(
            f"--cluster local:{spec.workers} should start as many processes. Found: one that ended ({_brief(error)}).\n"
            "Is there memory for them? Try fewer, or again."
        ) from error


def threads_of(spec: Spec) -> int:
    """A local worker's share of the cores."""
    return spec.threads or max(1, len(os.sched_getaffinity(0)) // spec.workers)


def resources_of(workers: dict[str, Any]) -> dict[str, int]:
    """How many tasks each worker may do at a time. Raises BadInput for a worker that does not say so."""
    slots = {address: int(info["resources"].get(RESOURCE, 0)) for address, info in workers.items()}
    for address, count in slots.items():
        if not count:
            raise BadInput(
                f"The worker {address} should have the resource {RESOURCE}, so that it gets one task at a time. Found: "
                f"none.\nStart workers with: dask worker SCHEDULER --nthreads 1 --resources {RESOURCE}=1 "
                f"--memory-limit 0 --preload {PRELOAD}"
            )
    return slots


def _without_bokeh() -> str:
    from importlib.util import find_spec

    return "" if find_spec("bokeh") else " (its pages need bokeh: pip install bokeh)"


def _brief(error: Exception) -> str:
    return str(error).split("\n", 1)[0] or type(error).__name__


@contextmanager
def _logs_told(progress: Progress) -> Iterator[None]:
    """Have Dask's log messages shown to whoever asked for more, not to everybody."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                progress.detail(f"Dask: {record.getMessage()}")

    tops = ("distributed", "tornado", "asyncio", "dask_jobqueue")
    known = [logging.getLogger(name) for name in [*tops, *logging.root.manager.loggerDict]]
    # also those below with handlers of their own, as Dask gives to distributed.client
    loggers = [one for one in known if one.name in tops or (one.name.split(".")[0] in tops and one.handlers)]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [Teller()], False
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
