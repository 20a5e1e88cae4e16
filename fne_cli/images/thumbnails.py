"""Small pictures of chosen images, for people to look at."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fne_cli.images.lists.source import list_images
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.reading import read_file

_QUALITY = 85
_TOGETHER = 256  # images in memory as small pictures


@dataclass(frozen=True)
class Places:
    """Where images are: for each the file to open, its part of an archive (offset, size), its box; no file: unknown."""

    files: Sequence[str | None]
    spans: Sequence[tuple[int, int] | None]
    boxes: Sequence[np.ndarray | None]

    def of(self, numbers: Sequence[int]) -> Places:
        """Some of them."""
        parts = ([column[number] for number in numbers] for column in (self.files, self.spans, self.boxes))
        return Places(*parts)  # type: ignore[arg-type]  # mypy does not count them


def find(images: str, ids: Sequence[str], root: str | None = None) -> Places:
    """The images with these ids in a folder, manifest (its paths below `root`) or .tar, as fne extract names them.

    In a folder an id is a path below it, and one that leads out of it is unknown: ids come from files of other people.
    Raises BadInput.
    """
    nothing: list[None] = [None] * len(ids)
    if os.path.isdir(images):
        return Places([_below(images, name) for name in ids], nothing, nothing)
    listing = list_images(images, root, label_column=None)
    index = {name: number for number, name in enumerate(listing.ids)}
    places = [index.get(name) for name in ids]
    spans, boxes = listing.spans, listing.boxes
    return Places(
        [None if place is None else listing.files[place] for place in places],
        nothing if spans is None else [None if place is None else tuple(spans[place].tolist()) for place in places],
        nothing if boxes is None else [None if place is None else boxes[place] for place in places],
    )


def _below(folder: str, name: str) -> str | None:
    """The path of an image in a folder; None if it is not below it."""
    if os.path.isabs(name) or ".." in name.split("/") or "\0" in name:
        return None
    path = os.path.join(folder, name)
    return path if os.path.lexists(path) else None


def thumbnails(
    places: Places, side: int, resize: Literal["squash", "crop"], sha256: Sequence[str]
) -> list[tuple[np.ndarray | None, str]]:
    """For each image (side, side, 3) uint8, or None and what is wrong: missing, changed since, or why it is bad."""
    geometry = Geometry(side, side, resize)
    found: list[tuple[np.ndarray | None, str]] = []
    for file, span, box, digest in zip(places.files, places.spans, places.boxes, sha256, strict=True):
        if file is None:
            found.append((None, "missing"))
            continue
        image = decode(partial(read_file, file, *(span or ())), geometry, box)
        if image.status is not Status.GOOD:
            found.append((None, image.status.name.lower().replace("_", " ")))
        elif digest and image.sha256 != digest:
            found.append((None, "changed since"))
        else:
            found.append((image.pixels[0], ""))
    return found


def encoded(pixels: np.ndarray) -> bytes:
    """(height, width, 3) uint8 as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def sheet(
    path: Path,
    places: Places,
    side: int,
    resize: Literal["squash", "crop"],
    sha256: Sequence[str],
    advance: Callable[[int], object],
) -> str:
    """Write a PNG with all images, side x side pixels each, in rows of a square; those that are not there are grey.

    Returns "", or what is wrong with the first if there is none at all. Memory holds the whole of it.
    """
    count = len(places.files)
    across = max(1, int(np.ceil(np.sqrt(count))))
    made = np.full((side * max(1, -(-count // across)), side * across, 3), 128, np.uint8)
    some, first = False, ""
    for start in range(0, count, _TOGETHER):
        numbers = range(start, min(start + _TOGETHER, count))
        shown = thumbnails(places.of(numbers), side, resize, [sha256[number] for number in numbers])
        for number, (pixels, why) in zip(numbers, shown, strict=True):
            first = first or why
            if pixels is not None:
                some, (down, right) = True, divmod(number, across)
                made[down * side : (down + 1) * side, right * side : (right + 1) * side] = pixels
        advance(len(numbers))
    if some or not count:
        Image.fromarray(made).save(path, "PNG")
    return "" if some or not count else first
