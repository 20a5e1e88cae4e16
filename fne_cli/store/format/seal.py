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
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fne_cli.errors import DamagedFile

if TYPE_CHECKING:  # who is up to date need not wait for them
    import h5py

MAGIC = b"fneseal1"
_TAIL = struct.Struct("<32sQQ8s")  # SHA-256, bytes of the HDF5 file, number of spans of chunks, MAGIC
_SPAN = 16  # bytes: where it starts and stops, <u8 each
_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Put the seal behind a closed file that has none. Raises OSError of the disk."""
    size = os.path.getsize(path)
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        borders = _chunk_borders(file)
    with open(path, "r+b") as file:
        digest = _digest(file, size, borders)
        file.seek(size)
        file.write(_packed(borders) + _TAIL.pack(digest, size, len(borders) // 2, MAGIC))


def unseal(path: Path) -> None:
    """Take the seal off, as whoever goes on writing has to."""
    with open(path, "r+b") as file:
        if (found := _tail(file)) is not None:
            file.truncate(found[1])


def check_seal(path: Path) -> bool:
    """Whether a file has a seal. Raises DamagedFile if it does not fit, OSError."""
    with open(path, "rb") as file:
        return _checked(path, file) is not None


def _checked(path: Path, file: Any) -> bytes | None:
    """The digest of the seal, which fits; None if there is no seal."""
    found = _tail(file)
    if found is None:
        return None
    digest, size, count = found
    file.seek(size)
    borders = array("Q", file.read(count * _SPAN))
    if sys.byteorder == "big":
        borders.byteswap()
    if not _ascending(borders, size) or _digest(file, size, borders) != digest:
        raise DamagedFile(
            f"{path} should be a file as fne writes it. Found: bytes that have changed since.",
            remedy="Fetch a good copy, or make it again with --overwrite.",
        )
    return digest


def intact(path: Path) -> dict[str, Any]:
    """What `is_intact` is to know of a sealed file: the digest of its seal, and that of its image table's chunks."""
    import h5py

    with h5py.File(path, "r", locking=False) as opened:
        borders = _chunk_borders(opened["images"])
    with open(path, "rb") as file:
        found = _tail(file)
        assert found is not None
        return {"seal": found[0].hex(), "table": borders.tolist(), "sha256": _hashed(file, borders)}


def is_intact(path: Path, known: Any) -> bool:
    """Whether a file is, in all but its layers' rows, byte for byte what `intact` saw: asked without HDF5.

    So it is still what it was found to be then. known: from a record, which may be any JSON. Raises DamagedFile, as
    `check_seal`, OSError.
    """
    borders = known.get("table") if isinstance(known, dict) else None
    if not isinstance(borders, list) or len(borders) % 2 or not all(type(border) is int for border in borders):
        return False
    with open(path, "rb") as file:
        if not _ascending(borders, os.fstat(file.fileno()).st_size):
            return False
        digest = _checked(path, file)
        return (
            digest is not None and digest.hex() == known.get("seal") and _hashed(file, borders) == known.get("sha256")
        )


def _ascending(borders: Sequence[int], size: int) -> bool:
    """Whether spans stand one behind the other in so many bytes."""
    return all(before <= behind for before, behind in pairwise(chain((0,), borders, (size,))))


def _packed(borders: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(borders)}Q", *borders)


def _hashed(file: Any, borders: Sequence[int]) -> str:
    digest = hashlib.sha256()
    _add(digest, file, zip(borders[::2], borders[1::2], strict=True))
    return digest.hexdigest()


def _add(digest: hashlib._Hash, file: Any, spans: Iterable[tuple[int, int]]) -> None:
    """Hash the bytes of spans."""
    for start, stop in spans:
        file.seek(start)
        for at in range(start, stop, _BLOCK):
            digest.update(file.read(min(_BLOCK, stop - at)))


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


def _chunk_borders(group: h5py.Group) -> array[int]:
    """Where chunks with a checksum start and stop, ascending, those that touch as one."""
    import h5py

    found: list[tuple[int, int]] = []

    def look(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None and item.fletcher32:
            if hasattr(item.id, "chunk_iter"):
                item.id.chunk_iter(lambda info: found.append((info.byte_offset, info.byte_offset + info.size)))
            else:  # HDF5 before 1.12.3
                infos = (item.id.get_chunk_info(number) for number in range(item.id.get_num_chunks()))
                found.extend((info.byte_offset, info.byte_offset + info.size) for info in infos)

    group.visititems(look)
    borders = array("Q")
    for start, stop in sorted(found):
        if borders and borders[-1] == start:
            borders[-1] = stop
        else:
            borders.extend((start, stop))
    return borders


def _digest(file: Any, size: int, borders: Sequence[int]) -> bytes:
    """Over where the chunks are, and all bytes between them."""
    digest = hashlib.sha256(MAGIC + struct.pack("<Q", size) + _packed(borders))
    _add(digest, file, _between(size, borders))
    return digest.digest()


def _between(size: int, borders: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for first, last in zip(borders[::2], borders[1::2], strict=True):
        yield start, first
        start = last
    yield start, size
