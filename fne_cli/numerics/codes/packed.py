"""Ternary codes as two bit planes: a quarter of a byte per code instead of one, and readable in place from a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fne_cli.compiled import compiled


@dataclass(frozen=True)
class PackedCodes:
    """(rows, features) codes in two planes of (rows, ceil(features / 8)) uint8, arrays or memory maps.

    Bit j % 8 of byte j // 8 of a row, the lowest bit first (NumPy's bitorder "little"), is set in `positive` where
    code j is 1, in `negative` where it is -1. Raises ValueError if the planes fit neither each other nor the features.
    """

    positive: np.ndarray
    negative: np.ndarray
    features: int

    def __post_init__(self) -> None:
        expected = (len(self.positive), -(-self.features // 8))
        for plane in (self.positive, self.negative):
            if plane.dtype != np.uint8 or plane.shape != expected:
                raise ValueError(f"a plane should be uint8 of shape {expected}. Found: {plane.dtype} {plane.shape}.")

    @classmethod
    def of(cls, codes: np.ndarray) -> Self:
        """Pack (rows, features) codes -1, 0, 1."""
        positive, negative = (np.packbits(codes == sign, axis=1, bitorder="little") for sign in (1, -1))
        return cls(positive, negative, codes.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, features)."""
        return len(self.positive), self.features

    def __len__(self) -> int:
        return len(self.positive)

    def __getitem__(self, rows: Any) -> PackedCodes:
        return PackedCodes(self.positive[rows], self.negative[rows], self.features)

    def dense(self, columns: slice, dtype: Any) -> np.ndarray:
        """The codes of a range of columns as (rows, columns) of a floating type."""
        start, stop, _ = columns.indices(self.features)
        first, last = start // 8, -(-stop // 8)
        out = np.empty((len(self), 8 * (last - first)), dtype)
        positive, negative = (np.ascontiguousarray(p[:, first:last]) for p in (self.positive, self.negative))
        _unpack(positive, negative, out)
        return out[:, start - 8 * first : stop - 8 * first]


Rows = np.ndarray | PackedCodes


def dense(rows: Rows, columns: slice, dtype: Any) -> np.ndarray:
    """A range of columns of rows of any kind, in a floating type: the only copy that the products make."""
    return rows.dense(columns, dtype) if isinstance(rows, PackedCodes) else rows[:, columns].astype(dtype)


def spans(total: int, width: int) -> Iterator[slice]:
    """0 ... total in pieces of at most `width`."""
    for start in range(0, total, width):
        yield slice(start, min(start + width, total))


@compiled("void(uint8[:,::1], uint8[:,::1], float32[:,::1])", "void(uint8[:,::1], uint8[:,::1], float64[:,::1])")
def _unpack(positive: np.ndarray, negative: np.ndarray, out: np.ndarray) -> None:
    for row in range(positive.shape[0]):
        for byte in range(positive.shape[1]):
            high, low = np.int32(positive[row, byte]), np.int32(negative[row, byte])
            for bit in range(8):
                out[row, 8 * byte + bit] = ((high >> bit) & 1) - ((low >> bit) & 1)


def pack(codes: np.ndarray, planes: np.ndarray) -> None:
    """Write codes, (rows, features) int8 of -1, 0, 1, to planes, (rows, 2, plane_bytes(features)) uint8.

    Plane 0 has the +1, plane 1 the -1; the bits behind the last feature are 0.
    """
    whole = codes.shape[1] // 8 * 8
    wide = np.ascontiguousarray(codes[:, :whole]).view("<u8")
    _pack(wide, codes[:, whole:], planes)


@compiled()
def _pack(wide: np.ndarray, rest: np.ndarray, planes: np.ndarray) -> None:
    ones, gather = np.uint64(0x0101010101010101), np.uint64(0x0102040810204080)
    top, sign = np.uint64(56), np.uint64(7)
    count = wide.shape[1]
    for i in range(len(planes)):
        row, positive, negative = wide[i], planes[i, 0], planes[i, 1]
        for j in range(count):
            # Every byte is 00000000, 00000001 or 11111111. One multiplication brings eight lowest bits together.
            minus = (row[j] >> sign) & ones
            plus = row[j] & ones & ~minus
            positive[j] = (plus * gather) >> top
            negative[j] = (minus * gather) >> top
        if rest.shape[1]:
            plus_byte, minus_byte = 0, 0
            for k in range(rest.shape[1]):
                plus_byte |= (rest[i, k] > 0) << k
                minus_byte |= (rest[i, k] < 0) << k
            positive[count], negative[count] = plus_byte, minus_byte
