"""The workers that a word on the command line names, as a step takes them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fne_cli.clusters.parsing import parse
from fne_cli.errors import BadInput
from fne_cli.progress import Progress
from fne_cli.tasks.engine import Cluster


def named(spec: str, progress: Progress, enter: Callable[[AbstractContextManager[Any]], Any]) -> Cluster:
    """The cluster that SPEC of --cluster names. `enter` keeps a context open until the command ends.

    The workers come when the first step has work for them, and stay for all that the command does. Raises WrongOptions
    for a word that names no cluster, BadInput for a cluster.toml that will not do, or without Dask.
    """
    wanted = parse(spec)
    check_dask()

    @functools.cache
    def engine() -> Any:
        from fne_cli.clusters.engine import DaskEngine

        return enter(DaskEngine.open(wanted, progress))

    return Cluster(lambda: nullcontext(engine()), wanted.workers if wanted.kind == "local" else 1)


def check_dask() -> None:
    """Raise BadInput where Dask is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise BadInput("--cluster needs Dask. Found: none. pip install 'fne-cli[dask]'")
