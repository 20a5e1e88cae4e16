"""Columns of text: UTF-8 of a fixed length, written and read a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np

from fne_cli.errors import BadInput, DamagedFile
from fne_cli.store.format import claims

BLOCK_ROWS = 1 << 15


def text_bytes(values: Iterable[str]) -> int:
    """Length of the longest of `values` in UTF-8, at least 1."""
    return max((len(value.encode()) for value in values), default=1) or 1


def text_column(values: Sequence[str], size: int | None = None) -> np.ndarray:
    """Strings as a fixed-length UTF-8 column of `size` bytes (default: fits all); longer ones are cut.

    Raises BadInput for a string that ends in NUL: HDF5 pads with it, and the end would be lost.
    """
    encoded = [value.encode() for value in values]
    for value in encoded:
        if value.endswith(b"\0"):
            raise BadInput(f"A name should not end in a NUL character. Found: {value!r}.")
    if size is None:
        size = text_bytes(values)
    cut = [value if len(value) <= size else value[:size].decode(errors="ignore").encode() for value in encoded]
    return np.array(cut, dtype=h5py.string_dtype("utf-8", size))


def check_utf8(path: Path, name: str, values: np.ndarray) -> None:
    """Raise DamagedFile if an entry of a fixed-length column, (n,), is not UTF-8."""
    width = values.dtype.itemsize
    apart = np.zeros((len(values), width + 1), np.uint8)  # a NUL behind each: no character may span two entries
    apart[:, :width] = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), width)
    try:
        apart.tobytes().decode()
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path}: {name} is not UTF-8 ({error.reason}).") from error


class TextColumn(Sequence[str]):
    """`length` strings of which only one block is in memory. read(start, stop): their UTF-8, or as far as they go."""

    def __init__(self, length: int, read: Callable[[int, int], np.ndarray]) -> None:
        self._length = length
        self._bytes = read
        self._start = 0
        self._block = self._read(0)

    @classmethod
    def of(cls, path: Path, dataset: h5py.Dataset) -> TextColumn:
        """The strings of a dataset. Raises DamagedFile when one is not UTF-8."""

        def read(start: int, stop: int) -> np.ndarray:
            values = claims.values(path, dataset, slice(start, stop))
            check_utf8(path, str(dataset.name), values)
            return values

        return cls(dataset.shape[0], read)

    def _read(self, start: int) -> list[str]:
        return [value.decode() for value in self._bytes(start, start + BLOCK_ROWS).tolist()]

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(self._length))]
        number = range(self._length)[place]
        if not self._start <= number < self._start + len(self._block):
            self._start = number // BLOCK_ROWS * BLOCK_ROWS
            self._block = self._read(self._start)
        return self._block[number - self._start]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, self._length, BLOCK_ROWS):
            yield from self._block if start == self._start else self._read(start)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Sequence) or len(other) != self._length:
            return False
        return all(ours == theirs for ours, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none
