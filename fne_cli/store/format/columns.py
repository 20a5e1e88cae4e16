"""The image table of a file, looked at before it is believed, as a whole or in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.format import claims
from fne_cli.store.format.schema import Images
from fne_cli.store.format.text import TextColumn, check_utf8

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
        nothing = [""] * len(status)
        return Images(
            path=TextColumn.of(path, text["path"]),
            split=TextColumn.of(path, text["split"]),
            label=claims.values(path, self._column("images/label")),
            classes=list(TextColumn.of(path, self._column("classes"))),
            status=claims.values(path, status) if whole else np.zeros(len(status), np.uint8),
            message=TextColumn.of(path, text["message"]) if whole else nothing,
            sha256=TextColumn.of(path, text["sha256"]) if whole else nothing,
        )

    def _column(self, name: str) -> h5py.Dataset:
        if name not in self._columns:
            types, *dimensions = _COLUMNS[name]
            self._columns[name] = claims.dataset(self._path, self._file, name, types, *dimensions)
        return self._columns[name]
