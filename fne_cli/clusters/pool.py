"""The workers of a Dask cluster: who is there, how many there should be, and handing one a task."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from typing import Any

from distributed import Client, Future
from distributed.core import Status

from fne_cli.clusters import versions, worker
from fne_cli.clusters.spec import RESOURCE, Spec
from fne_cli.clusters.start import Lost, resources_of
from fne_cli.errors import BadInput
from fne_cli.progress import Progress, counted

_REMIND_SECONDS = 60.0


class WorkerPool:
    """The workers behind a client. slots: how many tasks each of those that are there may do at a time, by address."""

    def __init__(self, client: Client, cluster: Any, spec: Spec, progress: Progress) -> None:
        self._client, self._cluster, self._spec, self._progress = client, cluster, spec, progress
        self.slots: dict[str, int] = {}
        self._scaled = 0
        self._told = time.monotonic() if spec.kind == "local" else -math.inf
        self._retried = -math.inf
        self._complete = False

    @property
    def most(self) -> int:
        """How many tasks are worked on at a time when everybody has come."""
        return max(self._spec.most, sum(self.slots.values()))

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return str(self._client.scheduler.address)

    def wait(self) -> None:
        """Until the first worker is there; of those that we start here, all."""
        self.scale(1)
        wanted = self._spec.workers if self._spec.kind == "local" else 1
        while len(self.look()) < wanted:
            time.sleep(0.1 if self._spec.kind == "local" else 0.5)
        self._complete = True

    def check_versions(self) -> None:
        """Raise BadInput for a worker with other software than ours."""
        answers = self._client.run(versions.versions, on_error="return")
        for address, found in answers.items():
            if isinstance(found, Exception):
                raise BadInput(
                    f"The worker {address} should have fne-cli[dask] {versions.versions()['fne']}. Found: {found}.\n"
                    "Install it in the environment that the worker is started from."
                ) from found
            versions.check(versions.versions(), found, address)

    def keep(self) -> None:
        """Have all workers there, whether or not there is work. Raises Lost."""
        self.scale(self._spec.most)
        self.look()

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
