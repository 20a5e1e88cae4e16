"""Sums and sums of squares of columns, in twice the precision of float64, so that no cut through the rows shows.

A float32 and its square are exact in float64, and every addition keeps its rounding error: the result is right to about
2^-100 of the sum of squares, whatever the order. Rounded to float64 in the end, it is the same number for any batch
size, any number of threads and any division into files.
"""

from __future__ import annotations

import numpy as np

from fne_cli.compiled import compiled

ROWS = 7  # of a state: sum, its error, sum of squares, its error, minimum, maximum, number of exact zeros

_TILE = 256  # columns worked on together: their sums stay in the first-level cache
_BLOCK = 128  # rows summed before the running sums are put away
_OFFSET = 512.0  # a running sum begins at this multiple of the largest value, so it is never smaller than a summand


def empty(features: int) -> np.ndarray:
    """The state without rows, (7, features) float64."""
    state = np.zeros((ROWS, features))
    state[4], state[5] = np.inf, -np.inf
    return state


@compiled()
def accumulate(state: np.ndarray, rows: np.ndarray, chosen: np.ndarray) -> None:
    """Add the rows numbered `chosen` of `rows`, (rows, features) float32, to a state.

    A running sum starts above every summand, so that three operations give the exact error of an addition (Dekker).
    Not finite values make the sum of squares not finite.
    """
    # One array with constant distances between its parts: the compiler can prove that they do not overlap.
    extremes = np.zeros(3 * _TILE, np.float32)
    sums = np.zeros(4 * _TILE)
    for left in range(0, rows.shape[1], _TILE):
        width = min(_TILE, rows.shape[1] - left)
        for start in range(0, len(chosen), _BLOCK):
            part = chosen[start : start + _BLOCK]
            _find_extremes(extremes, rows, part, left, width)
            _begin(sums, extremes, width)
            _sum_rows(sums, rows, part, left, width)
            _put_away(state, sums, extremes, left, width)


@compiled()
def merge(state: np.ndarray, other: np.ndarray) -> None:
    """Add the rows of another state."""
    for k in (0, 2):
        for j in range(state.shape[1]):
            a, b = state[k, j], other[k, j]
            total = a + b
            part = total - a
            error = ((a - (total - part)) + (b - part)) + (state[k + 1, j] + other[k + 1, j])
            state[k, j] = total + error
            state[k + 1, j] = error - (state[k, j] - total)
    for j in range(state.shape[1]):
        state[4, j] = min(state[4, j], other[4, j])
        state[5, j] = max(state[5, j], other[5, j])
        state[6, j] += other[6, j]


@compiled()
def _find_extremes(extremes: np.ndarray, rows: np.ndarray, chosen: np.ndarray, left: int, width: int) -> None:
    extremes[:_TILE] = np.inf
    extremes[_TILE : 2 * _TILE] = -np.inf
    extremes[2 * _TILE :] = 0
    fours = len(chosen) // 4 * 4
    for i in range(0, fours, 4):
        first = rows[chosen[i], left : left + width]
        second = rows[chosen[i + 1], left : left + width]
        third = rows[chosen[i + 2], left : left + width]
        fourth = rows[chosen[i + 3], left : left + width]
        for j in range(width):
            a, b, c, d = first[j], second[j], third[j], fourth[j]
            low, high = extremes[j], extremes[_TILE + j]
            low = a if a < low else low
            low = b if b < low else low
            low = c if c < low else low
            low = d if d < low else low
            high = a if a > high else high
            high = b if b > high else high
            high = c if c > high else high
            high = d if d > high else high
            extremes[j], extremes[_TILE + j] = low, high
            zeros = np.float32(1 if a == 0 else 0) + np.float32(1 if b == 0 else 0)
            extremes[2 * _TILE + j] += zeros + (np.float32(1 if c == 0 else 0) + np.float32(1 if d == 0 else 0))
    for i in range(fours, len(chosen)):
        row = rows[chosen[i], left : left + width]
        for j in range(width):
            a, low, high = row[j], extremes[j], extremes[_TILE + j]
            low = a if a < low else low
            high = a if a > high else high
            extremes[j], extremes[_TILE + j] = low, high
            extremes[2 * _TILE + j] += np.float32(1 if a == 0 else 0)


@compiled()
def _begin(sums: np.ndarray, extremes: np.ndarray, width: int) -> None:
    for j in range(width):
        largest = np.float64(max(abs(extremes[j]), abs(extremes[_TILE + j])))
        sums[j] = _OFFSET * largest
        sums[_TILE + j] = 0.0
        sums[2 * _TILE + j] = _OFFSET * (largest * largest)
        sums[3 * _TILE + j] = 0.0


@compiled()
def _sum_rows(sums: np.ndarray, rows: np.ndarray, chosen: np.ndarray, left: int, width: int) -> None:
    fours = len(chosen) // 4 * 4
    for i in range(0, fours, 4):
        first = rows[chosen[i], left : left + width]
        second = rows[chosen[i + 1], left : left + width]
        third = rows[chosen[i + 2], left : left + width]
        fourth = rows[chosen[i + 3], left : left + width]
        for j in range(width):
            a, b, c, d = np.float64(first[j]), np.float64(second[j]), np.float64(third[j]), np.float64(fourth[j])
            before = sums[j]
            one = before + a
            two = one + b
            three = two + c
            four = three + d
            error = ((a - (one - before)) + (b - (two - one))) + ((c - (three - two)) + (d - (four - three)))
            sums[j] = four
            sums[_TILE + j] += error
            a, b, c, d = a * a, b * b, c * c, d * d
            before = sums[2 * _TILE + j]
            one = before + a
            two = one + b
            three = two + c
            four = three + d
            error = ((a - (one - before)) + (b - (two - one))) + ((c - (three - two)) + (d - (four - three)))
            sums[2 * _TILE + j] = four
            sums[3 * _TILE + j] += error
    for i in range(fours, len(chosen)):
        row = rows[chosen[i], left : left + width]
        for j in range(width):
            a = np.float64(row[j])
            before = sums[j]
            sums[j] = before + a
            sums[_TILE + j] += a - (sums[j] - before)
            before = sums[2 * _TILE + j]
            sums[2 * _TILE + j] = before + a * a
            sums[3 * _TILE + j] += a * a - (sums[2 * _TILE + j] - before)


@compiled()
def _put_away(state: np.ndarray, sums: np.ndarray, extremes: np.ndarray, left: int, width: int) -> None:
    for j in range(width):
        largest = np.float64(max(abs(extremes[j]), abs(extremes[_TILE + j])))
        sums[j] -= _OFFSET * largest  # exact: the two differ by less than a factor of 2
        sums[2 * _TILE + j] -= _OFFSET * (largest * largest)
    for k in (0, 2):
        high, low = state[k, left : left + width], state[k + 1, left : left + width]
        for j in range(width):
            a, b = high[j], sums[k * _TILE + j]
            total = a + b
            part = total - a
            error = ((a - (total - part)) + (b - part)) + (low[j] + sums[(k + 1) * _TILE + j])
            high[j] = total + error
            low[j] = error - (high[j] - total)
    for j in range(width):
        state[4, left + j] = min(state[4, left + j], extremes[j])
        state[5, left + j] = max(state[5, left + j], extremes[_TILE + j])
        state[6, left + j] += extremes[2 * _TILE + j]
