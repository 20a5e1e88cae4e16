"""Columns of listings while they come, entry by entry: few stay a list, many take little memory from the beginning."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar

from fne_cli.images import names
from fne_cli.images.names import TOGETHER, Coded, Names, add_encoded, concatenated

_RUN = 1 << 17  # texts that are sorted at once
_Value = TypeVar("_Value")


class Texts:
    """Texts that come one by one, in the order that they have; `column` is a list of few, and `Names` of many."""

    def __init__(self) -> None:
        self._some: list[str] = []
        self._content, self._ends = bytearray(), list[Any]()
        self._kept = 0

    def append(self, text: str) -> None:
        """Add one."""
        self._some.append(text)
        if len(self._some) >= names.MANY:
            self._keep()

    def __len__(self) -> int:
        return self._kept + len(self._some)

    def column(self) -> Sequence[str]:
        """All of them; nothing is to be added later."""
        if not self._kept:
            return self._some
        self._keep()
        return Names(self._content, concatenated(self._ends))

    def _keep(self) -> None:
        for start in range(0, len(self._some), TOGETHER):
            self._ends.append(add_encoded(self._content, self._some[start : start + TOGETHER]))
        self._kept += len(self._some)
        self._some = []


class SortedTexts:
    """Texts that come one by one, and are sorted in the end: a list of few, and `Names` of many.

    Sorted runs of them are kept, so that no list of all is ever there. They are only joined if each begins behind the
    one before, as those of a folder do that is walked in order.
    """

    def __init__(self) -> None:
        self._some: list[str] = []
        self._runs: list[Names] = []

    def append(self, text: str) -> None:
        """Add one."""
        self._some.append(text)
        if len(self._some) >= _RUN:
            self._keep()

    def pause(self) -> None:
        """Say that what comes now mostly belongs behind all that was there: here a run may well end."""
        if len(self._some) >= names.MANY:
            self._keep()

    def __len__(self) -> int:
        return len(self._some) + sum(map(len, self._runs))

    def column(self) -> Sequence[str]:
        """All of them, sorted; nothing is to be added later."""
        if not self._runs:
            self._some.sort()
            return self._some
        self._keep()
        if all(one[-1] <= other[0] for one, other in pairwise(self._runs)):
            return Names.joined(self._runs)
        return Names.of(heapq.merge(*self._runs))

    def _keep(self) -> None:
        if self._some:
            self._some.sort()
            self._runs.append(Names.of(self._some))
            self._some = []


class Values(Generic[_Value]):
    """Values that come one by one, most of them again and again; in the end a list of few, and `Coded` of many."""

    def __init__(self) -> None:
        self._codes, self._known = array("I"), dict[_Value, int]()

    def append(self, value: _Value) -> int:
        """Add one; returns its number among the different ones."""
        code = self._known.setdefault(value, len(self._known))
        self._codes.append(code)
        return code

    def again(self, code: int) -> None:
        """Add the one of this number once more."""
        self._codes.append(code)

    @property
    def values(self) -> list[_Value]:
        """The different ones, in the order in which they came."""
        return list(self._known)

    def column(self, meaning: Callable[[_Value], Any] | None = None) -> Sequence[Any]:
        """All of them, or what each means."""
        values = self.values if meaning is None else list(map(meaning, self.values))
        if len(self._codes) < names.MANY:
            return [values[code] for code in self._codes]
        return Coded.by_numbers(values, self._codes)
