"""One image file -> RGB pixels of the network's size, or a status that says why not."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from fne_cli.images.bad import BadImage, Status
from fne_cli.images.geometry import Geometry, cropped

# Formats whose decoders are part of Pillow itself. EPS would start Ghostscript; PDF and WMF need other programs.
Image.init()
_WANTED = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "TGA")
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
MAX_BYTES = 1 << 31  # more than any image of so many pixels; a disk image named .jpg must not fill the memory

# The limit is checked below, before any pixel is decoded, and can be set; Pillow's own would only warn.
Image.MAX_IMAGE_PIXELS = None

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF


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
        pixels = cropped(_opened(content, geometry.max_pixels), geometry, box)
        return Decoded(pixels, Status.GOOD, "", digest)
    except BadImage as bad:
        status, message = bad.status, _stable(str(bad))
    except MemoryError:
        status, message = Status.TOO_LARGE, "not enough memory to decode it"
    nothing = np.zeros((geometry.crops, geometry.height, geometry.width, 3), np.uint8)
    return Decoded(nothing, status, message, digest)


def _stable(message: str) -> str:
    """One line without what differs between runs (addresses) or cannot be stored (NUL, half characters)."""
    text = " ".join(re.sub(r" at 0x[0-9a-f]+", "", message).replace("\0", "").split())
    return text.encode("utf-8", "backslashreplace").decode()


def read_file(path: str, offset: int = 0, size: int | None = None) -> bytes:
    """The bytes of a regular file, or `size` bytes of it from `offset`. Raises BadImage."""
    try:
        with open(path, "rb", opener=_not_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadImage(Status.UNREADABLE, "should be a regular file")
            available = max(0, status.st_size - offset)
            size = available if size is None else min(size, available)
            if size > MAX_BYTES:
                raise BadImage(Status.TOO_LARGE, f"{size} bytes, more than the limit of {MAX_BYTES}")
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError as error:
        raise BadImage(Status.MISSING, "no such file") from error
    except OSError as error:
        raise BadImage(Status.UNREADABLE, f"cannot be read: {error.strerror}") from error


def _not_waiting(path: str, flags: int) -> int:
    """An opener for which a FIFO without a writer does not hang the job."""
    return os.open(path, flags | os.O_NONBLOCK)


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
        turn = _TO_UPRIGHT.get(_orientation(image))
        rgb = _rgb(image)
    except UnidentifiedImageError as error:
        raise BadImage(Status.NOT_AN_IMAGE, f"not an image: {len(content)} bytes that begin {content[:8]!r}") from error
    except (BadImage, MemoryError):
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError, ...
        raise BadImage(Status.DAMAGED, f"damaged: {type(error).__name__}: {error}") from error
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """1 ... 8 as EXIF has it; 1 where EXIF is damaged, for the pixels are not."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as many kinds as decoders have
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits are scaled, not clipped; transparency is put on white, as pages and viewers do."""
    if image.mode == "F":
        raise BadImage(Status.UNSUPPORTED, "floating-point pixels have no known white; convert them to 8 bits")
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # these two hand over 16 bits so
        raise BadImage(Status.UNSUPPORTED, "32-bit or signed grey has no known white; convert it to 8 bits")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey (I;16 and its byte orders) as L; what its transparent value marks becomes white."""
    tags = getattr(image, "tag_v2", {})
    white = 2 ** int(tags.get(_BITS_PER_SAMPLE, (16,))[0]) - 1
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + white // 2) // white).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:  # WhiteIsZero, which Pillow turns round for 8 bits only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)
