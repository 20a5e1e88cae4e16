"""What a file's structure claims, looked at before it is believed: links, sizes, types, attributes.

A file may come from anywhere. Nothing here follows a link out of the file, and nothing larger than the file is read.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.errors import DamagedFile, DoesNotFit, is_of_memory
from fne_cli.store.format.text import parse_json

_ATTRIBUTE_BYTES = 1 << 16
# What h5py makes of a broken structure depends on where HDF5 stumbles.
_STUMBLES = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@contextmanager
def doubted(path: Path) -> Iterator[None]:
    """While open, whatever HDF5 stumbles over in the file becomes DamagedFile; DoesNotFit if that is memory."""
    try:
        yield
    except _STUMBLES as error:
        if is_of_memory(error):
            why = f"{path} needs more memory than there is, or is damaged. Found: {reason(error)}."
            raise DoesNotFit(why) from error
        raise DamagedFile(f"{path} should be a file as fne writes it. Found: {reason(error)}.") from error


def reason(error: BaseException) -> str:
    """HDF5's message in a few words."""
    text = str(error)
    told = re.search(r"error message = '([^']*)'", text)
    for sign, meaning in (("truncated file", "a truncated file"), ("filter returned failure", "a wrong checksum")):
        if sign in text:
            return meaning
    return told[1] if told else (text.splitlines() or [type(error).__name__])[0]


def attribute(path: Path, item: h5py.HLObject, name: str) -> Any:
    """An attribute as a plain str, int, float or list of floats. Raises DamagedFile if it is missing or anything else.

    Text of variable length is refused: a damaged heap, where it lies, makes HDF5 1.14 run in circles. To be called
    within `doubted`.
    """
    where = f"{path}: attribute {name} of {item.name}"
    if name not in item.attrs:
        raise DamagedFile(f"{where} should exist. Found: none.")
    claimed = item.attrs.get_id(name)
    text = h5py.check_string_dtype(claimed.dtype)
    shape, dtype = claimed.shape, claimed.dtype
    plain = shape == () and text.length if text else dtype.kind in "iuf" and shape is not None and len(shape) <= 1
    if not plain or claimed.get_storage_size() > _ATTRIBUTE_BYTES:
        raise DamagedFile(f"{where} should be a text of fixed length or a number. Found: {dtype} of shape {shape}.")
    value = item.attrs[name]
    return value.decode() if text else value.tolist()


def json_attribute(path: Path, item: h5py.HLObject, name: str, kind: type) -> Any:
    """An attribute that holds a JSON object (kind dict) or array (kind list)."""
    text = attribute(path, item, name)
    try:
        value = parse_json(text if isinstance(text, str) else "")
    except ValueError as error:
        raise DamagedFile(f"{path}: attribute {name} should be JSON. Found: {error}.") from error
    if not isinstance(value, kind):
        raise DamagedFile(
            f"{path}: attribute {name} should be a JSON {'object' if kind is dict else 'array'}. "
            f"Found: {type(value).__name__}."
        )
    return value


def group(path: Path, file: h5py.File, name: str) -> h5py.Group:
    """A group that lies in this file."""
    found = _own(path, file, name)
    if not isinstance(found, h5py.Group):
        raise DamagedFile(f"{path} should have a group {name}. Found: a {type(found).__name__.lower()}.")
    return found


def dataset(path: Path, file: h5py.File, name: str, types: str, *dimensions: int) -> h5py.Dataset:
    """A dataset that lies in this file and is no larger than it, whatever its header claims.

    types: the permitted ones, as "f4 f2"; S is text of any fixed length. dimensions: the permitted numbers of them
    (default: two or more).
    """
    found = _own(path, file, name)
    if not isinstance(found, h5py.Dataset):
        raise DamagedFile(f"{path} should have a dataset {name}. Found: a {type(found).__name__.lower()}.")
    shape = found.shape
    if shape is None or (len(shape) not in dimensions if dimensions else len(shape) < 2):
        expected = " or ".join(map(str, dimensions)) or "two or more"
        raise DamagedFile(f"{path}: {name} should have {expected} dimensions. Found: shape {shape}.")
    dtype = found.dtype
    if dtype.kind + ("" if dtype.kind == "S" else str(dtype.itemsize)) not in types.split():
        raise DamagedFile(f"{path}: {name} should be of type {types.replace(' ', ' or ')}. Found: {dtype}.")
    if found.is_virtual or found.external:
        raise DamagedFile(f"{path}: {name} should lie in the file itself. Found: a reference to other files.")
    pipeline = found.id.get_create_plist()
    filters = {pipeline.get_filter(number)[0] for number in range(pipeline.get_nfilters())}
    if filters - {h5py.h5z.FILTER_FLETCHER32}:
        raise DamagedFile(
            f"{path}: {name} should have no filter but the checksum. Found: compression.\n"
            f"h5repack -f NONE {path} NEW removes it."
        )
    size = os.path.getsize(path)
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size:
        raise DamagedFile(f"{path}: {name} claims {wanted:,} bytes in a file of {size:,} bytes.")
    _check_chunks(path, name, found, size, 4 * len(filters))
    return found


def _check_chunks(path: Path, name: str, found: h5py.Dataset, size: int, checksum: int) -> None:
    """Every chunk has a place of its own in the file, and its full length.

    HDF5 reads a chunk that is missing as zeros, and one that is too short as what lies behind its buffer, if it can.
    """
    shape, chunks = found.shape, found.chunks
    if chunks is None:
        whole = math.prod(shape) == 0 or found.id.get_offset() is not None
    elif any(chunk > length for chunk, length in zip(chunks, shape, strict=True)):
        whole = False
    else:
        stored = math.prod(chunks) * found.dtype.itemsize + checksum
        places: dict[tuple[int, ...], int] = {}

        def look(info: Any) -> bool | None:
            fits = info.size == stored and not info.filter_mask and info.byte_offset + stored <= size
            inside = all(
                at % chunk == 0 and at < end for at, chunk, end in zip(info.chunk_offset, chunks, shape, strict=True)
            )
            places[info.chunk_offset] = info.byte_offset
            return None if fits and inside else True  # anything but None ends the walk

        count = math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
        if hasattr(found.id, "chunk_iter"):
            broken = found.id.chunk_iter(look)
        else:  # HDF5 before 1.12.3, slower
            broken = any(look(found.id.get_chunk_info(number)) for number in range(found.id.get_num_chunks()))
        whole = not broken and count == len(places) == len(set(places.values()))
    if not whole:
        raise DamagedFile(f"{path}: {name} should have every chunk once and whole. Found: a broken index.")


def values(path: Path, column: h5py.Dataset, span: slice = slice(None)) -> np.ndarray:
    """Rows of a dataset. Raises DamagedFile."""
    try:
        return column[span]
    except _STUMBLES as error:
        raise DamagedFile(f"{column.name.lstrip('/')} cannot be read ({reason(error)}).", file=path) from error


def _own(path: Path, file: h5py.File, name: str) -> Any:
    """What stands under a path of hard links: soft and external ones could lead anywhere."""
    found: Any = file
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise DamagedFile(f"{path} should have {name}. Found: none.")
        found = found[part]
    return found
