"""Columns of text with millions of entries, without a Python object for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

_TOGETHER = 4096  # names that are encoded, or decoded, at once
_ENCODING = ("utf-8", "surrogatepass")  # paths may have bytes that are no text, as half characters


class Names(Sequence[str]):
    """Texts one behind the other in memory: their bytes, and 8 more for each. Equal to a list of the same texts."""

    def __init__(self, content: bytes | bytearray, ends: np.ndarray) -> None:
        """ends: (n,) int64, where each text ends."""
        self._content, self._ends = content, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """Of any texts, in their order."""
        content, lengths, some = bytearray(), [np.zeros(0, np.int64)], list[bytes]()

        def add() -> None:
            lengths.append(np.fromiter(map(len, some), np.int64, len(some)))
            content.extend(b"".join(some))
            some.clear()

        for text in texts:
            some.append(text.encode(*_ENCODING))
            if len(some) == _TOGETHER:
                add()
        add()
        return cls(content, np.cumsum(np.concatenate(lengths)))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Names: ...
    def __getitem__(self, place: int | slice) -> str | Names:
        """One text, or others as a column of their own."""
        if isinstance(place, slice):
            ends, numbers = self._ends[place], np.arange(*place.indices(len(self)))
            starts = np.where(numbers > 0, self._ends[numbers - 1], 0)
            parts = zip(starts.tolist(), ends.tolist(), strict=True)
            return Names(b"".join([self._content[start:end] for start, end in parts]), np.cumsum(ends - starts))
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(place)
        return self._at(int(number))

    def _at(self, number: int) -> str:
        start = int(self._ends[number - 1]) if number else 0
        return self._content[start : int(self._ends[number])].decode(*_ENCODING)

    def __iter__(self) -> Iterator[str]:
        before = 0
        for start in range(0, len(self), _TOGETHER):
            for end in self._ends[start : start + _TOGETHER].tolist():
                yield self._content[before:end].decode(*_ENCODING)
                before = end

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


class Below(Sequence[str]):
    """Paths that are a folder's and a name each; only the names are in memory."""

    def __init__(self, prefix: str, names: Sequence[str]) -> None:
        self._prefix, self._names = prefix, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Below: ...
    def __getitem__(self, place: int | slice) -> str | Below:
        """One path, or others as a column of their own."""
        if isinstance(place, slice):
            return Below(self._prefix, self._names[place])
        return self._prefix + self._names[place]

    def __iter__(self) -> Iterator[str]:
        return (self._prefix + name for name in self._names)

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


def _same(ours: Sequence[str], other: Any) -> bool:
    return isinstance(other, Sequence) and len(ours) == len(other) and all(map(str.__eq__, ours, other))


def compact(names: Sequence[str], files: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The names of images and their files in little memory; files that are one folder's are not kept at all."""
    kept = Names.of(names)
    prefix = files[0].removesuffix(names[0])
    if files[0] == prefix + names[0] and all(file == prefix + name for file, name in zip(files, names, strict=True)):
        return kept, Below(prefix, kept)
    shared = next(iter(files))
    if all(file is shared for file in files):  # an archive
        return kept, files
    return kept, Names.of(files)


def shared(column: Iterable[Any]) -> list[Any]:
    """The same values, each once in memory: a million images have few classes and splits."""
    known: dict[Any, Any] = {}
    return [known.setdefault(value, value) for value in column]


def repeats(names: Sequence[str]) -> bool:
    """Whether a name may be there twice: surely not if False. 8 bytes a name, where a set takes the names as well."""
    hashes = np.fromiter(map(hash, names), np.int64, len(names))
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())
