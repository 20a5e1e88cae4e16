"""Images as callers from Python have them: paths, arrays of pixels, Pillow's own; their digests and their pixels."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from fne_cli.errors import BadInput
from fne_cli.images.lists.folders import png_bytes
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.reading import read_file


def as_images(given: Any) -> Sequence[Any] | None:
    """The images, one by one, if that is what was given; None if it is something else, such as a matrix.

    Images are a uint8 array (n, height, width, 3), or a sequence, array or column (of pandas) of paths, of uint8 arrays
    (height, width) or (height, width, 3), and of Pillow's images; each may be of another kind and size.
    """
    if isinstance(given, np.ndarray) and given.ndim == 4:
        return list(given) if given.dtype == np.uint8 and given.shape[3] == 3 else None
    listed = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    if not listed and not isinstance(given, np.ndarray) and not (hasattr(given, "to_numpy") and hasattr(given, "name")):
        return None
    one_by_one = given if listed else np.asarray(given, object)
    if len(one_by_one) == 0 or getattr(one_by_one, "ndim", 1) != 1:
        return None
    found = list(one_by_one)
    return found if all(map(_is_image, found)) else None


def _is_image(one: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == np.uint8 and (one.ndim == 2 or (one.ndim == 3 and one.shape[2] == 3))
    return isinstance(one, str | os.PathLike | Image.Image)


def digest(image: Any) -> str:
    """SHA-256 of the bytes of a file, or of pixels with their shape. Raises BadInput for a file that cannot be read."""
    if isinstance(image, str | os.PathLike):
        return hashlib.sha256(_content(image)).hexdigest()
    pixels = np.ascontiguousarray(image if isinstance(image, np.ndarray) else _upright(image))
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype}\n".encode() + pixels.tobytes()).hexdigest()


def pixels(image: Any, geometry: Geometry) -> np.ndarray:
    """(crops, height, width, 3) uint8 of one image. Raises BadInput, naming it, for one that cannot be used."""
    if isinstance(image, str | os.PathLike):
        name = os.fspath(image)
        decoded = decode(lambda: read_file(name), geometry)
    else:
        name = "an image of the array" if isinstance(image, np.ndarray) else "an image of Pillow"
        content = png_bytes(image) if isinstance(image, np.ndarray) else _png(image)
        decoded = decode(lambda: content, geometry)
    if decoded.status != Status.GOOD:
        raise BadInput(f"{name} should be an image. Found: {decoded.message}.")
    return decoded.pixels


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        return read_file(os.fspath(path))
    except OSError as error:
        raise BadInput(f"{os.fspath(path)} should be an image. Found: {error.strerror}.") from error


def _upright(image: Image.Image) -> np.ndarray:
    """The pixels as a PNG file would have them, of whatever mode."""
    return np.frombuffer(_png(image), np.uint8)


def _png(image: Image.Image) -> bytes:
    """A PNG file of it, turned as it is to be seen: so it is decoded as files are."""
    turned = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    try:
        turned.save(buffer, format="PNG")
    except (OSError, ValueError):  # a mode that PNG does not have
        buffer = io.BytesIO()
        turned.convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()
