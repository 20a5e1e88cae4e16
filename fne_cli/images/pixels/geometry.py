"""The part of an image that a network sees: box, resizing, crops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fne_cli.images.pixels.bad import BadImage, Status

if TYPE_CHECKING:  # who is up to date needs MAX_PIXELS, and neither NumPy nor Pillow
    import numpy as np
    from PIL import Image

MAX_PIXELS = 178_956_970  # where Pillow itself refuses: half a gibibyte at three bytes a pixel
CROP_SHARE = 0.875  # a crop's side as a share of the resized image's (256 -> 224)

Region = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Geometry:
    """From an image of any size to `crops` arrays of (height, width) pixels.

    resize: "squash" changes the aspect ratio; "crop" keeps it and takes the central part. crops: 1 the whole, 5 the
    corners and the centre, 10 those mirrored too. box_context enlarges a box about its centre (1.5 = by half). decode:
    "reduced" lets a JPEG be decoded to a half, a quarter or an eighth of its size where that is enough.
    """

    height: int
    width: int
    resize: Literal["squash", "crop"] = "squash"
    crops: Literal[1, 5, 10] = 1
    box_context: float = 1.0
    max_pixels: int = MAX_PIXELS
    decode: Literal["full", "reduced"] = "full"

    @property
    def resized(self) -> tuple[int, int]:
        """Width and height that an image, or the part of it in a box, is brought to before crops are cut."""
        if self.crops == 1:
            return self.width, self.height
        return round(self.width / CROP_SHARE), round(self.height / CROP_SHARE)


@dataclass(frozen=True)
class Whole:
    """An image before it is reduced, upright: its width and height, and whether it was turned round along each of them.

    Then what is left over where its size is no multiple stands at the beginning.
    """

    size: tuple[int, int]
    backwards: tuple[bool, bool] = (False, False)


def cropped(
    image: Image.Image, geometry: Geometry, box: np.ndarray | None, whole: Whole | None = None, divisor: int = 1
) -> np.ndarray:
    """(crops, height, width, 3) uint8 of an RGB image, or of the part of it in `box` (x0, y0, x1, y1).

    whole, divisor: what the box is in, if the image is that reduced. Raises BadImage for a box outside the image.
    """
    import numpy as np

    height, width = geometry.height, geometry.width
    region: Region = _region(image.size if whole is None else whole.size, geometry, box)
    if whole is not None and divisor > 1:
        sides = zip(image.size, whole.size, whole.backwards, strict=True)
        shift_x, shift_y = (reduced * divisor - full if backwards else 0 for reduced, full, backwards in sides)
        left, top, right, bottom = region
        region = (
            (left + shift_x) / divisor,
            (top + shift_y) / divisor,
            (right + shift_x) / divisor,
            (bottom + shift_y) / divisor,
        )
    large_width, large_height = geometry.resized
    large = _resized(image, region, large_width, large_height, geometry.resize)
    if geometry.crops == 1:
        return large[None]
    down, right = large_height - height, large_width - width
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    cut = [large[top : top + height, left : left + width] for top, left in corners]
    if geometry.crops == 10:
        cut += [crop[:, ::-1] for crop in cut]
    return np.stack(cut)


def reduction(size: tuple[int, int], geometry: Geometry, box: np.ndarray | None) -> int:
    """By what an image (width, height) may be divided so that what is cut of it is no smaller than what it becomes.

    1, 2, 4 or 8; it depends on this box alone, not on others of the image.
    """
    try:
        left, top, right, bottom = _region(size, geometry, box)
    except BadImage:
        return 1
    width, height = geometry.resized
    spare = min((right - left) / width, (bottom - top) / height)
    return next((factor for factor in (8, 4, 2) if factor <= spare), 1)


def seen(size: tuple[int, int], geometry: Geometry, box: np.ndarray | None) -> tuple[float, float, float, float]:
    """The part x0, y0, x1, y1 of an image (width, height) that the network sees whole, in its pixels.

    Of the image or of the box; with one crop. Raises BadImage for a box outside the image.
    """
    left, top, right, bottom = _region(size, geometry, box)
    if geometry.resize == "squash":
        return left, top, right, bottom
    scale = min((right - left) / geometry.width, (bottom - top) / geometry.height)
    across, down = (right - left - geometry.width * scale) / 2, (bottom - top - geometry.height * scale) / 2
    return left + across, top + down, right - across, bottom - down


def _region(size: tuple[int, int], geometry: Geometry, box: np.ndarray | None) -> tuple[int, int, int, int]:
    """The part of the image to use, in pixels: the box with its context, cut at the image's border."""
    width, height = size
    if box is None or math.isinf(box[2]):
        return 0, 0, width, height
    x0, y0, x1, y1 = (float(value) for value in box)
    # Of the box itself: context does not make up for a box that misses the image.
    meets = x0 < width and x1 > 0 and y0 < height and y1 > 0
    # What is added on each side, so that without context not even a rounding moves a corner; halves cannot overflow.
    grow_x, grow_y = ((high / 2 - low / 2) * (geometry.box_context - 1) for low, high in ((x0, x1), (y0, y1)))
    left, right = max(0.0, x0 - grow_x), min(width, x1 + grow_x)
    top, bottom = max(0.0, y0 - grow_y), min(height, y1 + grow_y)
    if not (meets and left < right and top < bottom):
        raise BadImage(
            Status.BOX_OUTSIDE, f"the box {x0:g},{y0:g},{x1:g},{y1:g} is outside the {width} x {height} image"
        )
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _resized(image: Image.Image, region: Region, width: int, height: int, resize: str) -> np.ndarray:
    """(height, width, 3) uint8: the region, bilinear with antialiasing."""
    import numpy as np
    from PIL.Image import Resampling

    left, top, right, bottom = region
    outer = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
    inner: Region | None = None
    if region != outer:
        inner = (left - outer[0], top - outer[1], right - outer[0], bottom - outer[1])
    if outer != (0, 0, *image.size):
        image = image.crop(outer)  # first, so that nothing from outside a box bleeds into it
    if resize == "crop":
        begin_x, begin_y, end_x, end_y = (0.0, 0.0, *image.size) if inner is None else inner
        across, down = end_x - begin_x, end_y - begin_y
        scale = min(across / width, down / height)
        # max: width * (29 / width) is a rounding larger than 29 for some widths, and Pillow refuses a negative corner
        spare_x, spare_y = max(0.0, across - width * scale), max(0.0, down - height * scale)
        inner = (begin_x + spare_x / 2, begin_y + spare_y / 2, end_x - spare_x / 2, end_y - spare_y / 2)

    return np.asarray(image.resize((width, height), Resampling.BILINEAR, box=inner))
