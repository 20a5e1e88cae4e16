"""SIFT descriptors on a regular grid, at several scales, by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from fne_cli.descriptors.packages import opencv
from fne_cli.errors import BadInput
from fne_cli.numerics.vocabulary.cells import atoms_of

Kind = Literal["rootsift", "sift"]
DIMENSIONS = 128
PATCHES = (16, 24, 32, 40)
STEP = 4
_BINS = 4  # in a row of a patch
_BIN = 1.5  # of a bin, as a share of what OpenCV calls a keypoint's size
_KEYPOINT_BYTES = 200  # as an object of Python, and as OpenCV copies it


class Grid(NamedTuple):
    """The patches of one size: (n, 2) int64 y and x of their centres, and the atom of the image that each lies in."""

    patch: int
    points: np.ndarray
    atoms: np.ndarray


class DenseSift:
    """Descriptors of images of one size.

    patches: their sides in pixels; step: from one to the next, in pixels. Patches lie within the image. Raises BadInput
    if the image is smaller than a patch.
    """

    def __init__(
        self, height: int, width: int, patches: Sequence[int] = PATCHES, step: int = STEP, kind: Kind = "rootsift"
    ) -> None:
        if min(height, width) < max(patches):
            raise BadInput(
                f"--image-size should be at least {max(patches)}, the side of the largest patch. "
                f"Found: {height} x {width}."
            )
        self._cv2, self.kind = opencv(), kind
        self.grids = [_grid(height, width, patch, step) for patch in patches]
        self.count = sum(len(grid.points) for grid in self.grids)
        """Descriptors of an image."""

    def gray(self, pixels: np.ndarray) -> np.ndarray:
        """(height, width, 3) uint8 RGB -> (height, width) uint8."""
        cv2 = self._cv2
        image: np.ndarray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
        return image

    def of(self, gray: np.ndarray, grid: Grid, chosen: np.ndarray | None = None) -> np.ndarray:
        """(n, 128) float32, at all points of a grid or at those of the chosen numbers.

        sift: of length 1. rootsift: the root of each value's share in the sum. Zeros where nothing can be seen.
        """
        cv2 = self._cv2
        points = grid.points if chosen is None else grid.points[chosen]
        if not len(points):
            return np.zeros((0, DIMENSIONS), np.float32)
        # Where a patch has twice the pixels that it needs, half the resolution: smoother, and a quarter of the work.
        octave = max(0, (grid.patch // 16).bit_length() - 1)
        size = grid.patch / _BINS / _BIN
        keypoints = [cv2.KeyPoint(float(x), float(y), size, 0.0, 0.0, octave) for y, x in points.tolist()]
        _, values = cv2.SIFT_create().compute(gray, keypoints)
        return _normalised(values, self.kind)

    def bytes_at_work(self) -> int:
        """What one image takes at its height: one grid's descriptors, copies of them, and keypoints."""
        return max(len(grid.points) for grid in self.grids) * (2 * 4 * DIMENSIONS + _KEYPOINT_BYTES)

    def drawn(self, pixels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """(n, 128) float32: the descriptors of ascending numbers among all `count` of an image, and no others."""
        gray, start, found = self.gray(pixels), 0, []
        for grid in self.grids:
            stop = start + len(grid.points)
            found.append(self.of(gray, grid, numbers[(numbers >= start) & (numbers < stop)] - start))
            start = stop
        return np.concatenate(found)


def _grid(height: int, width: int, patch: int, step: int) -> Grid:
    """The remainder of the image that no step fits into is divided between both ends."""
    axes = []
    for side in (height, width):
        count = (side - patch) // step + 1
        first = patch // 2 + (side - patch - (count - 1) * step) // 2
        axes.append(first + step * np.arange(count))
    y, x = np.meshgrid(*axes, indexing="ij")
    points = np.stack([y.ravel(), x.ravel()], axis=1)
    return Grid(patch, points, atoms_of(points, height, width))


def _normalised(values: np.ndarray, kind: Kind) -> np.ndarray:
    power = 1 if kind == "rootsift" else 2
    size = (np.abs(values) ** power).sum(axis=1, keepdims=True) ** np.float32(1 / power)
    shares: np.ndarray = values / np.where(size > 0, size, 1)
    return np.sqrt(shares, out=shares) if kind == "rootsift" else shares
