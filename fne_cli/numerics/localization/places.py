"""Where a map has its largest value, and the box round what is large in it; whether annotated boxes have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SHARE = 0.2
"""Of the largest value: where a box is drawn round what is above (Zhou et al., CVPR 2016)."""
CORRECT = 0.5
"""The overlap at which a box is right."""


def peak(values: np.ndarray) -> tuple[float, float]:
    """The middle of the cell with the largest value, x and y as shares of width and height; of equal ones the first."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return (float(column) + 0.5) / values.shape[1], (float(row) + 0.5) / values.shape[0]


def box(values: np.ndarray, share: float = SHARE) -> tuple[float, float, float, float] | None:
    """Round the largest connected part of the cells above `share` of the largest value: shares x0, y0, x1, y1.

    Cells are connected at their sides. Of parts of one size the first. None for a map without a value above 0.
    """
    if not values.max() > 0:
        return None
    parts, count = ndimage.label(values > share * values.max())
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    down, across = ndimage.find_objects(parts)[int(sizes.argmax())]
    height, width = values.shape
    return across.start / width, down.start / height, across.stop / width, down.stop / height


def within(share: np.ndarray | tuple[float, ...], part: tuple[float, float, float, float]) -> np.ndarray:
    """Shares (x, y, x, y ...) of a part x0, y0, x1, y1 of an image, in its pixels."""
    found = np.array(share, np.float64).reshape(-1, 2)
    low, high = np.array(part[:2]), np.array(part[2:])
    return (low + found * (high - low)).ravel()


def hit(point: Sequence[float] | np.ndarray, boxes: np.ndarray) -> bool:
    """Whether a point (x, y) lies in one of some boxes, (n, 4)."""
    x, y = point
    return bool(((boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])).any())
