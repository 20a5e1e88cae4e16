"""The largest values of a matrix that comes in parts."""

from __future__ import annotations

import numpy as np


def largest(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the `count` largest entries, largest first; of equal ones the first. NaN counts as smallest."""
    flat = np.where(np.isnan(values), -np.inf, values).ravel()
    if count < len(flat):
        least = np.partition(flat, len(flat) - count)[len(flat) - count]
        inside = np.flatnonzero(flat >= least)
    else:
        inside = np.arange(len(flat))
    places = inside[np.argsort(-flat[inside], kind="stable")][:count]
    rows, columns = np.unravel_index(places, values.shape)
    return rows, columns
