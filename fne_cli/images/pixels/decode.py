"""One image file -> RGB pixels of the network's size, or a status that says why not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.formats import looks_like_image
from fne_cli.images.pixels.geometry import Geometry, Whole, cropped, reduction
from fne_cli.images.pixels.memory import Share, needed
from fne_cli.images.pixels.opening import REDUCIBLE, upright, whole


@dataclass(frozen=True)
class Decoded:
    """What became of one image: pixels (crops, height, width, 3) uint8 (zeros unless good), status, message, sha256."""

    pixels: np.ndarray
    status: Status
    message: str
    sha256: str


class _Waits(BaseException):
    """An image needs `size` bytes, which others have now. Not an Exception: it says nothing about the image."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def decode(
    read: Callable[[], bytes],
    geometry: Geometry,
    box: np.ndarray | None = None,
    share: Share | None = None,
    stored: int = 0,
) -> Decoded:
    """Read, decode, convert, cut out `box` (x0, y0, x1, y1), resize and crop one image. Never raises for a bad one.

    share: the memory that it may take, of which `stored` bytes are for what `read` returns; where there is too little
    left to decode, it waits without the image, and reads it again.
    """
    return decoded_parts(read, geometry, [box], share, stored)[0]


def decoded_parts(
    read: Callable[[], bytes],
    geometry: Geometry,
    boxes: Sequence[np.ndarray | None],
    share: Share | None = None,
    stored: int = 0,
) -> list[Decoded]:
    """As `decode`, several parts of an image that is read and decoded once."""
    digest, wanted = "", stored
    try:
        while True:
            if share is not None:
                share.take(wanted)
            try:
                content = read()
                digest = hashlib.sha256(content).hexdigest()
                return _parts(content, geometry, boxes, partial(_reserve, share, content), digest)
            except _Waits as waits:
                wanted = waits.size
            del content
    except BadImage as bad:
        status, message = bad.status, _stable(str(bad))
    except MemoryError:
        status, message = Status.TOO_LARGE, "not enough memory to decode it"
    return [_nothing(geometry, status, message, digest)] * len(boxes)


def _parts(
    content: bytes,
    geometry: Geometry,
    boxes: Sequence[np.ndarray | None],
    begin: Callable[[Image.Image], None],
    digest: str,
) -> list[Decoded]:
    """The parts of an image of these bytes. Raises BadImage, _Waits."""
    if geometry.decode == "full" or looks_like_image(content[:64]) not in REDUCIBLE:
        image = upright(content, geometry.max_pixels, begin)
        return [_part(image, geometry, box, digest) for box in boxes]
    full = whole(content, geometry.max_pixels)
    reductions = [reduction(full.size, geometry, box) for box in boxes]
    found: dict[int, Decoded] = {}
    for divisor in sorted(set(reductions)):  # a part is what it is alone, whatever others need
        image = upright(content, geometry.max_pixels, begin, divisor)
        for place, box in enumerate(boxes):
            if reductions[place] == divisor:
                found[place] = _part(image, geometry, box, digest, full, divisor)
    return [found[place] for place in range(len(boxes))]


def _part(
    image: Image.Image,
    geometry: Geometry,
    box: np.ndarray | None,
    digest: str,
    full: Whole | None = None,
    divisor: int = 1,
) -> Decoded:
    try:
        return Decoded(cropped(image, geometry, box, full, divisor), Status.GOOD, "", digest)
    except BadImage as bad:
        return _nothing(geometry, bad.status, _stable(str(bad)), digest)


def _nothing(geometry: Geometry, status: Status, message: str, digest: str) -> Decoded:
    return Decoded(
        np.zeros((geometry.crops, geometry.height, geometry.width, 3), np.uint8), status, message, digest
    )  # fmt: skip


def _reserve(share: Share | None, content: bytes, image: Image.Image) -> None:
    """Take what decoding `image` takes, too. Raises _Waits if that is not free, BadImage if it never can be."""
    if share is not None and not share.grow(size := needed(image, len(content))):
        raise _Waits(size)


def _stable(message: str) -> str:
    """One line without what differs between runs (addresses) or cannot be stored (NUL, half characters)."""
    text = " ".join(re.sub(r" at 0x[0-9a-f]+", "", message).replace("\0", "").split())
    return text.encode("utf-8", "backslashreplace").decode()
