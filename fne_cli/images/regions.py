"""Regions of images: windows over each of them, as boxes in pixels, so that a region is an image of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import boxed
from fne_cli.images.pixels.bad import BadImage
from fne_cli.images.pixels.formats import looks_like_image
from fne_cli.images.pixels.geometry import MAX_PIXELS
from fne_cli.images.pixels.opening import upright_size
from fne_cli.images.pixels.reading import read_file

Arrangement = Literal["sliding", "grid"]
MOST = 32
"""Levels, or cells on a side: more would be more than 10,000 regions of an image."""
WHOLE = (0.0, 0.0, np.inf, np.inf)
_HEAD = 1 << 18  # bytes in which the size of nearly every photograph stands


@dataclass(frozen=True)
class Windows:
    """Which parts of an image are its regions.

    sliding: levels 1 ... count, or those of a tuple; at level i there are i x i windows, 2 / (i + 1) of each side long,
    each half a window from the next: the first is the whole image. grid: count x count cells beside each other.
    """

    arrangement: Arrangement
    count: int | tuple[int, ...]

    def __post_init__(self) -> None:
        named = isinstance(self.count, tuple)
        counts = self.count if isinstance(self.count, tuple) else (self.count,)
        fits = len(counts) > 0 and all(1 <= count <= MOST for count in counts)
        if self.arrangement not in get_args(Arrangement) or not fits or (named and self.arrangement == "grid"):
            raise BadInput(
                f"--regions should be sliding:COUNT, sliding:LEVEL,LEVEL or grid:COUNT, with numbers from 1 to {MOST}. "
                f"Found: {self}."
            )

    def __str__(self) -> str:
        return f"{self.arrangement}:{','.join(map(str, self.levels)) if isinstance(self.count, tuple) else self.count}"

    @property
    def levels(self) -> Sequence[int]:
        """Of sliding windows, ascending."""
        return sorted(set(self.count)) if isinstance(self.count, tuple) else range(1, self.count + 1)

    def boxes(self, width: int, height: int) -> list[tuple[float, float, float, float]]:
        """(x0, y0, x1, y1) of each in whole pixels, row by row; no box twice, as tiny images would have them."""
        found = [
            (float(x0), float(y0), float(x1), float(y1))
            for across, down in zip(self._spans(width), self._spans(height), strict=True)
            for y0, y1 in down
            for x0, x1 in across
        ]
        return list(dict.fromkeys(found))

    def _spans(self, pixels: int) -> list[list[tuple[int, int]]]:
        """Where windows begin and end along a side, at each level: rounded outwards, or where cells meet."""
        if self.arrangement == "grid":
            cells = self.levels[-1]
            cuts = [pixels * cell // cells for cell in range(cells + 1)]
            return [[(low, high) for low, high in pairwise(cuts) if low < high]]  # all, but of tiny images
        return [
            [(pixels * step // (level + 1), -(-pixels * (step + 2) // (level + 1))) for step in range(level)]
            for level in self.levels
        ]


@dataclass(frozen=True)
class Divided:
    """A listing of the regions of images. whose: the number of the image of each.

    sizes: width and height of each image, None for one that cannot be opened; bad: the ids of these.
    """

    listing: Listing
    whose: np.ndarray
    sizes: Sequence[tuple[int, int] | None] = ()
    bad: Sequence[str] = ()


def divided(listing: Listing, windows: Windows, advance: Callable[[int], object]) -> Divided:
    """The regions of every image, with its split and labels, in their order. Images are opened for their size only.

    An image that has none, as it cannot be opened, stays one row without a box, and extract will say what is wrong.
    """
    whose: list[int] = []
    ids: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []
    sizes, bad = [], []
    for number, size in enumerate(_sizes(listing)):
        name = listing.ids[number]
        sizes.append(size)
        if size is None:
            bad.append(name)
        found = [WHOLE] if size is None else windows.boxes(*size)
        ids += [name if box is WHOLE else boxed(name, box) for box in found]
        boxes += found
        whose += [number] * len(found)
        advance(1)
    regions = replace(
        listing,
        ids=ids,
        files=[listing.files[number] for number in whose],
        splits=[listing.splits[number] for number in whose],
        labels=[listing.labels[number] for number in whose],
        ignored=[listing.ignored[number] for number in whose] if listing.several else listing.ignored,
        boxes=np.array(boxes),
        spans=None if listing.spans is None else listing.spans[whose],
    )
    return Divided(regions, np.array(whose, np.int64), sizes, bad)


def _sizes(listing: Listing) -> Iterator[tuple[int, int] | None]:
    """Width and height of each image as it is seen upright, None for one that cannot be opened."""
    for number, file in enumerate(listing.files):
        offset, size = (0, None) if listing.spans is None else listing.spans[number].tolist()
        try:
            head = read_file(file, offset, _HEAD if size is None else min(size, _HEAD))
            yield _size_in(head) or upright_size(read_file(file, offset, size), MAX_PIXELS)
        except (BadImage, MemoryError):
            yield None


def _size_in(head: bytes) -> tuple[int, int] | None:
    """What the beginning of a file says; None if it does not, or is of a kind of which more has to be looked at."""
    if looks_like_image(head[:64]) != "JPEG":
        return None
    try:
        return upright_size(head, MAX_PIXELS)
    except BadImage:
        return None
