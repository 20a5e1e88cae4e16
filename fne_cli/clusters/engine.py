"""Tasks on a Dask cluster, kept going whatever dies.

    with DaskEngine.open("local:4", progress) as engine:
        for index, result in engine.run("extract", [{...}, {...}]):
            ...

A task is the name of a function (worker.FUNCTIONS) and plain settings; its result is plain, too. Nothing else travels.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from fne_cli.clusters.parsing import parse
from fne_cli.clusters.pool import WorkerPool
from fne_cli.clusters.run import TaskRun
from fne_cli.clusters.spec import Spec
from fne_cli.clusters.start import client_of, threads_of
from fne_cli.progress import SILENT, Progress


class DaskEngine:
    """A cluster that is there for as long as the context is open; as tasks.engine.Engine has it."""

    def __init__(self, pool: WorkerPool, spec: Spec, progress: Progress) -> None:
        self._pool, self._spec, self._progress = pool, spec, progress

    @classmethod
    @contextmanager
    def open(cls, spec: str | Spec, progress: Progress = SILENT) -> Iterator[Self]:
        """Start or find the workers, wait for the first, and compare its software with ours.

        Raises BadInput for a specification or software that will not do, Lost if there is no scheduler.
        """
        wanted = parse(spec) if isinstance(spec, str) else spec
        with client_of(wanted, progress) as (client, cluster):
            pool = WorkerPool(client, cluster, wanted, progress)
            pool.wait()
            pool.check_versions()
            yield cls(pool, wanted, progress)

    @property
    def workers(self) -> int:
        """How many tasks are worked on at a time when everybody has come."""
        return self._pool.most

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return self._pool.address

    def keep(self) -> None:
        """Have all workers there, whether or not there is work. Raises Lost."""
        self._pool.keep()

    @property
    def threads(self) -> int | None:
        """Threads that a worker may use for itself; None for all of its machine's."""
        return threads_of(self._spec) if self._spec.kind == "local" else None

    def run(
        self,
        function: str,
        tasks: Sequence[Any],
        *,
        unit: str = "parts",
        sizes: Sequence[int] | None = None,
        done: Sequence[int] | None = None,
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (number of the task, its result) as they come, in any order.

        sizes: how many `unit`s each task has, 1 by default; done: how many of them an earlier run did. Without a unit
        nobody is told how far the tasks are. Raises what a task raised, Lost without a scheduler, Stopped after a
        signal; the workers have then stopped, or will soon.
        """
        sizes = sizes or [1] * len(tasks)
        progress = self._progress if unit else SILENT
        with (
            self._progress.deferred() as asked,
            progress.track(sum(sizes), unit, done=sum(done or [0])) as advance,
        ):
            work = TaskRun(self._pool, self._progress, function, tasks, sizes, list(done or [0] * len(tasks)), advance)
            try:
                yield from work.results(asked)
            finally:
                work.stop()
