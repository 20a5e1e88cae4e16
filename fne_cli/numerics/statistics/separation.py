"""Where class means of z-scores part: the thresholds of the ternary codes, from data (docs/method.md, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

_WIDTH, _MOST = 0.02, 10_000  # of a histogram's bin; bins


def parting(first: np.ndarray, second: np.ndarray) -> float:
    """The smallest t that maximises |F_first(t) - F_second(t)| of two samples (sorted, any sizes); NaN if one is empty.

    F counts values up to and including t.
    """
    if not (len(first) and len(second)):
        return float("nan")
    best, place = -1.0, float("nan")
    # the difference changes at values of either, and is there what it stays up to the next one
    for points in (first, second):
        below = (np.searchsorted(sample, points, side="right") / len(sample) for sample in (first, second))
        difference = np.abs(next(below) - next(below))
        number = int(difference.argmax())
        found, at = float(difference[number]), float(points[number])
        if found > best or (found == best and at < place):
            best, place = found, at
    return place


@dataclass(frozen=True)
class Separation:
    """low parts absence from uncharacteristic pairs, high these from presence; NaN where one of the two is empty.

    edges: (b + 1,) float64; absence, uncharacteristic, presence: (b,) int64, how many class means lie between.
    """

    low: float
    high: float
    edges: np.ndarray
    absence: np.ndarray
    uncharacteristic: np.ndarray
    presence: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Self:
        """From the class means of all pairs, (pairs,), and what they are: -1 absence, 0, 1 presence."""
        absence, neither, presence = (np.sort(scores[labels == label]) for label in (-1, 0, 1))
        edges = _edges(scores)
        # an edge is rounded, and must not lose the value that it was made for
        clipped = (np.clip(part, edges[0], edges[-1]) for part in (absence, neither, presence))
        tables = [np.histogram(part, edges)[0].astype(np.int64) for part in clipped]
        return cls(parting(absence, neither), parting(neither, presence), edges, *tables)


def _edges(scores: np.ndarray) -> np.ndarray:
    """Multiples of a width around all scores: 0.02, doubled until they are few enough."""
    width = _WIDTH
    least, most = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 0.0)
    while (most - least) / width > _MOST:
        width *= 2
    first, last = np.floor(least / width), np.floor(most / width) + 1
    edges: np.ndarray = np.arange(first, last + 1) * width
    return edges
