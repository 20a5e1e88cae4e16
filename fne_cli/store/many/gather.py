"""The rows of chosen images, layers side by side, in batches; and arrays for them, which may be larger than memory.

The rows may be those of several files: whoever takes them by number need not know.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.store.many.joined import JoinedFiles

BATCH_BYTES = 1 << 26


class RowReader(Protocol):
    """A layer of one file (a LayerReader), or of several."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, float16 or int8."""

    @property
    def features(self) -> int:
        """Number of columns."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start ... stop - 1, all of some images, as (rows, features)."""


@dataclass(frozen=True)
class JoinedLayer:
    """The layer of one or more files as one, rows in their order; see JoinedFiles."""

    files: JoinedFiles
    name: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """As RowReader has it."""
        return max(reader.dtype for reader in self.files.layers[self.name])

    @property
    def features(self) -> int:
        """As RowReader has it."""
        return self.files.layers[self.name][0].features

    def read(self, start: int, stop: int) -> np.ndarray:
        """As RowReader has it."""
        crops = self.files.crops
        return self.files.read(self.name, start // crops, stop // crops)


def gathered(
    layers: Sequence[RowReader], crops: int, images: np.ndarray, batch_bytes: int = BATCH_BYTES
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (span, rows): the rows of `images`, ascending numbers, as (rows, features of all layers).

    span says where they stand among the rows of the chosen images. Memory holds `batch_bytes`, or one image.
    """
    dtype = np.result_type(*(layer.dtype for layer in layers))
    features = sum(layer.features for layer in layers)
    step = max(1, batch_bytes // max(1, crops * features * dtype.itemsize))
    done = 0
    while done < len(images):
        first = int(images[done])
        until = int(np.searchsorted(images, first + step))
        last = int(images[until - 1]) + 1
        rows = ((images[done:until] - first)[:, None] * crops + np.arange(crops)).ravel()
        values = np.empty((len(rows), features), dtype)
        left = 0
        for layer in layers:
            values[:, left : left + layer.features] = layer.read(first * crops, last * crops)[rows]
            left += layer.features
        yield slice(done * crops, until * crops), values
        done = until


def allocate(shape: tuple[int, ...], dtype: Any, in_memory: int) -> np.ndarray:
    """An array of zeros; one of more than `in_memory` bytes lies in a temporary file (TMPDIR) that goes with it.

    Raises DoesNotFit if there is no room for that file.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= in_memory:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a hole that cannot be filled later would kill the process
        except OSError as error:
            raise DoesNotFit(
                f"{tempfile.gettempdir()} should have room for {size:,} bytes of features, which are more than "
                f"{in_memory:,} bytes of memory. Found: {error.strerror}.\nSet TMPDIR to a larger disk, or --memory."
            ) from error
        return np.memmap(file, dtype, "r+", shape=shape)
