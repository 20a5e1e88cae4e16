"""HDF5's Fletcher-32, at the speed of memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from fne_cli.compiled import compiled

_LANES = 64  # of four 16-bit words each
_STEPS = 360  # of a lane before its 32-bit sums could overflow


def fletcher32(content: np.ndarray) -> int:
    """The checksum that HDF5's filter appends to a chunk (little-endian), of (bytes,) contiguous uint8."""
    odd = len(content) % 2
    words = content[: len(content) - odd].view("<u2")
    wide = content[: len(content) // (8 * _LANES) * 8 * _LANES].view("<u8")
    total = len(words) + odd
    first, second = _sums(wide, words, total)
    if odd:  # the last byte counts as the high half of a big-endian word
        first, second = first + int(content[-1]), second + int(content[-1])
    if not first:
        return 0  # nothing but zero bytes
    # HDF5 reads big-endian words. Swapping the bytes of a word is multiplying it by 256, modulo 65535; a sum that is a
    # multiple of 65535 stands as 65535.
    return (second * 256 % 65535 or 65535) << 16 | (first * 256 % 65535 or 65535)


@compiled()
def _sums(wide: np.ndarray, words: np.ndarray, total: int) -> tuple[Any, Any]:
    """Sum of the words, not reduced; sum of the words by their distance from the end, modulo 65535."""
    modulus, low, half = np.uint64(65535), np.uint64(0xFFFFFFFF), np.uint64(0x0000FFFF0000FFFF)
    shift, byte = np.uint64(16), np.uint64(4 * _LANES)
    # Every 64-bit lane carries two 32-bit sums; words 0 and 2 of four in the first part, 1 and 3 in the second. Behind
    # them stand the sums of these sums: the words weighted by how many steps are left.
    lanes = np.zeros(4 * _LANES, np.uint64)
    first, second = np.uint64(0), np.uint64(0)
    steps = len(wide) // _LANES
    for start in range(0, steps, _STEPS):
        stop = min(start + _STEPS, steps)
        lanes[:] = 0
        for step in range(start, stop):
            row = wide[step * _LANES : (step + 1) * _LANES]
            for j in range(_LANES):
                even = lanes[j] + (row[j] & half)
                odd = lanes[_LANES + j] + ((row[j] >> shift) & half)
                lanes[j], lanes[_LANES + j] = even, odd
                lanes[2 * _LANES + j] += even
                lanes[3 * _LANES + j] += odd
        plain, weighted, places = np.uint64(0), np.uint64(0), np.uint64(0)
        for j in range(_LANES):
            for part in range(2):
                for side in range(2):
                    bits = np.uint64(32 * side)
                    value = (lanes[part * _LANES + j] >> bits) & low
                    plain += value
                    weighted += (lanes[(2 + part) * _LANES + j] >> bits) & low
                    places += value * np.uint64(4 * j + 2 * side + part)
        behind = np.uint64(total - stop * 4 * _LANES) % modulus
        second += behind * (plain % modulus) + byte * weighted + (modulus - places % modulus)
        second %= modulus
        first += plain
    for place in range(steps * 4 * _LANES, len(words)):
        word = np.uint64(words[place])
        first += word
        second = (second + np.uint64(total - place) * word) % modulus
    return first, second
