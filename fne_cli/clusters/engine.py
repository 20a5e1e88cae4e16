"""Tasks on a Dask cluster, kept going whatever dies.

    with Engine.open("local:4", progress) as engine:
        for index, result in engine.run("extract", [{...}, {...}]):
            ...

A task is the name of a function (worker.FUNCTIONS) and plain settings; its result is plain, too. Nothing else travels.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from distributed import Client, Future
from distributed.core import Status

from fne_cli.clusters import versions, worker
from fne_cli.clusters.run import Run
from fne_cli.clusters.spec import Spec
from fne_cli.clusters.start import RESOURCE, Lost, client_of, resources_of, threads_of
from fne_cli.errors import BadInput
from fne_cli.progress import SILENT, Progress, counted

_REMIND_SECONDS = 60.0


class Engine:
    """A cluster that is there for as long as the context is open."""

    def __init__(self, client: Client, cluster: Any, spec: Spec, progress: Progress) -> None:
        self._client, self._cluster, self._spec, self._progress = client, cluster, spec, progress
        self.slots: dict[str, int] = {}
        self._scaled = 0
        self._told = time.monotonic() if spec.kind == "local" else -math.inf
        self._retried = -math.inf
        self._complete = False

    @classmethod
    @contextmanager
    def open(cls, spec: str | Spec, progress: Progress = SILENT) -> Iterator[Self]:
        """Start or find the workers, wait for the first, and compare its software with ours.

        Raises BadInput for a specification or software that will not do, Lost if there is no scheduler.
        """
        wanted = Spec.parse(spec) if isinstance(spec, str) else spec
        with client_of(wanted, progress) as (client, cluster):
            engine = cls(client, cluster, wanted, progress)
            engine._wait_for_workers()
            engine._check_versions()
            yield engine

    @property
    def workers(self) -> int:
        """How many tasks are worked on at a time when everybody has come."""
        return max(self._spec.most, sum(self.slots.values()))

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return str(self._client.scheduler.address)

    def keep(self) -> None:
        """Have all workers there, whether or not there is work. Raises Lost."""
        self.scale(self._spec.most)
        self.look()

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
    ) -> Iterator[tuple[int, Any]]:
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
            work = Run(self, self._progress, function, tasks, sizes, list(done or [0] * len(tasks)), advance)
            try:
                yield from work.results(asked)
            finally:
                work.stop()

    def look(self) -> dict[str, int]:
        """Who is there now, and how many tasks each may do."""
        if self._client.status in ("connecting", "closing", "closed"):
            raise self.lost()
        before, self.slots = len(self.slots), self._listed()
        if len(self.slots) != before and self._complete:
            self._progress.note(f"{counted(len(self.slots), 'worker')} now, {before:,} before")
        if self._spec.kind == "slurm":
            self._retry_refused()
        if not self.slots and time.monotonic() > self._told + _REMIND_SECONDS:
            self._progress.note(self._waited_for())
            self._told = time.monotonic()
        if self._spec.kind == "local" and len(self.slots) < self._spec.workers:
            # A nanny whose worker dies while it starts, or takes long to, gives up; this opens another.
            self._cluster.loop.add_callback(self._forget_closed)
            self._cluster.scale(self._spec.workers)
        return self.slots

    def _forget_closed(self) -> None:
        """Dask opens no other nanny while it has one of that name, be it one that never came up."""
        for name, nanny in list(self._cluster.workers.items()):
            if nanny.status in (Status.failed, Status.closed):
                del self._cluster.workers[name]

    def _listed(self) -> dict[str, int]:
        # Not by Client.scheduler_info: its answer is shared with a callback of the client, which asks for no workers.
        try:
            known = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        except OSError:
            return self.slots  # the client tries again, and its status says it when the scheduler is gone
        except (AttributeError, TypeError) as error:  # it has no scheduler any more
            raise self.lost() from error
        return resources_of(known)

    def _retry_refused(self) -> None:
        """Ask again for jobs that sbatch refused, once a minute. Raises BadInput if there never was a worker."""
        said = self._cluster.refusal()
        if said and not (self._complete or self.slots):
            raise BadInput(
                f"sbatch should take the job of a worker. Found: {said}\nfne cluster SPEC --dry-run shows its script."
            )
        if said and time.monotonic() > self._retried + _REMIND_SECONDS:
            self._progress.note(f"sbatch refused a job ({said}): asking again")
            self._cluster.forget_refused()
            self._retried = time.monotonic()

    def _waited_for(self) -> str:
        if self._spec.kind != "slurm" or self._told == -math.inf:
            return f"waiting for workers of {self._spec.address or self._spec.kind}"
        folder = self._spec.jobs.get("log_folder")
        logs = f"{folder}/{self._spec.jobs.get('name', 'fne')}-*.err" if folder else "slurm-*.out in this folder"
        return (
            f"waiting for workers: {self._cluster.jobs:,} jobs were asked for, and no worker is here. If squeue does "
            f"not list them, they have ended: {logs} should say why. A job that brought no worker is not repeated"
        )

    def lost(self) -> Lost:
        """The error that says that the scheduler has gone."""
        where = self._spec.address or "of this command"
        return Lost(
            f"The Dask scheduler {where} should stay until the work is done. Found: it is gone.\n"
            "What the workers have committed is kept. Start the scheduler and its workers again; the same command then "
            "goes on."
        )

    def scale(self, wanted: int) -> None:
        """Ask for as many workers as there is work for, within the limits of the specification."""
        count = min(self._spec.most, max(self._spec.workers, wanted))
        if self._spec.kind == "slurm" and count != self._scaled:
            self._cluster.adapt(minimum=count, maximum=count)  # which also replaces those that the batch system ended
            self._scaled = count

    def submit(self, *arguments: Any) -> Future:
        """Hand `worker.call` and its arguments to Dask."""
        return self._client.submit(
            worker.call, *arguments, pure=False, resources={RESOURCE: 1}, key=f"fne-{uuid.uuid4()}"
        )

    def subscribe(self, topic: str, handler: Callable[[tuple[float, Any]], None]) -> None:
        """Have `handler` called with (time, event) for each event of a topic."""
        self._client.subscribe_topic(topic, handler)

    def _wait_for_workers(self) -> None:
        self.scale(1)
        wanted = self._spec.workers if self._spec.kind == "local" else 1
        while len(self.look()) < wanted:
            time.sleep(0.1 if self._spec.kind == "local" else 0.5)
        self._complete = True

    def _check_versions(self) -> None:
        answers = self._client.run(versions.versions, on_error="return")
        for address, found in answers.items():
            if isinstance(found, Exception):
                raise BadInput(
                    f"The worker {address} should have fne-cli[dask] {versions.versions()['fne']}. Found: {found}.\n"
                    "Install it in the environment that the worker is started from."
                ) from found
            versions.check(versions.versions(), found, address)
