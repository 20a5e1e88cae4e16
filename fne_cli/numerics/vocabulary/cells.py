"""The parts of an image that get a vector each: the whole, three bands, four quarters (a spatial pyramid)."""

from __future__ import annotations

import numpy as np

CELLS: dict[str, tuple[int, int]] = {"cells1x1": (1, 1), "cells3x1": (3, 1), "cells2x2": (2, 2)}
"""Layers by name: rows and columns of cells."""

ATOMS = 8
"""Where all their borders are drawn, an image falls into 4 bands of 2 atoms, of which every cell is put together."""

_BANDS: dict[int, list[tuple[int, ...]]] = {1: [(0, 1, 2, 3)], 2: [(0, 1), (2, 3)], 3: [(0,), (1, 2), (3,)]}
_COLUMNS: dict[int, list[tuple[int, ...]]] = {1: [(0, 1)], 2: [(0,), (1,)]}


def atoms_of(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(n, 2) int y and x -> (n,) int, the atom that each lies in; a border belongs to what is behind it."""
    y, x = points.T
    band = (3 * y >= height).astype(np.int64) + (2 * y >= height) + (3 * y >= 2 * height)
    atoms: np.ndarray = 2 * band + (2 * x >= width)
    return atoms


def cell_atoms(layer: str) -> list[list[int]]:
    """The atoms of each cell of a layer, row after row."""
    rows, columns = CELLS[layer]
    return [
        [2 * band + side for band in bands for side in sides] for bands in _BANDS[rows] for sides in _COLUMNS[columns]
    ]


def number_of_cells(layer: str) -> int:
    """How many cells a layer has."""
    rows, columns = CELLS[layer]
    return rows * columns
