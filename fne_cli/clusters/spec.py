"""Where workers are and how many: processes here, a running Dask scheduler, or jobs of a batch system."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fne_cli.errors import BadInput, WrongOptions

Kind = Literal["local", "tcp", "slurm"]

RESOURCE = "fne"
"""Each worker has one of it and each task needs one: one task at a time."""

PRELOAD = "fne_cli.clusters.worker"


@dataclass(frozen=True)
class Spec:
    """Where the workers are, and how many: at least `workers`, at most `most` (where we start them).

    threads: of a local worker, 0 for its share of the cores. jobs: how a batch system starts one (see jobs.py).
    """

    kind: Kind
    workers: int = 1
    most: int = 1
    address: str = ""
    threads: int = 0
    jobs: Mapping[str, Any] = field(default_factory=dict)


def running(address: str, what: str = "--cluster") -> Spec:
    """A scheduler that somebody else has started; `what` names who says where. Raises WrongOptions."""
    match = re.fullmatch(r"(?:tcp|tls)://(?:[\w.-]+|\[[0-9a-fA-F:.%]+\]):(\d{1,5})", address, re.ASCII)
    if not match or not 1 <= int(match[1]) <= 65535:
        raise WrongOptions(
            f"{what} should be tcp://HOST:PORT of a running Dask scheduler, with a port of 1 to 65535. Found: "
            f"{reprlib.repr(address)}."
        )
    return Spec("tcp", address=address)


def local(workers: int | None = None, threads: int = 0) -> Spec:
    """Worker processes on this machine: one for each GPU, else one for every four cores."""
    gpus = visible_gpus()
    count = workers or len(gpus) or max(1, len(os.sched_getaffinity(0)) // 4)
    if gpus and count > len(gpus):
        raise BadInput(
            f"--cluster local:{count} should have at most one worker for each GPU. Found: {len(gpus)} GPUs.\n"
            f"Give local:{len(gpus)}, or set CUDA_VISIBLE_DEVICES= to compute on the processor."
        )
    return Spec("local", count, count, threads=threads)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() and name.strip() != "-1"]
    found = [re.fullmatch(r"nvidia(\d+)", name) for name in os.listdir("/dev")]
    return sorted((match[1] for match in found if match), key=int)
