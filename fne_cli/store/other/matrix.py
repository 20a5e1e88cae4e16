"""All layers of a file side by side as one matrix, in batches of rows, with what is known of each row's image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import GOOD
from fne_cli.store.many.gather import RowReader


class NamedRows(RowReader, Protocol):
    """A layer: a LayerReader, or one that is made of others."""

    @property
    def name(self) -> str:
        """What its columns are called, with their numbers."""


Boxes = Callable[[int], np.ndarray]
Tell = Callable[[Sequence[str]], list[str | None]]
"""Something of images, by their paths; None where it is not known."""


@dataclass(frozen=True)
class MatrixBatch:
    """A batch: values (rows, features), and per row the image's path, split, label and crop number.

    box: (rows, 4) x0, y0, x1, y1 in pixels, where rows are cells of images, which crop numbers.
    """

    values: np.ndarray
    path: np.ndarray
    split: np.ndarray
    label: np.ndarray
    crop: np.ndarray
    box: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)


class Matrix:
    """The rows of all good images, (rows, features) of `dtype`; columns in the order of `layers`.

    boxes: where rows are cells: of an image by its number those of its cells, (cells, 4); None for crops. told: what
    else is said of images, by the names of columns, where an output has room for it.
    """

    def __init__(self, file: Reader, layers: Sequence[NamedRows], boxes: Boxes | None = None, cells: int = 1) -> None:
        self.told: dict[str, Tell] = {}
        file.check_images()
        self._file = file
        self.layers = tuple(layers)
        self.boxes = boxes
        self.crops = int(file.settings["crops"]) * cells
        self._images = file.length("images/status")
        self.good = file.column("images/status", 0, self._images) == GOOD
        self.classes = [name.decode(errors="replace") for name in file.column("classes", 0, file.length("classes"))]
        self.dtype = np.result_type(*(layer.dtype for layer in layers))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of good images, and features."""
        return int(self.good.sum()) * self.crops, sum(layer.features for layer in self.layers)

    @property
    def bad(self) -> int:
        """Images that are left out."""
        return int((~self.good).sum())

    def text_width(self, name: str) -> int:
        """The bytes of the longest entry that a text column of the image table can have."""
        return int(self._file.column(f"images/{name}", 0, 0).dtype.itemsize)

    def labels_shape(self) -> tuple[int, ...]:
        """() with one label per image, (classes,) with several."""
        return tuple(self._file.column("images/label", 0, 0).shape[1:])

    def batches(self, batch_rows: int, with_values: bool = True) -> Iterator[MatrixBatch]:
        """Yield the matrix from the top, at most `batch_rows` rows (and at least one image) at a time.

        Without values, they are (rows, 0).
        """
        step, features = max(1, batch_rows // self.crops), self.shape[1]
        for start in range(0, self._images, step):
            stop = min(start + step, self._images)
            keep = np.flatnonzero(self.good[start:stop])
            rows = (keep[:, None] * self.crops + np.arange(self.crops)).ravel()
            values = np.empty((len(rows), features if with_values else 0), self.dtype)
            left = 0
            for layer in self.layers if with_values else ():
                part = layer.read(start * self.crops, stop * self.crops)
                values[:, left : left + layer.features] = part[rows]
                left += layer.features
            columns = {
                name: np.repeat(self._file.column(f"images/{name}", start, stop)[keep], self.crops, axis=0)
                for name in ("path", "split", "label")
            }
            box = None
            if self.boxes is not None:
                own = [self.boxes(start + number) for number in keep.tolist()]
                box = np.concatenate([np.zeros((0, 4)), *own])
            yield MatrixBatch(values=values, crop=np.tile(np.arange(self.crops), len(keep)), box=box, **columns)
