"""The cells of a layer in its row, and maps of different sizes over one image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_POOLED = re.compile(r"(?:avg|max)(?::([1-9][0-9]?))?")


@dataclass(frozen=True)
class Grid:
    """How the row of a layer is made: rows x columns cells of `channels` values each, one cell after the other.

    alike: whether each cell is the average over as large a part of the map, and no two overlap, so that the mean of
    the cells is the average over the map. kind: avg, max or none, as the layer was pooled.
    """

    rows: int
    columns: int
    channels: int
    kind: str
    alike: bool

    @property
    def cells(self) -> int:
        """How many."""
        return self.rows * self.columns

    @property
    def features(self) -> int:
        """Of the row."""
        return self.cells * self.channels

    def cell_by_cell(self, row: np.ndarray) -> np.ndarray:
        """The row (features,) as (cells, channels)."""
        return row.reshape(self.cells, self.channels)


def grid_of(pooling: str, output_shape: str, features: int) -> Grid | None:
    """The grid of a layer by what its file says of it: `avg:7` and `14 x 14 x 256`. A dense layer is one cell.

    None if that says no grid of so many features over the two sides of a map.
    """
    shape = [int(size) for size in re.findall(r"\d{1,9}", output_shape)[:8]]
    match = _POOLED.fullmatch(pooling)
    if len(shape) == 1:
        return Grid(1, 1, features, pooling, True) if shape[0] == features else None
    if len(shape) != 3 or not (match or pooling == "none"):
        return None
    height, width, channels = shape
    if match is None:
        grid = Grid(height, width, channels, "none", True)
    else:
        count = int(match[1] or 1)
        even = height % count == 0 and width % count == 0
        kind = pooling.partition(":")[0]
        grid = Grid(count, count, channels, kind, even and kind == "avg")
    return grid if grid.features == features and features else None


def spread(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A map (h, w) over the same image as (rows, columns): each value goes to the cells that its own covers.

    By area, so that the sum stays.
    """
    return _shares(len(values), rows) @ values @ _shares(values.shape[1], columns).T


def enlarged(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Maps (..., h, w, channels) as (..., rows, columns, channels) float32, bilinear between the middles of cells.

    Beyond the outer middles the values of the edge go on, as for hypercolumns (B. Hariharan et al., "Hypercolumns for
    Object Segmentation and Fine-grained Localization", CVPR 2015).
    """
    down, across = _between(values.shape[-3], rows), _between(values.shape[-2], columns)
    found: np.ndarray = np.einsum("ih,jw,...hwc->...ijc", down, across, values.astype(np.float32), optimize=True)
    return found


def _between(before: int, after: int) -> np.ndarray:
    """(after, before) float32: how much each of the old cells of a side counts for each of the new ones."""
    at = ((np.arange(after) + 0.5) * before / after - 0.5).clip(0, before - 1)
    low = np.minimum(np.floor(at).astype(np.int64), max(0, before - 2))
    shares = np.zeros((after, before), np.float32)
    shares[np.arange(after), low] = 1 - (at - low)
    shares[np.arange(after), np.minimum(low + 1, before - 1)] += (at - low).astype(np.float32)
    return shares


def cell_boxes(part: tuple[float, float, float, float], rows: int, columns: int) -> np.ndarray:
    """(rows * columns, 4) float64: x0, y0, x1, y1 of the cells of a part of an image, row by row, in its pixels."""
    x = np.linspace(part[0], part[2], columns + 1)
    y = np.linspace(part[1], part[3], rows + 1)
    left, top = np.meshgrid(x[:-1], y[:-1])
    right, bottom = np.meshgrid(x[1:], y[1:])
    return np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)


def _shares(before: int, after: int) -> np.ndarray:
    """(after, before): the share of each of the old parts of a side that lies in each of the new ones."""
    low = np.maximum(np.arange(after)[:, None] * before, np.arange(before) * after)
    high = np.minimum((np.arange(after)[:, None] + 1) * before, (np.arange(before) + 1) * after)
    return np.maximum(high - low, 0) / after


def finest(grids: Sequence[Grid]) -> tuple[int, int]:
    """Rows and columns of the finest of some grids."""
    return max(grid.rows for grid in grids), max(grid.columns for grid in grids)
