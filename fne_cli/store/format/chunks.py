"""Appending rows to one HDF5 dataset so that a killed process can neither lose nor damage what was committed.

The dataset has its final size and every chunk its place in the file from the start (allocation time EARLY), so writing
rows changes no metadata. A chunk is assembled in memory and written whole, checksum included, and the rows before it
stay what they were: so a torn chunk does no harm. docs/reliability.md has the measurements.
"""

from __future__ import annotations

import sys
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from h5py._objects import phil

from fne_cli.store.format.schema import CHUNK_BYTES

_LITTLE = 1 << 26  # bytes of chunks, of all that this process reads and writes
_WORDS = 1 << 20  # whose sum by distance stays below 2^64 in chunks of less than 500 MB
_summed = 0


def rows_per_chunk(row_bytes: int, rows: int) -> int:
    """How many rows of `row_bytes` each make a chunk of about 1 MiB, of `rows` in all.

    Equal shares, so that the last chunk, which is stored whole, has few empty rows.
    """
    most = max(1, min(rows, CHUNK_BYTES // max(1, row_bytes)))
    return -(-rows // -(-rows // most)) if rows else 1


def stored_bytes(row_bytes: int, rows: int, dimensions: int) -> int:
    """An upper bound of what such a dataset takes in the file: whole chunks, their checksums, the index of chunks."""
    chunks = -(-rows // rows_per_chunk(row_bytes, rows)) if rows and row_bytes else 0
    node = 24 + 65 * (16 + 8 * dimensions) + 64 * 8  # of the version 1 B-tree: 64 chunks, at least half of them used
    content = chunks * (rows_per_chunk(row_bytes, rows) * row_bytes + 4) if chunks else 0
    return content + (chunks // 32 + 2) * node + 4096


def create_column(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any, chunk_rows: int | None = None
) -> h5py.Dataset:
    """A dataset of the shape's full size, chunked by rows and checksummed, with every chunk already allocated."""
    kind = np.dtype(dtype)
    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)
    if shape[0] and row_bytes:
        plist.set_chunk((chunk_rows or rows_per_chunk(row_bytes, shape[0]), *shape[1:]))
        plist.set_fletcher32()
        plist.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        plist.set_fill_time(h5d.FILL_TIME_NEVER)
    link = h5p.create(h5p.LINK_CREATE)
    if not name.isascii():
        link.set_char_encoding(h5t.CSET_UTF8)
    h5d.create(group.id, name.encode(), h5t.py_create(kind, logical=True), h5s.create_simple(shape), plist, link)
    return group[name]


def fletcher32(content: np.ndarray) -> int:
    """HDF5's checksum of a chunk, (bytes,) uint8; the chunk ends in its four bytes, the lowest first."""
    global _summed  # noqa: PLW0603  # of the process, as what it has imported
    _summed += len(content)
    if _summed <= _LITTLE and "numba" not in sys.modules:
        return plain_fletcher32(content)
    from fne_cli.store.format import checksum

    return checksum.fletcher32(content)


def plain_fletcher32(content: np.ndarray) -> int:
    """The same without numba, whose import takes as long as this does for 400 MB: who reads or writes little is done.

    The sum of the big-endian words, and that of the words by their distance from the end, modulo 65535, of which a
    multiple that is not 0 stands as 65535.
    """
    odd = len(content) % 2
    words = content[: len(content) - odd].view(">u2")
    total, first, second = len(words) + odd, 0, 0
    for start in range(0, len(words), _WORDS):
        part = words[start : start + _WORDS].astype(np.uint64)
        first += int(part.sum())
        second += int(part @ np.arange(total - start, total - start - len(part), -1, dtype=np.uint64))
    if odd:  # the last byte is the high half of a word
        first, second = first + 256 * int(content[-1]), second + 256 * int(content[-1])
    return (second % 65535 or 65535) << 16 | (first % 65535 or 65535) if first else 0


class Appender:
    """Fills a column of `create_column` from row `start` on, in order; chunks go past HDF5's own, slower, filter."""

    def __init__(self, dataset: h5py.Dataset, start: int = 0) -> None:
        self._dataset = dataset
        self.rows = start
        self._full = False
        self._total = dataset.shape[0]
        self._chunk: int = dataset.chunks[0] if dataset.chunks else max(1, self._total)  # rows without a byte
        row_bytes = int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize
        self._content = np.zeros(self._chunk * row_bytes + 4, np.uint8)  # rows and their checksum
        self._buffer = self._content[:-4].view(dataset.dtype).reshape(self._chunk, *dataset.shape[1:])
        filled = start % self._chunk
        if filled and dataset.chunks:
            self._buffer[:filled] = read_raw(dataset, start - filled)[:filled]

    def append(self, rows: np.ndarray) -> None:
        """Add rows of the dataset's row shape; whole chunks go to the file at once, the rest stays in memory."""
        if self.rows + len(rows) > self._total:
            raise ValueError(f"{self._dataset.name} has {self._total} rows; {self.rows} + {len(rows)} would not fit")
        while len(rows):
            filled = self.rows % self._chunk
            part = rows[: self._chunk - filled]
            self._buffer[filled : filled + len(part)] = part
            self.rows += len(part)
            rows = rows[len(part) :]
            if self.rows % self._chunk == 0:
                self._write(self.rows - self._chunk)
        if self.rows == self._total:
            self.flush()
            self._content, self._full = np.zeros(0, np.uint8), True  # many columns, one after the other, are not many
            self._buffer = self._buffer[:0].copy()

    def replace(self, numbers: np.ndarray, rows: np.ndarray) -> None:
        """Give rows that were appended before, by ascending number, other values."""
        in_memory = (numbers >= self.rows - self.rows % self._chunk) & (not self._full)
        replace_rows(self._dataset, numbers[~in_memory], rows[~in_memory])
        self._buffer[numbers[in_memory] % self._chunk] = rows[in_memory]

    def flush(self) -> None:
        """Write the chunk that is not full yet, zeros behind its rows."""
        filled = self.rows % self._chunk
        if filled and not self._full:
            self._buffer[filled:] = np.zeros((), self._dataset.dtype)
            self._write(self.rows - filled)

    def _write(self, row: int) -> None:
        if self._dataset.chunks is not None:
            write_chunk(self._dataset, row, self._content)


def read_raw(dataset: h5py.Dataset, row: int) -> np.ndarray:
    """The chunk that starts at `row`, whatever its checksum: a torn write leaves the old rows right, the sum wrong."""
    with phil:
        _, content = dataset.id.read_direct_chunk(_offset(dataset, row))
    return np.frombuffer(content[:-4], dataset.dtype).reshape(dataset.chunks).copy()


def read_rows(dataset: h5py.Dataset, count: int) -> np.ndarray:
    """The first `count` rows, by `read_raw`."""
    result = np.zeros((count, *dataset.shape[1:]), dataset.dtype)
    for start in range(0, count, dataset.chunks[0]) if dataset.chunks else ():
        rows = result[start : start + dataset.chunks[0]]
        rows[:] = read_raw(dataset, start)[: len(rows)]
    return result


def replace_rows(dataset: h5py.Dataset, numbers: np.ndarray, rows: np.ndarray) -> None:
    """Overwrite the rows of the given numbers in place, chunk by chunk, without trusting the old checksums."""
    if dataset.chunks is None:
        return
    chunk, row_bytes = dataset.chunks[0], int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize
    for first in (np.unique(numbers // chunk) * chunk).tolist():
        inside = (numbers >= first) & (numbers < first + chunk)
        content = np.zeros(dataset.chunks[0] * row_bytes + 4, np.uint8)
        values = content[:-4].view(dataset.dtype).reshape(dataset.chunks)
        values[:] = read_raw(dataset, first)
        values[numbers[inside] - first] = rows[inside]
        write_chunk(dataset, first, content)


def write_chunk(dataset: h5py.Dataset, row: int, content: np.ndarray) -> None:
    """Write the chunk that starts at `row`, (bytes + 4,) uint8, rows behind the dataset's end included.

    The last four bytes become its checksum.
    """
    content[-4:] = np.frombuffer(fletcher32(content[:-4]).to_bytes(4, "little"), np.uint8)
    # Alone among h5py's calls the two of direct chunks do not take its lock (seen in 3.14), and HDF5 must not
    # be entered by two threads: another thread's read made this one fail, or the process crash.
    with phil:
        dataset.id.write_direct_chunk(_offset(dataset, row), content)


def _offset(dataset: h5py.Dataset, row: int) -> tuple[int, ...]:
    return (row, *(0 for _ in dataset.shape[1:]))
