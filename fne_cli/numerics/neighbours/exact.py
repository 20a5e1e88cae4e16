"""Rows of floats that are compared in float32 first, and in float64 where float32 cannot tell.

The products of unit rows come from matrix products of float32. Added in any order, w products of numbers of two unit
rows are wrong by at most about w * 2^-24 (N. Higham, "Accuracy and Stability of Numerical Algorithms", 3.1, with the
inequality of Cauchy and Schwarz); products of `WIDTH` columns are added up one after the other, which bounds w. What
lies within that margin is computed again, in float64 and in one order: so neither rounding nor the number of rows that
pass at a time can change what is found.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Self

import numpy as np

from fne_cli.compiled import compiled
from fne_cli.numerics.codes.packed import spans

WIDTH = 1024  # columns of one product
_UNIT = 2.0**-24
_ROWS_OF_A_TASK = 128
_SUMS = 32  # that are added to in turn, so that the processor need not wait for one of them


def margin(columns: int) -> float:
    """By how much a product of two unit rows of so many columns is wrong at most."""
    pieces = max(1, -(-columns // WIDTH))
    # each number of both rows is rounded once, and so is a threshold; the last term is for float64 and underflow
    return 1.01 * (min(columns, WIDTH) + pieces + 5) * _UNIT + 1e-9


@dataclass(frozen=True)
class Floats:
    """Rows (n, columns) float32 as they are, the same of length 1, and their squared lengths, (n,) float64."""

    rows: np.ndarray
    units: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, pool: Executor, units: np.ndarray) -> Self:
        """Rows of floats; units: an array of at least as many rows, to be filled. A row of zeros stays one."""
        own = np.array(rows, np.float32, order="C", copy=None, subok=False)
        own = own if own.flags.writeable else own.copy()  # numba knows two kinds of arrays
        units, squares = units[: len(own)], np.empty(len(own))
        list(pool.map(lambda span: _units(own[span], units[span], squares[span]), spans(len(own), _ROWS_OF_A_TASK)))
        return cls(own, units, squares)

    def part(self, span: slice) -> Floats:
        """Some of the rows."""
        return Floats(self.rows[span], self.units[span], self.squares[span])

    def products(self, others: Floats) -> np.ndarray:
        """(rows, others) float32: cosines, but for the margin."""
        columns = self.units.shape[1]
        out = self.units[:, :WIDTH] @ others.units[:, :WIDTH].T
        for start in range(WIDTH, columns, WIDTH):
            out += self.units[:, start : start + WIDTH] @ others.units[:, start : start + WIDTH].T
        return out

    def bounds(self, others: Floats, euclid: bool, crops: int) -> tuple[np.ndarray, np.ndarray]:
        """Between which distances images are: (images, other images) float64 twice. An image has `crops` rows."""
        shape = (len(self.rows) // crops, len(others.rows) // crops)
        lower, upper = np.empty(shape), np.empty(shape)
        products, apart = self.products(others), margin(self.rows.shape[1])
        _bounds(products, self.squares, others.squares, apart, euclid, crops, lower, upper)
        return lower, upper

    def distances(self, others: Floats, euclid: bool, crops: int, places: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """(pairs,) float64: how far images `places` here are from images `theirs` there; each pair by itself."""
        out = np.empty(len(places))
        _distances(self.rows, self.squares, others.rows, others.squares, euclid, crops, places, theirs, out)
        return out


_ROWS, _SQUARES = "float32[:,::1]", "float64[::1]"


@compiled(f"float64(float32[::1], float32[::1], boolean, {_SQUARES})")
def _sum(x: np.ndarray, z: np.ndarray, euclid: bool, sums: np.ndarray) -> float:
    """The product of two rows, or the square of their distance, in `_SUMS` sums: always the same additions."""
    whole = len(x) // _SUMS * _SUMS
    sums[:] = 0
    if euclid:
        for start in range(0, whole, _SUMS):
            own, other = x[start : start + _SUMS], z[start : start + _SUMS]
            for k in range(_SUMS):
                sums[k] += (np.float64(own[k]) - np.float64(other[k])) * (np.float64(own[k]) - np.float64(other[k]))
        for k in range(whole, len(x)):
            sums[k - whole] += (np.float64(x[k]) - np.float64(z[k])) * (np.float64(x[k]) - np.float64(z[k]))
    else:
        for start in range(0, whole, _SUMS):
            own, other = x[start : start + _SUMS], z[start : start + _SUMS]
            for k in range(_SUMS):
                sums[k] += np.float64(own[k]) * np.float64(other[k])
        for k in range(whole, len(x)):
            sums[k - whole] += np.float64(x[k]) * np.float64(z[k])
    total = 0.0
    for k in range(_SUMS):
        total += sums[k]
    return total


@compiled(f"void({_ROWS}, {_ROWS}, {_SQUARES})")
def _units(rows: np.ndarray, units: np.ndarray, squares: np.ndarray) -> None:
    sums = np.empty(_SUMS)
    for i in range(rows.shape[0]):
        square = _sum(rows[i], rows[i], False, sums)
        squares[i] = square
        inverse = 1 / np.sqrt(square) if square > 0 else 0.0
        own, unit = rows[i], units[i]
        for k in range(len(own)):
            unit[k] = np.float32(np.float64(own[k]) * inverse)


@compiled(f"void(float32[:,::1], {_SQUARES}, {_SQUARES}, float64, boolean, int64, float64[:,::1], float64[:,::1])")
def _bounds(
    products: np.ndarray,
    squares: np.ndarray,
    other_squares: np.ndarray,
    apart: float,
    euclid: bool,
    crops: int,
    lower: np.ndarray,
    upper: np.ndarray,
) -> None:
    for i in range(lower.shape[0]):
        for j in range(lower.shape[1]):
            low_sum, high_sum = 0.0, 0.0
            for a in range(i * crops, (i + 1) * crops):
                least, most = np.inf, np.inf
                for b in range(j * crops, (j + 1) * crops):
                    if euclid:
                        both = np.sqrt(squares[a] * other_squares[b])
                        middle = squares[a] + other_squares[b] - 2 * both * products[a, b]
                        wide = 2 * both * apart + 1e-9 * (squares[a] + other_squares[b])
                        low, high = np.sqrt(max(middle - wide, 0.0)), np.sqrt(max(middle + wide, 0.0))
                    else:
                        low, high = 1 - products[a, b] - apart, 1 - products[a, b] + apart
                    least, most = min(least, low), min(most, high)
                low_sum += least
                high_sum += most
            lower[i, j], upper[i, j] = low_sum / crops, high_sum / crops


@compiled(f"void({_ROWS}, {_SQUARES}, {_ROWS}, {_SQUARES}, boolean, int64, int64[::1], int64[::1], float64[::1])")
def _distances(
    rows: np.ndarray,
    squares: np.ndarray,
    others: np.ndarray,
    other_squares: np.ndarray,
    euclid: bool,
    crops: int,
    places: np.ndarray,
    theirs: np.ndarray,
    out: np.ndarray,
) -> None:
    sums = np.empty(_SUMS)
    for pair in range(len(places)):
        total = 0.0
        for a in range(places[pair] * crops, (places[pair] + 1) * crops):
            least = np.inf
            for b in range(theirs[pair] * crops, (theirs[pair] + 1) * crops):
                found = _sum(rows[a], others[b], euclid, sums)
                if euclid:
                    found = np.sqrt(found)
                else:
                    both = squares[a] * other_squares[b]
                    # rows of zeros are at right angles to all; equal rows are exactly 0 apart
                    found = max(1 - found / np.sqrt(both), 0.0) if both > 0 else 1.0
                least = min(least, found)
            total += least
        out[pair] = total / crops
