"""One layer of a file: its rows, plain or packed, read by HDF5 or, faster, chunk by chunk.

Packed codes are two bit planes, (rows, 2, bytes) uint8; docs/format.md has three lines that read them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5z

from fne_cli.errors import DamagedFile
from fne_cli.store.format import claims
from fne_cli.store.format.chunks import fletcher32, rows_per_chunk
from fne_cli.store.format.schema import MADE_BY

PACKING = "bit planes"

_buffers = threading.local()


class LayerReader:
    """One layer: (rows, *row_shape) values, read in batches of whole chunks."""

    def __init__(
        self, path: Path, kind: str, name: str, dataset: h5py.Dataset, attrs: dict[str, Any], packed: bool
    ) -> None:
        self.path, self.kind, self.name = path, kind, name
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype
        self.attrs = attrs
        self.packed = packed
        if packed:
            self.shape, self.dtype = (dataset.shape[0], packed_features(path, dataset)), np.dtype(np.int8)
        self._dataset = dataset
        row_bytes = self.features * self.dtype.itemsize
        self.chunk_rows: int = dataset.chunks[0] if dataset.chunks else rows_per_chunk(row_bytes, self.shape[0])

    @property
    def features(self) -> int:
        """Number of columns of the flattened row."""
        return int(np.prod(self.shape[1:], dtype=np.int64))

    def by_chunks(self) -> ChunkReader:
        """What reads it faster, chunk by chunk."""
        return ChunkReader(self, self._dataset)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start ... stop - 1 as (rows, features), unpacked. Raises DamagedFile naming file, layer and rows."""
        values = self.read_stored(start, stop)
        return unpack(values, self.features) if self.packed else values.reshape(stop - start, self.features)

    def read_stored(self, start: int, stop: int) -> np.ndarray:
        """The same rows as they stand in the file, (rows, *stored shape)."""
        try:
            return self._dataset[start:stop]
        except (OSError, RuntimeError, ValueError) as error:
            raise DamagedFile(
                f"layer {self.name}, rows {start}-{stop - 1} are damaged ({claims.reason(error)}).",
                file=self.path,
                remedy=f"Make the file again with {MADE_BY[self.kind]} --overwrite, or fetch a good copy.",
            ) from error

    def batches(self, batch_rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (span, rows) over all rows; a batch is whole chunks, as many as `batch_rows` holds, at least one."""
        step = max(1, batch_rows // self.chunk_rows) * self.chunk_rows
        for start in range(0, self.shape[0], step):
            stop = min(start + step, self.shape[0])
            yield slice(start, stop), self.read(start, stop)


class ChunkReader:
    """Reads the chunks of a layer past HDF5's own read path, which checks a checksum ten times slower than memory is.

    HDF5 says where a chunk stands; the bytes are read and checked outside its lock and Python's, so threads do it side
    by side, any of them. Whatever is unusual about a layer or a chunk is left to HDF5, and so is the last word on a
    damaged one.
    """

    def __init__(self, layer: LayerReader, dataset: h5py.Dataset) -> None:
        self._layer = layer
        self._size = layer.chunk_rows * layer.features * layer.dtype.itemsize
        self._places = _places(dataset, layer.chunk_rows, self._size + 4)
        self._file: int = dataset.file.id.get_vfd_handle()

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
                if fletcher32(content) == int(buffer[self._size :].view("<u4")[0]):
                    rows = content.view(self._layer.dtype).reshape(self._layer.chunk_rows, self._layer.features)
                    first = number * self._layer.chunk_rows
                    return rows[start - first : stop - first]
        return self._layer.read(start, stop)


def _places(dataset: h5py.Dataset, chunk_rows: int, size: int) -> np.ndarray:
    """Where each chunk stands in the file, 0 if HDF5 had better read it."""
    count = -(-dataset.shape[0] // chunk_rows)
    places = np.zeros(count, np.int64)
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    plain = filters == [h5z.FILTER_FLETCHER32] and dataset.dtype.isnative and not dataset.file.userblock_size
    if plain and hasattr(dataset.id, "chunk_iter") and dataset.chunks[1:] == dataset.shape[1:] and size % 4 == 0:

        def note(chunk: object) -> None:
            if chunk.filter_mask == 0 and chunk.size == size:  # type: ignore[attr-defined]  # h5py has no types
                places[chunk.chunk_offset[0] // chunk_rows] = chunk.byte_offset  # type: ignore[attr-defined]  # h5py has no types

        dataset.id.chunk_iter(note)
    return places


def _buffer(size: int) -> np.ndarray:
    """The buffer of the calling thread, at least one chunk long."""
    buffer: np.ndarray | None = getattr(_buffers, "content", None)
    if buffer is None or len(buffer) < size:
        buffer = _buffers.content = np.empty(size, np.uint8)
    return buffer[:size]


def packed_features(path: Path, dataset: h5py.Dataset) -> int:
    """How many codes a row of a packed layer has. Raises DamagedFile if its header contradicts itself."""
    packing, features = (claims.attribute(path, dataset, name) for name in ("packing", "features"))
    told = packing == PACKING and type(features) is int and features > 0
    if not told or dataset.shape[1:] != (2, -(-features // 8)):
        raise DamagedFile(
            f"{path}: {dataset.name.lstrip('/')} should be {PACKING} of its features, (rows, 2, features / 8). "
            f"Found: {str(packing)[:60]}, {str(features)[:60]} features, shape {dataset.shape}."
        )
    return features


def unpack(planes: np.ndarray, features: int) -> np.ndarray:
    """Codes, (rows, features) int8, of planes, (rows, 2, bytes) uint8."""
    bits = np.unpackbits(planes, axis=2, count=features, bitorder="little").view(np.int8)
    codes: np.ndarray = np.subtract(bits[:, 0], bits[:, 1])
    return codes


def impossible(planes: np.ndarray, features: int) -> bool:
    """Whether a code is both -1 and 1, or a bit behind the last feature is set."""
    both = (planes[:, 0] & planes[:, 1]).any()
    behind = planes[:, :, -1] >> (features - 1) % 8 >> 1
    return bool(both or behind.any())
