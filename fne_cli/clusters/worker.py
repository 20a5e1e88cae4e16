"""What runs on a worker: a function of the table below, called by its name with plain settings.

`call` is the one function that Dask is asked to run. It gets text and returns text.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import get_worker
from distributed.core import Status

from fne_cli.clusters import versions
from fne_cli.errors import Busy, FneError, Stopped
from fne_cli.progress import Progress

# Name -> module:function; each is called as function(settings, progress) and returns what JSON can say.
FUNCTIONS = {
    "outline": "fne_cli.steps.extract.tasks:outline",
    "extract": "fne_cli.steps.extract.tasks:extract_shard",
    "train": "fne_cli.steps.train.tasks:train_network",
    "moments": "fne_cli.steps.normalize:add_up_span",
    "scores": "fne_cli.steps.normalize:scores_of_span",
    "codes": "fne_cli.steps.discretize:encode_span",
    "behavior": "fne_cli.steps.analyze:compute_block",
    "search": "fne_cli.steps.search.tasks:search_span",
    "fit": "fne_cli.steps.evaluate.tasks:fit_one",
    "block": "fne_cli.steps.evaluate.blocks:solve_block",
}
_REPORT_SECONDS = 1.0
_BUSY_SECONDS = 180.0  # a lock of a client that died lives on an NFS server for its lease, 90 s


def call(function: str, settings: str, expected: str, topic: str, index: int) -> str:
    """The answer of a task as JSON: {"result": ...} or {"error": name, "message": ..., "code": ...}."""
    progress = Reporting(topic, index)
    try:
        versions.check(json.loads(expected), versions.versions(), progress.worker.address)
        module, name = FUNCTIONS[function].split(":")
        work = getattr(importlib.import_module(module), name)
        return json.dumps({"result": _patiently(lambda: work(json.loads(settings), progress), progress)})
    except (FneError, Stopped) as error:
        return json.dumps({"error": type(error).__name__, "message": str(error), "code": error.exit_code})
    except MemoryError:
        message = f"{progress.worker.address} is out of memory. Use a smaller --batch-size or --memory."
        return json.dumps({"error": "DoesNotFit", "message": message, "code": 1})
    except Exception:
        return json.dumps({"error": "", "message": traceback.format_exc(), "code": 1})
    finally:
        progress.send(ended=True)


def _patiently(work: Callable[[], Any], progress: Reporting) -> Any:
    """Do it, and wait for the worker that had the task before and has not let go of its file yet."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return work()
        except Busy:
            if time.monotonic() > deadline or progress.unwanted() is not None:
                raise
            time.sleep(0.5)


class Reporting(Progress):
    """Tells the client how far its task is, and the task when nobody wants its result any more."""

    def __init__(self, topic: str, index: int) -> None:
        self.worker = get_worker()
        self._key = self.worker.get_current_task()
        self._topic, self._index = topic, index
        self._last = 0.0
        self.send()

    def send(self, **event: Any) -> None:
        """One event for the client: where the task runs, and `done`, `note` or `ended`."""
        self._last = time.monotonic()
        self.worker.log_event(self._topic, {"index": self._index, "worker": self.worker.address, **event})

    def note(self, text: str) -> None:
        """A line for the person at the client."""
        self.send(note=text)

    def detail(self, text: str) -> None:
        """A line for the person who asked for more."""
        self.send(detail=text)

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Report about once a second."""

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if time.monotonic() - self._last > _REPORT_SECONDS:
                self.send(done=done)

        self.send(done=done)
        yield advance
        self.send(done=done)

    @contextmanager
    def deferred(self) -> Iterator[Callable[[], int | None]]:
        """While open, the task is asked to stop by being unwanted."""
        yield self.unwanted

    def unwanted(self) -> int | None:
        """An exit code once the client has cancelled the task or gone, or the worker is to close; else None."""
        task = self.worker.state.tasks.get(self._key)
        wanted = task is not None and task.state == "executing" and self.worker.status == Status.running
        return None if wanted else 143


def dask_setup(_worker: Any) -> None:
    """Called by Dask in a worker that we started: signals to the group are for the client, which tells its workers."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(number, signal.SIG_IGN)
