"""Reading a layer's chunks past HDF5's own read path, which checks a checksum ten times slower than memory can be read.

HDF5 says where a chunk stands; the bytes are read and checked outside its lock and Python's, so threads do it side by
side. Whatever is unusual about a layer or a chunk is left to HDF5, and so is the last word on a damaged one.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
from h5py import h5z

from fne_cli.store.format.reader import LayerReader

Checksum = Callable[[np.ndarray], int]

_buffers = threading.local()


class DirectLayer:
    """Reads a layer chunk by chunk; `checksum` is Fletcher-32 of (bytes,) uint8. Any thread may read."""

    def __init__(self, layer: LayerReader, checksum: Checksum) -> None:
        self._layer = layer
        self._checksum = checksum
        self._row_bytes = layer.features * layer.dtype.itemsize
        self._size = layer.chunk_rows * self._row_bytes
        self._places = _places(layer, self._size + 4)
        self._file = layer.descriptor

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Cut rows start ... stop - 1 at the borders of chunks."""
        step = self._layer.chunk_rows
        while start < stop:
            end = min(stop, (start // step + 1) * step)
            yield start, end
            start = end

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start ... stop - 1 of one chunk, (rows, features), valid until this thread reads the next ones.

        Raises DamagedFile.
        """
        number = start // self._layer.chunk_rows
        place = self._places[number] if number < len(self._places) else 0
        if place:
            buffer, filled = _buffer(self._size + 4), 0
            with contextlib.suppress(OSError):  # HDF5 will meet it too, and say what it is
                filled = os.preadv(self._file, [buffer.data], place)
            if filled == len(buffer):
                content = buffer[: self._size]
                if self._checksum(content) == int(buffer[self._size :].view("<u4")[0]):
                    rows = content.view(self._layer.dtype).reshape(self._layer.chunk_rows, self._layer.features)
                    first = number * self._layer.chunk_rows
                    return rows[start - first : stop - first]
        return self._layer.read(start, stop)


def _places(layer: LayerReader, size: int) -> np.ndarray:
    """Where each chunk stands in the file, 0 if HDF5 had better read it."""
    dataset = layer.dataset
    count = -(-layer.shape[0] // layer.chunk_rows)
    places = np.zeros(count, np.int64)
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    plain = filters == [h5z.FILTER_FLETCHER32] and dataset.dtype.isnative and not dataset.file.userblock_size
    if plain and hasattr(dataset.id, "chunk_iter") and dataset.chunks[1:] == dataset.shape[1:] and size % 4 == 0:

        def note(chunk: object) -> None:
            if chunk.filter_mask == 0 and chunk.size == size:  # type: ignore[attr-defined]  # h5py has no types
                places[chunk.chunk_offset[0] // layer.chunk_rows] = chunk.byte_offset  # type: ignore[attr-defined]  # h5py has no types

        dataset.id.chunk_iter(note)
    return places


def _buffer(size: int) -> np.ndarray:
    """The buffer of the calling thread, at least one chunk long."""
    buffer: np.ndarray | None = getattr(_buffers, "content", None)
    if buffer is None or len(buffer) < size:
        buffer = _buffers.content = np.empty(size, np.uint8)
    return buffer[:size]
