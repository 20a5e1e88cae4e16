"""Ternary rows as bit planes, padded for the vector registers, and how many codes two of them have alike.

On planes p and n of the ones and the minus ones, |x - z| of two rows is |x| + |z| - 2 * popcount((p & p') | (n & n')):
one count for 64 features, where the popcount of two exclusive ors takes two. Two rows meet four others in the
innermost loop, so that each word that is loaded is used several times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fne_cli.compiled import compiled, intrinsic
from fne_cli.numerics.codes.packed import PackedCodes, Rows, spans

WORDS = 8  # of 64 bits, in the widest register
TWO, FOUR = 2, 4  # rows that meet each other in the innermost loop


@dataclass(frozen=True)
class Planes:
    """`count` rows: where their codes are 1 and where -1, uint64 of whole registers; and how many are not 0.

    The planes have some rows of zeros more, so that they can be taken by fours.
    """

    positive: np.ndarray
    negative: np.ndarray
    lengths: np.ndarray
    count: int

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """The planes of codes, (rows, features): PackedCodes or int8."""
        count, length = len(rows), 8 * WORDS * -(-rows.shape[1] // (64 * WORDS))
        out = [np.zeros((-(-count // FOUR) * FOUR, length), np.uint8) for _ in range(2)]
        for span in spans(count, 512):
            part = rows[span]
            if isinstance(part, PackedCodes):
                planes = [part.positive, part.negative]
            else:
                planes = [np.packbits(bits, axis=1, bitorder="little") for bits in (part > 0, part < 0)]
            for plane, whole in zip(planes, out, strict=True):
                whole[span, : plane.shape[1]] = plane
        positive, negative = (whole.view(np.uint64) for whole in out)
        lengths = np.zeros(count, np.int64)
        for span in spans(count, 512):
            lengths[span] = np.bitwise_count(positive[span] | negative[span])[: span.stop - span.start].sum(
                axis=1, dtype=np.int64
            )
        return cls(positive, negative, lengths, count)

    def part(self, span: slice) -> Planes:
        """Some of the rows; the span begins at a multiple of four."""
        stop = -(-span.stop // FOUR) * FOUR
        own = slice(span.start, stop)
        return Planes(self.positive[own], self.negative[own], self.lengths[span], span.stop - span.start)

    def alike(self, others: Planes) -> np.ndarray:
        """(rows, others) float64: in how many places both have the same code, and not 0."""
        return self._counted(others.positive, others.negative)[: self.count, : others.count]

    def products(self, others: Planes) -> np.ndarray:
        """(rows, others) float64: x . z."""
        out = self._counted(others.positive, others.negative)
        out -= self._counted(others.negative, others.positive)
        return out[: self.count, : others.count]

    def _counted(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        out = np.empty((len(self.positive), len(positive)))
        _alike(self.positive, self.negative, positive, negative, out)
        return out


@intrinsic
def _ones(_context: Any, _word: Any) -> Any:
    """The number of set bits of a word."""
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@compiled("void(uint64[:,::1], uint64[:,::1], uint64[:,::1], uint64[:,::1], float64[:,::1])")
def _alike(
    positive: np.ndarray, negative: np.ndarray, theirs: np.ndarray, theirs_negative: np.ndarray, out: np.ndarray
) -> None:
    for j in range(0, theirs.shape[0], FOUR):
        q0, q1, q2, q3 = theirs[j], theirs[j + 1], theirs[j + 2], theirs[j + 3]
        m0, m1, m2, m3 = theirs_negative[j], theirs_negative[j + 1], theirs_negative[j + 2], theirs_negative[j + 3]
        for i in range(0, positive.shape[0], TWO):
            p0, n0, p1, n1 = positive[i], negative[i], positive[i + 1], negative[i + 1]
            a0, a1, a2, a3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
            b0, b1, b2, b3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
            for w in range(positive.shape[1]):
                a0 += _ones((p0[w] & q0[w]) | (n0[w] & m0[w]))
                a1 += _ones((p0[w] & q1[w]) | (n0[w] & m1[w]))
                a2 += _ones((p0[w] & q2[w]) | (n0[w] & m2[w]))
                a3 += _ones((p0[w] & q3[w]) | (n0[w] & m3[w]))
                b0 += _ones((p1[w] & q0[w]) | (n1[w] & m0[w]))
                b1 += _ones((p1[w] & q1[w]) | (n1[w] & m1[w]))
                b2 += _ones((p1[w] & q2[w]) | (n1[w] & m2[w]))
                b3 += _ones((p1[w] & q3[w]) | (n1[w] & m3[w]))
            out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = a0, a1, a2, a3
            out[i + 1, j], out[i + 1, j + 1], out[i + 1, j + 2], out[i + 1, j + 3] = b0, b1, b2, b3
