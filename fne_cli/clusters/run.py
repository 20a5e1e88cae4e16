"""Tasks on the workers of a pool: which are out, what is heard of them, which have to be done again."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from distributed import CancelledError, Future, KilledWorker
from distributed.client import ClosedClientError

from fne_cli import errors
from fne_cli.clusters import versions
from fne_cli.clusters.pool import WorkerPool
from fne_cli.errors import BadInput, FneError, Stopped
from fne_cli.progress import Progress

_LOOK_SECONDS = 2.0  # how often the list of workers is read
_STOP_SECONDS, _BEGUN_SECONDS = 60.0, 5.0


@dataclass
class _TaskState:
    """What the client knows of one task."""

    done: int
    done_at_loss: int = -1
    future: Future | None = None
    heard: bool = False  # a worker has said that it has begun
    at: str | None = None  # the worker that has begun it and has not ended it


@dataclass
class TaskRun:
    """Some tasks of one function, from the first to the last result."""

    pool: WorkerPool
    progress: Progress
    function: str
    settings: Sequence[Any]
    sizes: Sequence[int]
    done: list[int]
    advance: Callable[[int], None]
    topic: str = field(default_factory=lambda: f"fne-{uuid.uuid4()}")

    def __post_init__(self) -> None:
        self._tasks = [_TaskState(done) for done in self.done]
        self._waiting = deque(range(len(self.settings)))
        self._running: set[int] = set()
        self._inbox: SimpleQueue[tuple[int, dict[str, Any] | None]] = SimpleQueue()
        self._expected = json.dumps(versions.versions())
        self.pool.subscribe(self.topic, lambda event: self._inbox.put((event[1]["index"], event[1])))

    def results(self, asked: Callable[[], int | None]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the task, its result) as they come; `asked` gives an exit code once all is to stop."""
        look = 0.0
        while self._waiting or self._running:
            if time.monotonic() > look:
                self.pool.look()
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
        out = [self._tasks[index] for index in self._running]
        for task in out:
            if task.future is not None:
                with contextlib.suppress(ClosedClientError):  # what has closed it is about to be said
                    task.future.cancel()
        self._running.clear()
        self._waiting.clear()
        now = time.monotonic()

        def somebody_begins() -> bool:  # word of it may be on its way; of a task that never began, none comes
            return bool(self.pool.slots) and any(not task.heard for task in out)

        while (time.monotonic() < now + _BEGUN_SECONDS and somebody_begins()) or (
            time.monotonic() < now + _STOP_SECONDS and self._somebody_works()
        ):
            try:
                index, event = self._inbox.get(timeout=0.1)
            except Empty:
                continue
            if event is not None:
                self._hear(index, event)

    def _somebody_works(self) -> bool:
        try:
            slots = self.pool.look()
        except FneError:
            return False
        return any(task.at in slots for task in self._tasks if task.at)

    def _top_up(self) -> None:
        """Have as many tasks out as the workers can do: one that waits at a busy worker would wait there in vain."""
        while self._waiting and len(self._running) < max(1, sum(self.pool.slots.values())):
            index = self._waiting.popleft()
            settings = json.dumps(self.settings[index])
            future = self.pool.submit(self.function, settings, self._expected, self.topic, index)
            self._tasks[index].future, self._tasks[index].heard = future, False
            self._running.add(index)
            future.add_done_callback(lambda _, number=index: self._inbox.put((number, None)))
        self.pool.scale(len(self._waiting) + len(self._running))

    def _hear(self, index: int, event: dict[str, Any]) -> None:
        task = self._tasks[index]
        task.heard, task.at = True, None if event.get("ended") else event["worker"]
        if "note" in event:
            self.progress.note(f"{event['worker']}: {event['note']}")
        if "detail" in event:
            self.progress.detail(f"{event['worker']}: {event['detail']}")
        self._count(task, min(event.get("done", 0), self.sizes[index]))

    def _count(self, task: _TaskState, done: int) -> None:
        if done > task.done:
            self.advance(done - task.done)
            task.done = done

    def _answer(self, index: int) -> tuple[Any] | None:
        """The result of a task that has ended; None if it has to be done again. Raises what it raised."""
        task = self._tasks[index]
        if index not in self._running or task.future is None:
            return None
        if task.future.status == "cancelled":
            raise self.pool.lost()
        try:
            answer = json.loads(task.future.result(timeout=5))
        except CancelledError as error:  # by a client that has lost its scheduler
            raise self.pool.lost() from error
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
        self.progress.note(f"part {index + 1} lost several workers, but gets further: going on")


def _error(answer: dict[str, Any]) -> Exception:
    """What a task raised, made again from its name; a bug comes with its traceback."""
    kind = getattr(errors, answer["error"], None) if answer["error"] else None
    if isinstance(kind, type) and issubclass(kind, FneError):
        return kind(answer["message"])
    return RuntimeError(f"a bug on a worker:\n{answer['message']}")
