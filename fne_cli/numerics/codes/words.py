"""Products of ternary codes by counting bits: 64 features in two logical operations and two counts.

x . z = |both nonzero| - 2 |both nonzero, signs differ|. On processors with AVX2 this was seen to be five times faster
than a float32 matrix product, and it is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import types
from numba.extending import intrinsic

from fne_cli.compiled import compiled
from fne_cli.numerics.codes.packed import PackedCodes, Rows, spans


def is_ternary(rows: Rows) -> bool:
    """Whether rows are codes: PackedCodes, or int8 of -1, 0 and 1 only."""
    if isinstance(rows, PackedCodes):
        return True
    return rows.dtype == np.int8 and (not rows.size or (int(rows.min()) >= -1 and int(rows.max()) <= 1))


@dataclass(frozen=True)
class Words:
    """The bits of ternary rows, (rows, ceil(features / 64)) uint64: where a code is not 0, and where it is -1."""

    nonzero: np.ndarray
    negative: np.ndarray

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """The words of codes; the bits beyond the features are 0."""
        length = 8 * -(-rows.shape[1] // 64)
        out = [np.zeros((len(rows), length), np.uint8) for _ in range(2)]
        for span in spans(len(rows), 512):
            part = rows[span]
            if isinstance(part, PackedCodes):
                planes: tuple[np.ndarray, ...] = (part.positive | part.negative, part.negative)
            else:
                planes = tuple(np.packbits(bits, axis=1, bitorder="little") for bits in (part != 0, part < 0))
            for plane, whole in zip(planes, out, strict=True):
                whole[span, : plane.shape[1]] = plane
        return cls(out[0].view(np.uint64), out[1].view(np.uint64))

    def __getitem__(self, rows: slice) -> Words:
        return Words(self.nonzero[rows], self.negative[rows])

    def products(self, others: Words, constant: int, out: np.ndarray) -> None:
        """Write x_i . z_j + constant to out (rows, others), int16, float32 or float64."""
        _count(self.nonzero, self.negative, others.nonzero, others.negative, constant, out)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _ones(_context: Any, _word: Any) -> Any:
    """The number of set bits of a word."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


_PLANES = "uint64[:,::1], uint64[:,::1], uint64[:,::1], uint64[:,::1]"


@compiled(*(f"void({_PLANES}, int64, {out}[:,:])" for out in ("int16", "float32", "float64")))
def _count(
    nonzero: np.ndarray,
    negative: np.ndarray,
    other_nonzero: np.ndarray,
    other_negative: np.ndarray,
    constant: int,
    out: np.ndarray,
) -> None:
    for i in range(nonzero.shape[0]):
        for j in range(other_nonzero.shape[0]):
            both, differ = np.uint64(0), np.uint64(0)
            for word in range(nonzero.shape[1]):
                shared = nonzero[i, word] & other_nonzero[j, word]
                both += _ones(shared)
                differ += _ones(shared & (negative[i, word] ^ other_negative[j, word]))
            out[i, j] = np.int64(both) - 2 * np.int64(differ) + constant
