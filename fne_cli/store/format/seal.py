"""The seal at the end of a file: a digest over every byte that is not a chunk's, so that each byte is under a checksum.

Chunks of HDF5 have checksums of their own, looked at wherever they are read. All else has none: superblock, headers,
types, the index of chunks, attributes, small datasets, gaps. One bit there can be another number, or another chunk,
without a word from HDF5. The seal says where the chunks are and has the SHA-256 of the rest; it is looked at before
HDF5 opens the file. HDF5 itself does not mind bytes behind the end of its file.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.errors import DamagedFile

MAGIC = b"fneseal1"
_TAIL = struct.Struct("<32sQQ8s")  # SHA-256, bytes of the HDF5 file, number of spans of chunks, MAGIC
_SPAN = 16  # bytes: where it starts and stops, <u8 each
_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Put the seal behind a closed file that has none. Raises OSError of the disk."""
    size = os.path.getsize(path)
    with h5py.File(path, "r", locking=False) as file:
        spans = _chunk_spans(file)
    with open(path, "r+b") as file:
        digest = _digest(file, size, spans)
        file.seek(size)
        file.write(spans.tobytes() + _TAIL.pack(digest, size, len(spans), MAGIC))


def unseal(path: Path) -> None:
    """Take the seal off, as whoever goes on writing has to."""
    with open(path, "r+b") as file:
        if (found := _tail(file)) is not None:
            file.truncate(found[1])


def check_seal(path: Path) -> bool:
    """Whether a file has a seal. Raises DamagedFile if it does not fit, OSError."""
    with open(path, "rb") as file:
        found = _tail(file)
        if found is None:
            return False
        digest, size, count = found
        file.seek(size)
        spans = np.frombuffer(file.read(count * _SPAN), "<u8").reshape(-1, 2)
        borders = spans.ravel()
        sound = not len(borders) or ((np.diff(borders.astype(np.int64)) >= 0).all() and borders[-1] <= size)
        if not sound or _digest(file, size, spans) != digest:
            raise DamagedFile(
                f"{path} should be a file as fne writes it. Found: bytes that have changed since.",
                remedy="Fetch a good copy, or make it again with --overwrite.",
            )
    return True


def ends_sealed(path: Path) -> bool:
    """Whether a file ends as ours do, whatever became of the rest."""
    with open(path, "rb") as file:
        return _tail(file) is not None


def _tail(file: Any) -> tuple[bytes, int, int] | None:
    """Digest, bytes of the HDF5 file and number of spans, if the file ends in a seal."""
    end = os.fstat(file.fileno()).st_size
    if end < _TAIL.size:
        return None
    file.seek(end - _TAIL.size)
    digest, size, count, magic = _TAIL.unpack(file.read(_TAIL.size))
    return (digest, size, count) if magic == MAGIC and size + count * _SPAN + _TAIL.size == end else None


def _chunk_spans(file: h5py.File) -> np.ndarray:
    """(n, 2) <u8: where chunks with a checksum start and stop, ascending, those that touch as one."""
    found: list[tuple[int, int]] = []

    def look(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None and item.fletcher32:
            if hasattr(item.id, "chunk_iter"):
                item.id.chunk_iter(lambda info: found.append((info.byte_offset, info.byte_offset + info.size)))
            else:  # HDF5 before 1.12.3
                infos = (item.id.get_chunk_info(number) for number in range(item.id.get_num_chunks()))
                found.extend((info.byte_offset, info.byte_offset + info.size) for info in infos)

    file.visititems(look)
    merged: list[list[int]] = []
    for start, stop in sorted(found):
        if merged and merged[-1][1] == start:
            merged[-1][1] = stop
        else:
            merged.append([start, stop])
    return np.array(merged, "<u8").reshape(-1, 2)


def _digest(file: Any, size: int, spans: np.ndarray) -> bytes:
    """Over where the chunks are, and all bytes between them."""
    digest = hashlib.sha256(MAGIC + struct.pack("<Q", size) + spans.tobytes())
    for start, stop in _between(size, spans):
        file.seek(start)
        for at in range(start, stop, _BLOCK):
            digest.update(file.read(min(_BLOCK, stop - at)))
    return digest.digest()


def _between(size: int, spans: np.ndarray) -> Iterator[tuple[int, int]]:
    start = 0
    for first, last in spans.tolist():
        yield start, first
        start = last
    yield start, size
