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


def cropped(image: Image.Image, geometry: Geometry, box: np.ndarray | None) -> np.ndarray:
    """(crops, height, width, 3) uint8 of an RGB image, or of the part of it in `box` (x0, y0, x1, y1).

    Raises BadImage for a box outside the image.
    """
    import numpy as np

    height, width = geometry.height, geometry.width
    region = _region(image.size, geometry, box)
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


def _resized(image: Image.Image, region: tuple[int, int, int, int], width: int, height: int, resize: str) -> np.ndarray:
    """(height, width, 3) uint8: the region, bilinear with antialiasing."""
    import numpy as np

    if region != (0, 0, *image.size):
        image = image.crop(region)  # first, so that nothing from outside a box bleeds into it
    inner = None
    if resize == "crop":
        scale = min(image.width / width, image.height / height)
        # max: width * (29 / width) is a rounding larger than 29 for some widths, and Pillow refuses a negative corner
        spare_x, spare_y = max(0.0, image.width - width * scale), max(0.0, image.height - height * scale)
        inner = (spare_x / 2, spare_y / 2, image.width - spare_x / 2, image.height - spare_y / 2)
    from PIL.Image import Resampling

    return np.asarray(image.resize((width, height), Resampling.BILINEAR, box=inner))
