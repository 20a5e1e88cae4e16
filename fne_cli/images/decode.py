"""One image file -> RGB pixels of the network's size, or a status that says why not. Pillow and NumPy, nothing else."""

from __future__ import annotations

import enum
import hashlib
import io
import math
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Formats whose decoders are part of Pillow itself. EPS would start Ghostscript; PDF and WMF need other programs.
Image.init()
_WANTED = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "TGA")
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
MAX_PIXELS = 178_956_970  # Pillow's own limit: a quarter of a gigabyte at three bytes a pixel
CROP_SHARE = 0.875  # a crop's side as a share of the resized image's (256 -> 224)

# The limit is checked below, before any pixel is decoded, and can be set; Pillow's own would only warn.
Image.MAX_IMAGE_PIXELS = None


class Status(enum.IntEnum):
    """Why an image has no features. The numbers are part of the file format."""

    GOOD = 0
    EMPTY = 1
    MISSING = 2
    UNREADABLE = 3
    NOT_AN_IMAGE = 4
    DAMAGED = 5
    TOO_LARGE = 6
    UNSUPPORTED = 7
    BOX_OUTSIDE = 8
    NOT_FINITE = 9  # the network's own doing


class BadImage(Exception):
    """An image without features: its status, and a message that names what was found."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Geometry:
    """From an image of any size to `crops` arrays of (height, width) pixels.

    resize: "squash" changes the aspect ratio; "crop" keeps it and takes the central part. crops: 1 the whole, 5 the
    corners and the centre, 10 those mirrored too. box_context enlarges a box about its centre (1.5 = by half).
    """

    height: int
    width: int
    resize: Literal["squash", "crop"] = "squash"
    crops: Literal[1, 5, 10] = 1
    box_context: float = 1.0
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class Decoded:
    """What became of one image: pixels (crops, height, width, 3) uint8 (zeros unless good), status, message, sha256."""

    pixels: np.ndarray
    status: Status
    message: str
    sha256: str


def decode(read: Callable[[], bytes], geometry: Geometry, box: np.ndarray | None = None) -> Decoded:
    """Read, decode, convert, cut out `box` (x0, y0, x1, y1), resize and crop one image. Never raises for a bad one."""
    digest = ""
    try:
        content = read()
        digest = hashlib.sha256(content).hexdigest()
        pixels = _crops(_opened(content, geometry.max_pixels), geometry, box)
        return Decoded(pixels, Status.GOOD, "", digest)
    except BadImage as bad:
        status, message = bad.status, _stable(str(bad))
    nothing = np.zeros((geometry.crops, geometry.height, geometry.width, 3), np.uint8)
    return Decoded(nothing, status, message, digest)


def _stable(message: str) -> str:
    """A decoder's message without what differs between runs (addresses) or cannot be stored (NUL, half characters)."""
    text = re.sub(r" at 0x[0-9a-f]+", "", message).replace("\0", "")
    return text.encode("utf-8", "backslashreplace").decode()


def read_file(path: str, offset: int = 0, size: int | None = None) -> bytes:
    """The bytes of a regular file, or `size` bytes of it from `offset`. Raises BadImage."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hang the job
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise BadImage(Status.UNREADABLE, "should be a regular file")
            file.seek(offset)
            available = max(0, os.fstat(handle).st_size - offset)
            return file.read(available if size is None else min(size, available))
    except FileNotFoundError as error:
        raise BadImage(Status.MISSING, "the file is gone") from error
    except OSError as error:
        raise BadImage(Status.UNREADABLE, f"cannot be read: {error.strerror}") from error


def _opened(content: bytes, max_pixels: int) -> Image.Image:
    """The image as upright RGB, as a person would see it."""
    if not content:
        raise BadImage(Status.EMPTY, "0 bytes")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise BadImage(
                Status.TOO_LARGE, f"{width} x {height} pixels, more than the limit of {max_pixels} (--max-pixels)"
            )
        image.load()
        return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise BadImage(Status.NOT_AN_IMAGE, f"not an image: {len(content)} bytes that begin {content[:8]!r}") from error
    except MemoryError as error:
        raise BadImage(Status.TOO_LARGE, "not enough memory to decode it") from error
    except BadImage:
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError, ...
        raise BadImage(Status.DAMAGED, f"damaged: {type(error).__name__}: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits are scaled, not clipped; transparency is put on white, as pages and viewers do."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # I;16 and its byte orders; I is how some decoders hand over 16 bits
        values = np.asarray(image).astype(np.int64)
        if values.size and not 0 <= values.min() <= values.max() <= 65535:
            raise BadImage(Status.UNSUPPORTED, f"32-bit grey values {values.min()} ... {values.max()}: no known white")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise BadImage(Status.UNSUPPORTED, "floating-point pixels have no known white; convert them to 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _crops(image: Image.Image, geometry: Geometry, box: np.ndarray | None) -> np.ndarray:
    """(crops, height, width, 3) uint8."""
    height, width = geometry.height, geometry.width
    region = _region(image, geometry, box)
    if geometry.crops == 1:
        return _resized(image, region, width, height, geometry.resize)[None]
    large_width, large_height = round(width / CROP_SHARE), round(height / CROP_SHARE)
    large = _resized(image, region, large_width, large_height, geometry.resize)
    down, right = large_height - height, large_width - width
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    cut = [large[top : top + height, left : left + width] for top, left in corners]
    if geometry.crops == 10:
        cut += [crop[:, ::-1] for crop in cut]
    return np.stack(cut)


def _region(image: Image.Image, geometry: Geometry, box: np.ndarray | None) -> tuple[float, float, float, float]:
    """The part of the image to use, in pixels: the box with its context, cut at the image's border."""
    width, height = image.size
    if box is None or math.isinf(box[2]):
        return 0.0, 0.0, float(width), float(height)
    x0, y0, x1, y1 = (float(value) for value in box)
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    half_x, half_y = (x1 - x0) / 2 * geometry.box_context, (y1 - y0) / 2 * geometry.box_context
    left, top = max(0, math.floor(centre_x - half_x)), max(0, math.floor(centre_y - half_y))
    right, bottom = min(width, math.ceil(centre_x + half_x)), min(height, math.ceil(centre_y + half_y))
    if left >= right or top >= bottom:
        raise BadImage(
            Status.BOX_OUTSIDE, f"the box {x0:g},{y0:g},{x1:g},{y1:g} is outside the {width} x {height} image"
        )
    return float(left), float(top), float(right), float(bottom)


def _resized(
    image: Image.Image, region: tuple[float, float, float, float], width: int, height: int, resize: str
) -> np.ndarray:
    """(height, width, 3) uint8: the region, bilinear with antialiasing."""
    left, top, right, bottom = region
    # Resizing happens inside the cut-out, so that nothing from outside a box bleeds into it.
    if region != (0.0, 0.0, float(image.width), float(image.height)):
        image = image.crop((int(left), int(top), int(right), int(bottom)))
    inner = None
    if resize == "crop":
        scale = min(image.width / width, image.height / height)
        spare_x, spare_y = image.width - width * scale, image.height - height * scale
        inner = (spare_x / 2, spare_y / 2, image.width - spare_x / 2, image.height - spare_y / 2)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=inner))
