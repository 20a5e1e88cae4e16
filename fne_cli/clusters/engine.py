"""Tasks on a Dask cluster, kept going whatever dies.

    with Engine.open("local:4", progress) as engine:
        for index, result in engine.run("extract", [{...}, {...}]):
            ...

A task is the name of a function (worker.FUNCTIONS) and plain settings; its result is plain, too. Nothing else travels.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Self

from distributed import Client, Future, KilledWorker

from fne_cli import errors
from fne_cli.clusters import versions, worker
from fne_cli.clusters.spec import Spec
from fne_cli.clusters.start import RESOURCE, Lost, client_of, resources_of, threads_of
from fne_cli.errors import BadInput, FneError, Stopped
from fne_cli.progress import SILENT, Progress

_LOOK_SECONDS = 2.0  # how often the list of workers is read
_REMIND_SECONDS = 60.0
_STOP_SECONDS, _BEGUN_SECONDS = 60.0, 0.5


class Engine:
    """A cluster that is there for as long as the context is open."""

    def __init__(self, client: Client, cluster: Any, spec: Spec, progress: Progress) -> None:
        self._client, self._cluster, self._spec, self._progress = client, cluster, spec, progress
        self.slots: dict[str, int] = {}
        self._scaled = 0

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
            work = _Run(self, function, tasks, sizes, list(done or [0] * len(tasks)), advance)
            try:
                yield from work.results(asked)
            finally:
                work.stop()

    def look(self) -> dict[str, int]:
        """Who is there now, and how many tasks each may do."""
        if self._client.status in ("connecting", "closing", "closed"):
            raise self.lost()
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TypeError) as error:
            raise self.lost() from error
        before, self.slots = len(self.slots), resources_of(known)
        if before and len(self.slots) != before:
            self._progress.note(f"{_workers(len(self.slots))} now, {before:,} before")
        return self.slots

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
        remind = time.monotonic()
        while not self.look():
            if time.monotonic() > remind:
                self._progress.note(f"waiting for workers of {self._spec.address or self._spec.kind}")
                remind = time.monotonic() + _REMIND_SECONDS
            time.sleep(0.1 if self._spec.kind == "local" else 0.5)
        if self._spec.kind == "local":
            while len(self.look()) < self._spec.workers:
                time.sleep(0.1)

    def _check_versions(self) -> None:
        answers = self._client.run(versions.versions, on_error="return")
        for address, found in answers.items():
            if isinstance(found, Exception):
                raise BadInput(
                    f"The worker {address} should have fne-cli[dask] {versions.versions()['fne']}. Found: {found}.\n"
                    "Install it in the environment that the worker is started from."
                ) from found
            versions.check(versions.versions(), found, address)


@dataclass
class _Task:
    """What the client knows of one task."""

    done: int
    done_at_loss: int = -1
    future: Future | None = None
    at: str | None = None  # the worker that has begun it and has not ended it


@dataclass
class _Run:
    """One call of `Engine.run`."""

    engine: Engine
    function: str
    settings: Sequence[Any]
    sizes: Sequence[int]
    done: list[int]
    advance: Callable[[int], None]
    topic: str = field(default_factory=lambda: f"fne-{uuid.uuid4()}")

    def __post_init__(self) -> None:
        self._progress = self.engine._progress
        self._tasks = [_Task(done) for done in self.done]
        self._waiting = deque(range(len(self.settings)))
        self._running: set[int] = set()
        self._inbox: SimpleQueue[tuple[int, dict[str, Any] | None]] = SimpleQueue()
        self._expected = json.dumps(versions.versions())
        self.engine.subscribe(self.topic, lambda event: self._inbox.put((event[1]["index"], event[1])))

    def results(self, asked: Callable[[], int | None]) -> Iterator[tuple[int, Any]]:
        """As Engine.run."""
        look = 0.0
        while self._waiting or self._running:
            if time.monotonic() > look:
                self.engine.look()
                look = time.monotonic() + _LOOK_SECONDS
            self._top_up()
            if (code := asked()) is not None:
                self.stop()
                raise Stopped("Stopped. Run the same command again to go on.", code)
            try:
                index, event = self._inbox.get(timeout=0.2)
            except Empty:
                continue
            if event is not None:
                self._hear(index, event)
            elif (answer := self._answer(index)) is not None:
                yield index, answer[0]

    def stop(self) -> None:
        """Take back what is out, and give those who have begun the time to commit what they have."""
        out = [future for index in self._running if (future := self._tasks[index].future) is not None]
        for future in out:
            future.cancel()
        self._running.clear()
        self._waiting.clear()
        now = time.monotonic()
        begun = now + (_BEGUN_SECONDS if out else 0)  # those who have just begun: their word is on its way
        while time.monotonic() < begun or (time.monotonic() < now + _STOP_SECONDS and self._somebody_works()):
            try:
                index, event = self._inbox.get(timeout=0.1)
            except Empty:
                continue
            if event is not None:
                self._hear(index, event)

    def _somebody_works(self) -> bool:
        try:
            slots = self.engine.look()
        except FneError:
            return False
        return any(task.at in slots for task in self._tasks if task.at)

    def _top_up(self) -> None:
        """Have as many tasks out as the workers can do: one that waits at a busy worker would wait there in vain."""
        while self._waiting and len(self._running) < max(1, sum(self.engine.slots.values())):
            index = self._waiting.popleft()
            settings = json.dumps(self.settings[index])
            future = self.engine.submit(self.function, settings, self._expected, self.topic, index)
            self._tasks[index].future = future
            self._running.add(index)
            future.add_done_callback(lambda _, number=index: self._inbox.put((number, None)))
        self.engine.scale(len(self._waiting) + len(self._running))

    def _hear(self, index: int, event: dict[str, Any]) -> None:
        task = self._tasks[index]
        task.at = None if event.get("ended") else event["worker"]
        if "note" in event:
            self._progress.note(f"{event['worker']}: {event['note']}")
        if "detail" in event:
            self._progress.detail(f"{event['worker']}: {event['detail']}")
        self._count(task, min(event.get("done", 0), self.sizes[index]))

    def _count(self, task: _Task, done: int) -> None:
        if done > task.done:
            self.advance(done - task.done)
            task.done = done

    def _answer(self, index: int) -> tuple[Any] | None:
        """The result of a task that has ended; None if it has to be done again. Raises what it raised."""
        task = self._tasks[index]
        if index not in self._running or task.future is None:
            return None
        if task.future.status == "cancelled":
            raise self.engine.lost()
        try:
            answer = json.loads(task.future.result(timeout=5))
        except TimeoutError:  # the worker died between doing it and telling it: it is being done again
            self._inbox.put((index, None))
            return None
        except KilledWorker as error:
            self._check_hopeful(index, error)
            self._running.remove(index)
            self._waiting.appendleft(index)
            return None
        self._running.remove(index)
        task.future, task.at = None, None  # which lets Dask forget it
        if "result" in answer:
            self._count(task, self.sizes[index])
            return (answer["result"],)
        if answer["error"] == "Stopped":  # its worker had to go
            self._waiting.appendleft(index)
            return None
        raise _error(answer)

    def _check_hopeful(self, index: int, error: KilledWorker) -> None:
        """Raises BadInput if no worker that died of a task got further than those before."""
        task = self._tasks[index]
        if task.done <= task.done_at_loss or task.done <= self.done[index]:
            raise BadInput(
                f"Part {index + 1} of {len(self.settings)} should end on some worker. Found: the last "
                f"{error.allowed_failures + 1} that tried died of it, and none got further than the one before.\n"
                "Out of memory? Use a smaller --batch-size. The workers' own logs say more."
            ) from error
        task.done_at_loss = task.done
        self._progress.note(f"part {index + 1} lost several workers, but gets further: going on")


def _error(answer: dict[str, Any]) -> Exception:
    """What a task raised, made again from its name; a bug comes with its traceback."""
    kind = getattr(errors, answer["error"], None) if answer["error"] else None
    if isinstance(kind, type) and issubclass(kind, FneError):
        return kind(answer["message"])
    return RuntimeError(f"a bug on a worker:\n{answer['message']}")


def _workers(count: int) -> str:
    return f"{count:,} worker{'' if count == 1 else 's'}"
