"""Columns with millions of entries, without a Python object for each; `gathering.py` makes them.

Few entries stay a list, and NumPy is loaded for many only: an extraction that is up to date needs it for nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np

MANY = 1 << 16  # entries, from which on a column is no list
TOGETHER = 4096  # entries that are encoded, or decoded, at once
_ENCODING = ("utf-8", "surrogatepass")  # paths may have bytes that are no text, as half characters
_Value = TypeVar("_Value")


class Names(Sequence[str]):
    """Texts one behind the other in memory: their bytes, and 4 more for each. Equal to a list of the same texts."""

    def __init__(self, content: bytes | bytearray, ends: np.ndarray) -> None:
        """ends: (n,) unsigned integers, where each text ends."""
        self._content, self._ends = content, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """Of any texts, in their order."""
        content, ends, coming = bytearray(), list[Any](), iter(texts)
        while some := list(islice(coming, TOGETHER)):
            ends.append(add_encoded(content, some))
        return cls(content, concatenated(ends))

    @classmethod
    def joined(cls, parts: list[Names]) -> Names:
        """Of all texts of the parts, which are used up: two copies of all would be twice the memory."""
        content, ends = bytearray(), list[Any]()
        while parts:
            part = parts.pop(0)
            ends.append(_small(part._ends.astype("u8") + len(content)))
            content.extend(part._content)
        return cls(content, concatenated(ends))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Names: ...
    def __getitem__(self, place: int | slice) -> str | Names:
        """One text, or others as a column of their own."""
        if isinstance(place, slice):
            return self._part(place)
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(place)
        start = int(self._ends[number - 1]) if number else 0
        return self._content[start : int(self._ends[number])].decode(*_ENCODING)

    def _part(self, place: slice) -> Names:
        import numpy as np

        ends, numbers = self._ends[place].astype(np.int64), np.arange(*place.indices(len(self)))
        starts = np.where(numbers > 0, self._ends[numbers - 1], 0).astype(np.int64)
        parts = zip(starts.tolist(), ends.tolist(), strict=True)
        return Names(b"".join([self._content[start:end] for start, end in parts]), _small(np.cumsum(ends - starts)))

    def __iter__(self) -> Iterator[str]:
        before = 0
        for start in range(0, len(self), TOGETHER):
            ends = self._ends[start : start + TOGETHER].tolist()
            block = self._content[before : ends[-1]]
            cuts = map(slice, chain((0,), (end - before for end in ends)), [end - before for end in ends])
            if block.isascii():  # a character is a byte
                yield from map(block.decode().__getitem__, cuts)
            else:
                yield from (block[cut].decode(*_ENCODING) for cut in cuts)
            before = ends[-1]

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


class Below(Sequence[str]):
    """Paths that are a folder's and a name each; only the names are in memory."""

    def __init__(self, prefix: str, names: Sequence[str]) -> None:
        self.prefix, self.names = prefix, names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Below: ...
    def __getitem__(self, place: int | slice) -> str | Below:
        """One path, or others as a column of their own."""
        if isinstance(place, slice):
            return Below(self.prefix, self.names[place])
        return self.prefix + self.names[place]

    def __iter__(self) -> Iterator[str]:
        return (self.prefix + name for name in self.names)

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


class Coded(Sequence[_Value], Generic[_Value]):
    """Values that come again and again: a small number for each entry, and what the numbers mean."""

    def __init__(self, values: Sequence[_Value], codes: np.ndarray) -> None:
        """codes: (n,) unsigned integers, places in `values`."""
        self._values, self._codes = values, codes

    @classmethod
    def of(cls, column: Iterable[_Value]) -> Coded[_Value]:
        """Of any values that can be looked up, in their order."""
        known: dict[_Value, int] = {}
        return cls.by_numbers(known, array("I", (known.setdefault(value, len(known)) for value in column)))

    @classmethod
    def by_numbers(cls, values: Iterable[_Value], numbers: array[int]) -> Coded[_Value]:
        """Of values, in an order, and the places in it of all entries."""
        import numpy as np

        table = list(values)
        return cls(table, np.frombuffer(numbers, np.uint32).astype(np.min_scalar_type(len(table))))

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, place: int) -> _Value: ...
    @overload
    def __getitem__(self, place: slice) -> Coded[_Value]: ...
    def __getitem__(self, place: int | slice) -> _Value | Coded[_Value]:
        """One value, or others as a column of their own."""
        if isinstance(place, slice):
            return Coded(self._values, self._codes[place])
        return self._values[self._codes[place]]

    def __iter__(self) -> Iterator[_Value]:
        for start in range(0, len(self), TOGETHER):
            yield from map(self._values.__getitem__, self._codes[start : start + TOGETHER].tolist())

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


def repeated(value: _Value, count: int) -> Sequence[_Value]:
    """One value, `count` times."""
    if count < MANY:
        return [value] * count
    import numpy as np

    return Coded((value,), np.broadcast_to(np.uint8(0), count))


def compact(names: Sequence[str], files: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The names of images and their files in little memory; files that are one folder's are not kept at all."""
    kept = names if isinstance(names, Names) else Names.of(names)
    if isinstance(files, Below) and files.names is names:
        return kept, Below(files.prefix, kept)
    if isinstance(files, Names):
        return kept, files
    prefix = files[0].removesuffix(names[0])
    if files[0] == prefix + names[0] and all(file == prefix + name for file, name in zip(files, names, strict=True)):
        return kept, Below(prefix, kept)
    shared = next(iter(files))
    if all(file is shared for file in files):  # an archive
        return kept, repeated(shared, len(files))
    return kept, Names.of(files)


def coded(column: Sequence[_Value]) -> Sequence[_Value]:
    """A column of values that come again and again in little memory; one without entries as it is."""
    return Coded.of(column) if column and not isinstance(column, Coded) else column


def repeats(names: Sequence[str]) -> bool:
    """Whether a name may be there twice: surely not if False. 8 bytes a name, where a set takes the names as well."""
    if len(names) < MANY:
        return len(set(names)) < len(names)
    import numpy as np

    hashes = np.fromiter(map(hash, names), np.int64, len(names))
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())


def add_encoded(content: bytearray, some: Sequence[str]) -> np.ndarray:
    """Put the bytes of some texts behind those of others; returns where each of them ends."""
    import numpy as np

    encoded = list(map(str.encode, some, *map(repeat, _ENCODING)))
    ends = len(content) + np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    content.extend(b"".join(encoded))
    return _small(ends)


def concatenated(ends: Sequence[np.ndarray]) -> np.ndarray:
    """The ends of all texts."""
    import numpy as np

    return _small(np.concatenate(ends or [np.zeros(0, np.uint32)]))


def _small(ends: np.ndarray) -> np.ndarray:
    """Ascending numbers in 4 bytes each, if they fit."""
    return ends.astype("u4", copy=False) if not len(ends) or int(ends[-1]) < 1 << 32 else ends.astype("u8", copy=False)


def _same(ours: Sequence[Any], other: Any) -> bool:
    return isinstance(other, Sequence) and len(ours) == len(other) and all(map(_equal, ours, other))


def _equal(one: object, other: object) -> bool:
    return one == other
