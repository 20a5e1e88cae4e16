"""Which images may be among the nearest, by bounds of their distances, and the nearest in order; compiled."""

from __future__ import annotations

import numpy as np

from fne_cli.compiled import compiled

_TABLE, _NUMBERS = "float64[:,::1]", "int64[::1]"
_STEP = 64  # cosines that are looked at at a time
_STATE = f"{_NUMBERS}, {_TABLE}, {_TABLE}, float64, {_NUMBERS}, {_NUMBERS}"


@compiled("void(float64[::1], float64)")
def _lower(nearest: np.ndarray, bound: float) -> None:
    """Put a bound among the smallest, which ascend, in the place of the last."""
    place = len(nearest) - 1
    while place > 0 and nearest[place - 1] > bound:
        nearest[place] = nearest[place - 1]
        place -= 1
    nearest[place] = bound


@compiled(f"int64({_TABLE}, {_TABLE}, {_STATE})")
def candidates(
    lower: np.ndarray,
    upper: np.ndarray,
    itself: np.ndarray,
    nearest: np.ndarray,
    distances: np.ndarray,
    within: float,
    queries: np.ndarray,
    places: np.ndarray,
) -> int:
    """Write the pairs that may belong to what is wanted, in order, and return their number.

    lower, upper: (queries, images) bounds of distances. itself: (queries,) the image that is no neighbour. nearest:
    (queries, count) upper bounds of the nearest images so far, ascending, which are brought up to date. distances:
    (queries, count) of those that are kept.
    """
    found, count = 0, nearest.shape[1]
    for i in range(lower.shape[0]):
        limit = within
        if count:
            for j in range(lower.shape[1]):
                if upper[i, j] < nearest[i, count - 1] and j != itself[i]:
                    _lower(nearest[i], upper[i, j])
            limit = min(limit, nearest[i, count - 1], distances[i, count - 1])
        for j in range(lower.shape[1]):
            if lower[i, j] <= limit and j != itself[i]:
                queries[found], places[found] = i, j
                found += 1
    return found


@compiled("int64(float32[::1], int64, int64, float64)")
def _above(values: np.ndarray, start: int, stop: int, least: float) -> np.int64:
    """How many values are not smaller: a sum of integers, which the compiler takes many at a time."""
    count, bound = np.int64(0), np.float32(least)  # rounded to nearest: the margin has room for that
    for j in range(start, stop):
        count += np.int64(values[j] >= bound)
    return count


@compiled(f"int64(float32[:,::1], float64, {_STATE})")
def candidates_of_cosines(
    cosines: np.ndarray,
    apart: float,
    itself: np.ndarray,
    nearest: np.ndarray,
    distances: np.ndarray,
    within: float,
    queries: np.ndarray,
    places: np.ndarray,
) -> int:
    """The same of cosines (queries, images) that are wrong by less than `apart`."""
    found, count, width = 0, nearest.shape[1], cosines.shape[1]
    for i in range(cosines.shape[0]):
        limit = within
        if count:
            least = 1 + apart - nearest[i, count - 1]
            for start in range(0, width, _STEP):
                stop = min(start + _STEP, width)
                if _above(cosines[i], start, stop, least):
                    for j in range(start, stop):
                        if cosines[i, j] >= least and j != itself[i]:
                            bound = 1 - cosines[i, j] + apart
                            if bound < nearest[i, count - 1]:
                                _lower(nearest[i], bound)
                    least = 1 + apart - nearest[i, count - 1]
            limit = min(limit, nearest[i, count - 1], distances[i, count - 1])
        least = 1 - apart - limit
        for start in range(0, width, _STEP):
            stop = min(start + _STEP, width)
            if _above(cosines[i], start, stop, least):
                for j in range(start, stop):
                    if cosines[i, j] >= least and j != itself[i]:
                        queries[found], places[found] = i, j
                        found += 1
    return found


@compiled(f"void({_NUMBERS}, {_NUMBERS}, float64[::1], {_TABLE}, int64[:,::1], float64)")
def insert(
    queries: np.ndarray,
    places: np.ndarray,
    found: np.ndarray,
    distances: np.ndarray,
    kept: np.ndarray,
    within: float,
) -> None:
    """Put pairs, whose places ascend, among the nearest of their queries; of equally distant ones the first stays."""
    count = distances.shape[1]
    for pair in range(len(queries)):
        own, numbers = distances[queries[pair]], kept[queries[pair]]
        if found[pair] < own[count - 1] and found[pair] <= within:
            place = count - 1
            while place > 0 and own[place - 1] > found[pair]:
                own[place], numbers[place] = own[place - 1], numbers[place - 1]
                place -= 1
            own[place], numbers[place] = found[pair], places[pair]
