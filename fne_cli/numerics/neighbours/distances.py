"""How far rows are from each other, by the angle, by L1 of ternary codes, or in Euclid's way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np

from fne_cli.errors import WrongOptions
from fne_cli.numerics.codes.packed import PackedCodes, Rows, dense, is_ternary
from fne_cli.numerics.neighbours.nearest import unit
from fne_cli.numerics.neighbours.planes import Planes

Metric = Literal["cosine", "l1", "euclid"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""1 - cosine of the angle; sum of absolute differences of codes; root of the sum of squared differences."""


def default_metric(ternary: bool) -> Metric:
    """The one for codes, or for all else."""
    return "l1" if ternary else "cosine"


def check_metric(metric: str, ternary: bool) -> None:
    """Raises WrongOptions for L1 of rows that are no codes."""
    if metric == "l1" and not ternary:
        raise WrongOptions("--metric l1 is for ternary codes. Found: other vectors. Take cosine or euclid.")


@dataclass(frozen=True)
class Comparable:
    """Rows made ready to be compared by a metric: codes as planes of bits, others as float64."""

    metric: Metric
    bits: Planes | None
    values: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, rows: Rows, metric: Metric) -> Self:
        """Rows (rows, columns): PackedCodes, int8 codes or floats; unit rows are made for cosine."""
        if isinstance(rows, PackedCodes) or is_ternary(rows):
            bits = Planes.of(rows)
            return cls(metric, bits, np.empty((len(rows), 0)), bits.lengths.astype(np.float64))
        values = dense(rows, slice(0, rows.shape[1]), np.float64)
        values = unit(values) if metric == "cosine" else values
        return cls(metric, None, values, np.einsum("ij,ij->i", values, values))

    def __len__(self) -> int:
        return len(self.squares)

    def distances(self, others: Comparable) -> np.ndarray:
        """(rows, others) float64."""
        if self.bits is not None and others.bits is not None:
            return of_codes(self.bits, others.bits, self.metric)
        products = self.values @ others.values.T
        if self.metric == "cosine":
            return 1 - products
        found: np.ndarray = np.sqrt(np.maximum(self.squares[:, None] + others.squares - 2 * products, 0))
        return found


def of_codes(own: Planes, theirs: Planes, metric: Metric) -> np.ndarray:
    """(rows, others) float64: how far codes are apart, from counts, which are exact."""
    if metric == "l1":
        out = own.alike(theirs)
        out *= -2
        out += own.lengths[:, None]
        out += theirs.lengths
        return out
    out = own.products(theirs)
    if metric == "cosine":  # a row of zeros is at right angles to all
        lengths = np.sqrt((np.maximum(own.lengths, 1)[:, None] * np.maximum(theirs.lengths, 1)).astype(np.float64))
        return 1 - out / lengths
    found: np.ndarray = np.sqrt(own.lengths[:, None] + theirs.lengths - 2 * out)
    return found


def between_groups(distances: np.ndarray, own: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far groups of rows are apart: the mean, over the rows of one, of the smallest distance to a row of the other.

    distances: (rows, others); own, theirs: where the groups begin, ascending from 0. Returns (groups, other groups).
    Razavian et al., "A baseline for visual instance retrieval with deep convolutional networks", arXiv 1412.6574.
    """
    nearest = distances if len(theirs) == distances.shape[1] else np.minimum.reduceat(distances, theirs, axis=1)
    if len(own) == len(distances):
        return nearest
    counts = np.diff(np.append(own, len(distances)))
    means: np.ndarray = np.add.reduceat(nearest, own, axis=0) / counts[:, None]
    return means
