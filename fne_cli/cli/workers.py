"""--cluster of the commands that many machines may share, and the workers that it names."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import click

from fne_cli.cli.console import Console
from fne_cli.errors import BadInput


def option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cluster."""
    return click.option(
        "--cluster",
        metavar="SPEC",
        help="Share the work: local:4 (processes here), tcp://HOST:8786 (a Dask scheduler), slurm, or a cluster.toml.",
    )(function)


def here(spec: str | None) -> int:
    """How many processes of this machine work at a time: its own workers, or this one. Raises as `of`."""
    if spec is None:
        return 1
    from fne_cli.clusters.spec import Spec

    wanted = Spec.parse(spec)
    return wanted.workers if wanted.kind == "local" else 1


def of(spec: str | None, console: Console) -> Callable[[], Any] | None:
    """What a step calls when it has work for the cluster that --cluster names; None without one.

    The workers come with the first call and stay until the command ends, for all that it does. Raises WrongOptions for
    a word that names no cluster, BadInput for a cluster.toml that will not do, or without Dask.
    """
    if spec is None:
        return None
    from fne_cli.clusters.spec import Spec

    wanted = Spec.parse(spec)
    if importlib.util.find_spec("distributed") is None:
        raise BadInput("--cluster needs Dask. Found: none. pip install 'fne-cli[dask]'")

    context = click.get_current_context()

    @functools.cache
    def engine() -> Any:
        from fne_cli.clusters.engine import Engine

        return context.with_resource(Engine.open(wanted, console))

    return lambda: nullcontext(engine())
