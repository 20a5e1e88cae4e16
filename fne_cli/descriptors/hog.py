"""Histograms of oriented gradients, by scikit-image, with cells of several sizes."""

from __future__ import annotations

import numpy as np

from fne_cli.descriptors.packages import hog_function
from fne_cli.errors import BadInput

CELLS: dict[str, int] = {"cell8": 8, "cell16": 16, "cell32": 32}
"""Layers by name: the side of a cell in pixels."""

ORIENTATIONS = 9
_BLOCK = 2  # cells on a side of what is normalised together


class Histograms:
    """The histograms of images of one size. Raises BadInput if a block of cells is larger than the image."""

    def __init__(self, height: int, width: int, layers: list[str]) -> None:
        self._hog = hog_function()
        largest = _BLOCK * max(CELLS[layer] for layer in layers)
        if min(height, width) < largest:
            raise BadInput(
                f"--image-size should be at least {largest}, the side of {_BLOCK} x {_BLOCK} of the largest cells. "
                f"Found: {height} x {width}. Or choose smaller cells with --layers."
            )
        self._height, self._width = height, width

    def columns(self, layer: str) -> int:
        """Features of a layer."""
        rows, columns = (side // CELLS[layer] - _BLOCK + 1 for side in (self._height, self._width))
        return rows * columns * _BLOCK**2 * ORIENTATIONS

    def row(self, pixels: np.ndarray, layer: str) -> np.ndarray:
        """(height, width, 3) uint8 -> (features,) float32, of roots of the pixels, blocks normalised by L2-Hys."""
        side = CELLS[layer]
        values = self._hog(
            pixels, ORIENTATIONS, (side, side), (_BLOCK, _BLOCK), "L2-Hys", transform_sqrt=True, channel_axis=-1
        )
        return np.asarray(values, np.float32)

    def bytes_at_work(self) -> int:
        """What one image takes at its height: several copies of it in float64, and its gradients."""
        return 8 * 8 * 3 * self._height * self._width
