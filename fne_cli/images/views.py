"""What a network saw of images: which part of each, in pixels, and that part as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from fne_cli.errors import WrongFile
from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry, seen
from fne_cli.images.pixels.opening import upright_size
from fne_cli.images.pixels.reading import read_file
from fne_cli.images.thumbnails import Places, find, thumbnails

Part = tuple[float, float, float, float]


def geometry_of(settings: Mapping[str, Any], name: str) -> Geometry:
    """How an extraction with one crop looked at its images, of the settings of the file `name`. Raises WrongFile."""
    made = settings.get("activations")
    own = made if isinstance(made, dict) else settings
    size: Any = own.get("image_size")
    context: Any = own.get("box_context", 1.0)
    fits = isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side < 1 << 16 for side in size)
    if not fits or type(context) not in (int, float) or not 0 < context < 1 << 16:
        raise WrongFile(f"{name} should say the size of the network's images. Found: {size!r:.40}.")
    height, width = size
    resize: Literal["squash", "crop"] = "crop" if own.get("resize") == "crop" else "squash"
    return Geometry(height, width, resize, box_context=float(context))


class Seen:
    """The images with these ids, and which part of each was seen. images, root: where they are, None: nowhere."""

    def __init__(self, images: str | None, root: str | None, ids: Sequence[str], geometry: Geometry) -> None:
        self.images, self._geometry = images, geometry
        self._places = None if images is None else find(images, ids, root)

    def part(self, number: int) -> Part | None:
        """x0, y0, x1, y1 in pixels of the image; None if it is not there, or cannot be opened. It is not decoded."""
        if self._places is None or (file := self._places.files[number]) is None:
            return None
        return part_of(file, self._places.spans[number], self._places.boxes[number], self._geometry)

    def views(self, numbers: Sequence[int], longest: int, sha256: Sequence[str]) -> list[View]:
        """Of some images, which have these digests."""
        if self._places is None:
            return [View(None, None)] * len(numbers)
        return list(views(self._places.of(numbers), longest, self._geometry, sha256))


@dataclass(frozen=True)
class View:
    """What a network saw of an image, in its own proportions: (height, width, 3) uint8, and which part it is.

    part: x0, y0, x1, y1 in pixels of the image. None of both, and why, if it cannot be shown.
    """

    pixels: np.ndarray | None
    part: tuple[float, float, float, float] | None
    wrong: str = ""


def views(places: Places, longest: int, geometry: Geometry, sha256: Sequence[str]) -> Iterator[View]:
    """Of each image what a network of this geometry saw with one crop, `longest` pixels on the longer side."""
    for number, (file, span, box) in enumerate(zip(places.files, places.spans, places.boxes, strict=True)):
        part = None if file is None else part_of(file, span, box, geometry)
        if part is None or file is None:
            # thumbnails know all that can be wrong with an image
            one = Places([file], [span], [box])
            yield View(None, None, thumbnails(one, 1, geometry.resize, sha256[number : number + 1])[0][1] or "damaged")
            continue
        width, height = part[2] - part[0], part[3] - part[1]
        scale = longest / max(width, height)
        own = replace(geometry, width=max(1, round(width * scale)), height=max(1, round(height * scale)))
        image = decode(partial(read_file, file, *(span or ())), own, box)
        if image.status is not Status.GOOD:
            yield View(None, None, image.status.name.lower().replace("_", " "))
        elif sha256[number] and image.sha256 != sha256[number]:
            yield View(None, None, "changed since")
        else:
            yield View(image.pixels[0], part)


def part_of(
    file: str, span: tuple[int, int] | None, box: np.ndarray | None, geometry: Geometry
) -> tuple[float, float, float, float] | None:
    """Which part of an image in a file a network saw, in pixels; they are not decoded.

    None if the image cannot be opened, or the box is not in it.
    """
    try:
        return seen(upright_size(read_file(file, *(span or ())), geometry.max_pixels), geometry, box)
    except (BadImage, MemoryError):
        return None
