"""Reading HDF5 files of Keras with distrust: no links, no other files, and no array of another shape than expected."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

_HEAP, _HEAD, _ENTRY = b"GCOL\1\0\0\0", struct.Struct("<8sQ"), struct.Struct("<H6xQ")
_BLOCK, _LARGEST = 1 << 24, 1 << 26
_DEEP = 32
_MANY = 200_000


class Suspicious(ValueError):
    """A file has what no file of Keras has."""


def opened(file: Any) -> Any:
    """An HDF5 file by its path, or by a file object, for reading. Raises Suspicious for one that would never end."""
    import h5py

    if hasattr(file, "read"):
        _check_heaps(file)
    else:
        with open(file, "rb") as stream:
            _check_heaps(stream)
    return h5py.File(file)


def _check_heaps(stream: BinaryIO) -> None:
    """Attributes of Keras are texts of any length, which lie in heaps, one entry after the other.

    HDF5 1.14 goes round for ever at an entry of no length. ("GCOL", version 1, the heap's bytes; then of each entry its
    number, 0 for what is free, and its bytes: HDF5 File Format Specification, III.E.)
    """
    stream.seek(0)
    start, block = 0, b""
    while part := stream.read(_BLOCK):
        block = block[-len(_HEAP) + 1 :] + part
        at = block.find(_HEAP)
        while at >= 0:
            stream.seek(start + at)
            if _goes_round(stream.read(_HEAD.size), stream):
                raise Suspicious("it has an entry of no length in its heap of texts")
            at = block.find(_HEAP, at + 1)
        start += len(block) - len(_HEAP) + 1
        stream.seek(start + len(_HEAP) - 1)


def _goes_round(head: bytes, stream: BinaryIO) -> bool:
    size = _HEAD.unpack(head)[1] if len(head) == _HEAD.size else 0
    heap = stream.read(min(size, _LARGEST))
    at = 0
    while at + _ENTRY.size <= len(heap):
        number, length = _ENTRY.unpack_from(heap, at)
        step = _ENTRY.size + -(-length // 8) * 8 if number else length
        if step == 0:
            return True
        at += step
    return False


def text(item: Any, name: str) -> str | None:
    """An attribute of text, None if there is none."""
    if name not in item.attrs:
        return None
    if item.attrs.get_id(name).shape != ():
        raise Suspicious(f"{name} should be one text")
    value = item.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def group(parent: Any, name: str) -> Any:
    """A group in a group, by one name or several with slashes; None if there is none."""
    import h5py

    for part in name.split("/"):
        if part not in parent:
            return None
        parent = _own(parent, part)
        if not isinstance(parent, h5py.Group):
            return None
    return parent


def groups(parent: Any) -> Iterator[tuple[str, Any]]:
    """The groups in a group, with their names."""
    import h5py

    for name in parent:
        item = _own(parent, name)
        if isinstance(item, h5py.Group):
            yield name, item


def datasets(parent: Any) -> dict[tuple[str, ...], Any]:
    """All datasets below a group, by the parts of their paths. Raises Suspicious for links."""
    import h5py

    found: dict[tuple[str, ...], Any] = {}
    ahead: deque[tuple[tuple[str, ...], Any]] = deque([((), parent)])
    seen = 0
    while ahead:
        path, item = ahead.popleft()
        for name in item:
            seen += 1
            if len(path) >= _DEEP or seen > _MANY:
                raise Suspicious("its groups have no end")
            inner = _own(item, name)
            if isinstance(inner, h5py.Group):
                ahead.append(((*path, name), inner))
            elif isinstance(inner, h5py.Dataset):
                found[*path, name] = inner
    return found


def array(dataset: Any, shape: Sequence[int]) -> np.ndarray:
    """The numbers of a dataset, which should have this shape: nothing is read that claims another."""
    if tuple(dataset.shape) != tuple(shape):
        raise ValueError(f"{dataset.name} should be {_by(shape)}. Found: {_by(dataset.shape)}.")
    if dataset.external or dataset.is_virtual:
        raise Suspicious(f"{dataset.name} lies in another file")
    if dataset.dtype.kind not in "fiub":
        raise Suspicious(f"{dataset.name} should have numbers. Found: {dataset.dtype}.")
    return np.asarray(dataset[()])


def _own(parent: Any, name: str) -> Any:
    import h5py

    link = parent.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise Suspicious(f"{parent.name}/{name} is a link")
    return parent[name]


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"
