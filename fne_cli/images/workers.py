"""Threads that do pieces of work in order, while it is their turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

_Piece = TypeVar("_Piece")


class Workers(Generic[_Piece]):
    """`threads` threads call `do` with each piece that they are given, in order; at first it is their turn.

    announce: called with each piece as soon as it is given, on a thread of its own, whosever turn it is.

    There is no executor behind it: a future for each piece, made by whoever has the next batch to compute, is time in
    which nothing else is done.
    """

    def __init__(
        self, threads: int, do: Callable[[_Piece], object], announce: Callable[[_Piece], object] = lambda piece: None
    ) -> None:
        self._do, self._announce = do, announce
        lock = threading.Lock()
        self._begin, self._end = threading.Condition(lock), threading.Condition(lock)
        self._pieces: deque[tuple[int, _Piece]] = deque()
        self._given = 0
        self._done, self._early = 0, set[int]()  # how many from the first on, and which of those behind them
        self._wanted = 0
        self._turn, self._closed = True, False
        self._error: BaseException | None = None
        self._announced: SimpleQueue[_Piece | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name="fne-decode", daemon=True) for _ in range(threads)]
        self._threads.append(threading.Thread(target=self._tell, name="fne-ahead", daemon=True))
        for thread in self._threads:
            thread.start()

    def give(self, pieces: Sequence[_Piece]) -> None:
        """Have these done after the earlier ones."""
        with self._begin:
            self._pieces.extend(enumerate(pieces, self._given))
            self._given += len(pieces)
            self._begin.notify(len(pieces))
        for piece in pieces:
            self._announced.put(piece)

    def turn(self, ours: bool) -> None:
        """Let them begin pieces, or not; what they have begun they finish."""
        with self._begin:
            self._turn = ours
            if ours:
                self._begin.notify_all()

    def wait(self, count: int) -> None:
        """Until the first `count` pieces are done. Raises what one of them raised."""
        with self._end:
            self._wanted = count
            self._end.wait_for(lambda: self._done >= count or self._error is not None)
            if self._done < count and self._error is not None:
                raise self._error

    def close(self) -> None:
        """Drop what has not been begun, and wait for the rest."""
        with self._begin:
            self._closed = True
            self._pieces.clear()
            self._begin.notify_all()
        self._announced.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._begin:
                while not (self._closed or (self._turn and self._pieces)):
                    self._begin.wait()
                if self._closed:
                    return
                number, piece = self._pieces.popleft()
            try:
                self._do(piece)
            except BaseException as error:
                with self._end:
                    self._error = self._error or error
                    self._end.notify_all()
                continue
            with self._end:
                self._early.add(number)
                while self._done in self._early:
                    self._early.remove(self._done)
                    self._done += 1
                if self._done >= self._wanted:
                    self._end.notify_all()

    def _tell(self) -> None:
        while (piece := self._announced.get()) is not None and not self._closed:
            self._announce(piece)
