"""What a step may tell the person who waits, and what that person may ask of the step. A leaf like ``errors``.

Steps print nothing. They are handed a Progress by the command line; the one here is silent, for callers from Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """A listener that says nothing and never stops the work."""

    def note(self, text: str) -> None:
        """One line for the person who waits: a decision, a warning."""

    def once(self, text: str) -> None:
        """The same for what several steps of one command find: it is said the first time only, where that is known."""
        self.note(text)

    def detail(self, text: str) -> None:
        """One line for the person who asked for more (``-v``)."""

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Yield a function that is called with the number of units just finished. One may be open within another."""
        yield lambda count: None

    def bad(self, count: int) -> None:
        """So many more of the units that are tracked could not be used."""

    @contextmanager
    def deferred(self) -> Iterator[Callable[[], int | None]]:
        """While open, a signal waits: the yielded function returns the exit code it asks for, or None."""
        yield lambda: None


SILENT = Progress()


def counted(count: int, what: str) -> str:
    """A number of things in words: "1 shard", "2 shards"."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
