"""Codes as two bit planes: a bit for +1, a bit for -1; code j is bit j % 8 of byte j // 8, the lowest bit first."""

from __future__ import annotations

import numpy as np

from fne_cli.compiled import compiled


def plane_bytes(features: int) -> int:
    """Bytes of one plane of one row."""
    return -(-features // 8)


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
