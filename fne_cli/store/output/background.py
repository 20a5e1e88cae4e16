"""Writing while others compute: one thread behind a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Self


class Background:
    """Calls functions in order on one other thread. Use as a context manager.

    At most `depth` calls wait; `put` blocks until there is room, so memory is bounded. An error of a call is raised by
    the next `put`, by `drain` or on leaving; the calls behind it are dropped.
    """

    def __init__(self, depth: int = 2) -> None:
        self._queue: queue.Queue[Callable[[], Any] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fne-writer", daemon=True)

    def _run(self) -> None:
        while (call := self._queue.get()) is not None:
            try:
                if self._error is None:
                    call()
            except BaseException as error:
                self._error = error
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def put(self, call: Callable[[], Any]) -> None:
        """Have `call` called after the earlier ones."""
        self._raise()
        self._queue.put(call)

    def drain(self) -> None:
        """Wait until every call has been made."""
        self._queue.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()
