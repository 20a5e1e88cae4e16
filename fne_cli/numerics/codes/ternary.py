"""Ternary codes: -1 where a standardised feature is low, +1 where it is high, 0 between (Garcia-Gasulla et al.)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fne_cli.compiled import compiled
from fne_cli.numerics.codes import HIGH, LOW


def standardize(rows: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(rows - mean) / std in float64, (rows, features); a feature with std 0 becomes 0, not a number stays that."""
    constant = std == 0
    with np.errstate(over="ignore"):  # beyond float64 is infinity, which has a code
        scores = (rows - mean.astype(np.float64)) / np.where(constant, 1.0, std)
    scores[:, constant] = np.where(np.isnan(rows[:, constant]), np.nan, 0.0)
    return scores


def encode(scores: np.ndarray, low: float = LOW, high: float = HIGH) -> np.ndarray:
    """Codes of z-scores, int8 of the same shape: z > high is +1, z < low is -1, both strict; NaN is 0."""
    return (scores > high).astype(np.int8) - (scores < low).astype(np.int8)


@dataclass(frozen=True)
class Cuts:
    """Where the code of each feature changes, in the activations' own space: x >= above is +1, x <= below is -1.

    Both are (features,) float32; NaN where no value gets that code. They reproduce `encode(standardize(x))` for every
    float32 and float16 x, since that is monotone in x: x becomes float64 exactly; subtracting a constant, dividing by
    a positive constant and rounding each to the nearest never turn two values around; a comparison with a constant
    then changes once. So the first float32 behind the change is found by bisection over all of them, with the formula
    itself as the test.
    """

    above: np.ndarray
    below: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, std: np.ndarray, low: float = LOW, high: float = HIGH) -> Self:
        """The cuts for moments of (features,) float64, finite, std >= 0."""
        above = _first(mean, std, lambda scores: scores > high)
        below = _first(mean, std, lambda scores: ~(scores < low)) - 1  # the last that is low
        return cls(_value(above), _value(below))

    def split(self, widths: Sequence[int]) -> list[Cuts]:
        """The cuts of features 0 ... widths[0] - 1, of the next widths[1], and so on."""
        edges = np.cumsum(widths)[:-1]
        parts = zip(np.split(self.above, edges), np.split(self.below, edges), strict=True)
        return [Cuts(above, below) for above, below in parts]

    def encode(self, rows: np.ndarray, codes: np.ndarray) -> None:
        """Write the codes of rows, (rows, features) float32 or float16, to `codes`, int8 of the same shape."""
        _encode(rows.astype(np.float32, copy=False), self.above, self.below, codes)


def count(codes: np.ndarray) -> tuple[int, int]:
    """How many of the codes, contiguous int8, are -1, and how many 1."""
    flat = codes.reshape(-1)
    whole = len(flat) // 8 * 8
    below, nonzero = map(int, _count(flat[:whole].view(np.uint64)))
    rest = flat[whole:]
    below += int((rest < 0).sum())
    return below, nonzero + int((rest != 0).sum()) - below


@dataclass(frozen=True)
class Scores:
    """Writes `standardize(rows)` rounded to float32, without a float64 copy. mean and std are (features,) float64."""

    mean: np.ndarray
    std: np.ndarray

    def write(self, rows: np.ndarray, scores: np.ndarray) -> None:
        """Fill scores, (rows, features) float32, from rows of the same shape, float32 or float16."""
        _write_scores(rows.astype(np.float32, copy=False), self.mean, self.std, scores)


_LOWEST, _HIGHEST = -0x7F800001, 0x7F800000  # ranks of -inf and inf


def _first(mean: np.ndarray, std: np.ndarray, holds: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The rank of the smallest float32 whose score makes the monotone `holds` true, infinities included.

    _HIGHEST + 1 if there is none.
    """
    low = np.full(len(mean), _LOWEST)
    high = np.full(len(mean), _HIGHEST + 1)
    while (low < high).any():
        middle = (low + high) // 2
        # once low == high == _HIGHEST + 1 there is nothing left to ask
        asked = np.minimum(middle, _HIGHEST)
        true = holds(standardize(_value(asked)[None, :], mean, std)[0]) | (middle > asked)
        low, high = np.where(true, low, middle + 1), np.where(true, middle, high)
    return low


def _value(ranks: np.ndarray) -> np.ndarray:
    """The float32 at each place in their order (0 is +0, -1 is -0), NaN outside -inf ... inf."""
    inside = (ranks >= _LOWEST) & (ranks <= _HIGHEST)
    bits = np.where(ranks >= 0, ranks, (-ranks - 1) | 0x80000000)
    return np.where(inside, bits, 0x7FC00000).astype(np.uint32).view(np.float32)


@compiled()
def _encode(rows: np.ndarray, above: np.ndarray, below: np.ndarray, codes: np.ndarray) -> None:
    for i in range(rows.shape[0]):
        row, out = rows[i], codes[i]
        for j in range(len(row)):
            out[j] = np.int8(row[j] >= above[j]) - np.int8(row[j] <= below[j])


@compiled("UniTuple(uint64, 2)(uint64[::1])")
def _count(words: np.ndarray) -> tuple[Any, Any]:
    """Of eight codes to a word: how many are -1, how many are not 0."""
    # -1 is 11111111 and 1 is 00000001: the highest bit of a byte says the one, the lowest the other
    ones, pairs, shift, byte = np.uint64(0x0101010101010101), np.uint64(0x00FF00FF00FF00FF), np.uint64(7), np.uint64(8)
    gather, top = np.uint64(0x0001000100010001), np.uint64(48)
    below, nonzero = np.uint64(0), np.uint64(0)
    for start in range(0, len(words), 255):  # then the sum of a byte would overflow
        minus, some = np.uint64(0), np.uint64(0)
        for place in range(start, min(start + 255, len(words))):
            minus += (words[place] >> shift) & ones
            some += words[place] & ones
        below += (((minus & pairs) + ((minus >> byte) & pairs)) * gather) >> top
        nonzero += (((some & pairs) + ((some >> byte) & pairs)) * gather) >> top
    return below, nonzero


@compiled()
def _write_scores(rows: np.ndarray, mean: np.ndarray, std: np.ndarray, scores: np.ndarray) -> None:
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            difference = np.float64(rows[i, j]) - mean[j]
            if std[j] != 0.0:
                scores[i, j] = np.float32(difference / std[j])
            else:
                scores[i, j] = np.float32(0.0) if not np.isnan(difference) else np.float32(np.nan)
