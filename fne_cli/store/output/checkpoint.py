"""OUTPUT.checkpoint: arrays that a long computation goes on from, replaced whole, and read with distrust.

The file: MAGIC; the length of the head, 8 bytes, least first; the head, JSON, which says of each array its name, type
and shape; the arrays one after another; the SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.format.text import parse_json
from fne_cli.store.output.own import replacing, scratch_of, sweep

_MAGIC = b"fne checkpoint 1\n"
_TYPES = ("float32", "float64", "int32", "int64", "uint32", "uint8", "bool")
_HEAD = 64 << 20


def place_of(output: Path) -> Path:
    """OUTPUT.checkpoint."""
    return output.with_name(output.name + ".checkpoint")


def write(output: Path, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Replace the checkpoint of an output; it is on the disk when this returns. The output's lock is held."""
    told = [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({**head, "arrays": told}).encode()
    digest = hashlib.sha256()
    with replacing(place_of(output)) as file:
        for part in (_MAGIC, len(text).to_bytes(8, "little"), text, *map(_bytes, arrays.values())):
            file.write(part)
            digest.update(part)
        file.write(digest.digest())


def _bytes(array: np.ndarray) -> Any:
    """The bytes of an array, without a copy where it has them in order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def read(output: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Head and arrays of an output's checkpoint, None if there is none. Raises DamagedFile."""
    path = place_of(output)
    if not path.is_file() or path.is_symlink():
        return None
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DamagedFile(
            f"{path} should be a checkpoint as fne wrote it. Found: {error or 'something else'}.",
            remedy="--overwrite begins again.",
        ) from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with open(path, "rb") as file:
        size, digest = os.fstat(file.fileno()).st_size, hashlib.sha256()

        def take(count: int) -> bytes:
            if not 0 <= count <= size - file.tell():
                raise ValueError("a file that ends too early")
            part = file.read(count)
            digest.update(part)
            return part

        if take(len(_MAGIC)) != _MAGIC:
            raise ValueError("another file")
        length = int.from_bytes(take(8), "little")
        head = parse_json(take(min(length, _HEAD)))
        arrays = {}
        for name, kind, shape in head.pop("arrays"):
            if kind not in _TYPES or not all(type(side) is int and side >= 0 for side in shape):
                raise ValueError("an array of another type")
            content = take(math.prod(shape) * np.dtype(kind).itemsize)
            arrays[name] = np.frombuffer(content, kind).reshape(shape)
        if file.read() != digest.digest():
            raise ValueError("bytes that have changed since")
        return head, arrays


def remove(output: Path) -> None:
    """Remove the checkpoint, and what a kill has left of writing one."""
    place_of(output).unlink(missing_ok=True)
    sweep(scratch_of(place_of(output)))
