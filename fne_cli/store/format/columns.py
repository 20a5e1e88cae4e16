"""The image table of a file and its columns of text, looked at before they are believed; whole or in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np

from fne_cli.errors import BadInput, DamagedFile
from fne_cli.store.format import claims
from fne_cli.store.format.schema import Images

BLOCK_ROWS = 1 << 15


def text_bytes(values: Iterable[str]) -> int:
    """Length of the longest of `values` in UTF-8, at least 1."""
    return max(map(len, map(str.encode, values)), default=1) or 1


def text_column(values: Sequence[str], size: int | None = None) -> np.ndarray:
    """Strings as a fixed-length UTF-8 column of `size` bytes (default: fits all); longer ones are cut.

    Raises BadInput for a string that ends in NUL: HDF5 pads with it, and the end would be lost.
    """
    encoded = list(map(str.encode, values))
    for value in encoded:
        if value[-1:] == b"\0":
            raise BadInput(f"A name should not end in a NUL character. Found: {value!r}.")
    longest = max(map(len, encoded), default=1) or 1
    if size is None:
        size = longest
    if longest > size:
        encoded = [value[:size].decode(errors="ignore").encode() for value in encoded]
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", size))


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


_LABEL_BLOCK = 1 << 14
# Types and numbers of dimensions that a dataset beside the layers may have.
_COLUMNS: dict[str, tuple[Any, ...]] = {
    "classes": ("S", 1),
    "images/path": ("S", 1),
    "images/split": ("S", 1),
    "images/label": ("i1 i4", 1, 2),
    "images/status": ("u1", 1),
    "images/message": ("S", 1),
    "images/sha256": ("S", 1),
}


class ImageTable:
    """`classes` and the columns of `images` of an open file."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path = path
        self._file = file
        self._columns: dict[str, h5py.Dataset] = {}

    def length(self, name: str) -> int:
        """The number of entries of `classes` or of a column of the image table."""
        with claims.doubted(self._path):
            return len(self._column(name))

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Entries start ... stop - 1 of the same, for tables that should not be in memory as a whole.

        Text comes as bytes that are UTF-8.
        """
        with claims.doubted(self._path):
            values = claims.values(self._path, self._column(name), slice(start, stop))
        if values.dtype.kind == "S":
            check_utf8(self._path, name, values)
        return values

    def check(self) -> None:
        """Raise DamagedFile if the columns of the image table contradict each other or the classes."""
        with claims.doubted(self._path):
            path, classes, label = self._path, len(self._column("classes")), self._column("images/label")
            lengths = {len(self._column(name)) for name in _COLUMNS if name != "classes"}
            if len(lengths) != 1:
                raise DamagedFile(f"{path} should have images columns of one length. Found: {sorted(lengths)}.")
            names = claims.values(path, self._column("classes")).tolist()
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1).decode("utf-8", "replace")
                raise DamagedFile(f"{path} should have classes of different names. Found: {twice!r} twice.")
            several, count = label.ndim == 2, len(label)
            if label.dtype.itemsize != (1 if several else 4) or (several and label.shape[1] != classes):
                raise DamagedFile(
                    f"{path}: images/label should be int32 of shape ({count},) or int8 of shape "
                    f"({count}, {classes}). Found: {label.dtype} of shape {label.shape}."
                )
            highest = 1 if several else classes - 1
            for start in range(0, count, _LABEL_BLOCK):
                labels = claims.values(path, label, slice(start, start + _LABEL_BLOCK))
                if labels.size and not -1 <= labels.min() <= labels.max() <= highest:
                    raise DamagedFile(f"{path}: images/label has values outside -1 ... {highest}.")

    def images(self, whole: bool = True) -> Images:
        """The whole table; its columns of text are read while the file is open.

        Without `whole` as it was before any image was read, also where a torn write has hit what came later.
        """
        self.check()
        with claims.doubted(self._path):
            return self._assembled(whole)

    def _assembled(self, whole: bool) -> Images:
        path, status = self._path, self._column("images/status")
        text = {name: self._column(f"images/{name}") for name in ("path", "split", "message", "sha256")}
        count = len(status)
        nothing = TextColumn(count, lambda start, stop: np.zeros(max(0, min(stop, count) - start), "S1"))
        return Images(
            path=TextColumn.of(path, text["path"]),
            split=TextColumn.of(path, text["split"]),
            label=claims.values(path, self._column("images/label")),
            classes=list(TextColumn.of(path, self._column("classes"))),
            status=claims.values(path, status) if whole else np.zeros(count, np.uint8),
            message=TextColumn.of(path, text["message"]) if whole else nothing,
            sha256=TextColumn.of(path, text["sha256"]) if whole else nothing,
        )

    def _column(self, name: str) -> h5py.Dataset:
        if name not in self._columns:
            types, *dimensions = _COLUMNS[name]
            self._columns[name] = claims.dataset(self._path, self._file, name, types, *dimensions)
        return self._columns[name]


def relabelled(labels: np.ndarray, classes: Sequence[str], wider: Sequence[str]) -> np.ndarray:
    """Labels of images, (n,) or (n, classes), for a list of classes that has all of theirs and maybe more."""
    if classes == wider:
        return labels
    place = {label: number for number, label in enumerate(wider)}
    target = np.array([place[label] for label in classes], np.int32)
    if labels.ndim == 1:
        return np.where(labels >= 0, target[np.maximum(labels, 0)], labels).astype(np.int32) if classes else labels
    found = np.zeros((len(labels), len(wider)), labels.dtype)
    found[(labels == -1).all(axis=1)] = -1  # an image without a label has none of the others' classes either
    found[:, target] = labels
    return found
