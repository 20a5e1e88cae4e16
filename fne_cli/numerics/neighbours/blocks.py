"""Distances of some rows to all others, on all processors, with the same bits whatever the number of these."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from fne_cli.numerics.codes.packed import PackedCodes, Rows, is_ternary, spans
from fne_cli.numerics.neighbours.distances import Comparable, Metric

QUERIES, BLOCK = 240, 960
"""Rows of a piece of work, one way and the other: fixed, since what is rounded depends on them.

A matrix product rounds the rows that are left over at the end of its tiles differently. 240 rows are whole tiles of 4,
6, 8, 12, 16, 20 and 24, so that equal rows have equal distances wherever they stand, whichever others there are.
"""


def distances_of(
    queries: Rows, rows: Rows, metric: Metric, pool: Executor, numbers: np.ndarray | None = None
) -> np.ndarray:
    """(queries, rows) float64, with a pool as `machine.thread_pool` makes it. Memory as `bytes_of` says.

    numbers: those of the rows that count, in their order; by default all.
    """
    count = len(rows) if numbers is None else len(numbers)
    out = np.empty((len(queries), count))
    asked = [(span, Comparable.of(_filled(queries[span]), metric)) for span in spans(len(queries), QUERIES)]

    def fill(across: slice) -> None:
        known = Comparable.of(_filled(rows[across if numbers is None else numbers[across]]), metric)
        for down, own in asked:
            out[down, across] = own.distances(known)[: down.stop - down.start, : across.stop - across.start]

    list(pool.map(fill, spans(count, BLOCK)))
    return out


def _filled(rows: Rows) -> Rows:
    """A multiple of QUERIES rows, the last of them zeros; codes are counted, and need no others."""
    missing = -len(rows) % QUERIES
    if isinstance(rows, PackedCodes) or is_ternary(rows) or not missing:
        return rows
    return np.concatenate([rows, np.zeros((missing, rows.shape[1]), rows.dtype)])


def bytes_of(queries: int, rows: int, features: int, threads: int, ternary: bool) -> int:
    """What `distances_of` takes, its result and all."""
    each = features // 4 + 16 if ternary else 3 * 8 * features
    block = min(BLOCK, rows + -rows % QUERIES)
    working = threads * (block * each + 4 * 8 * QUERIES * block)
    return 8 * queries * rows + max(queries, QUERIES) * each + working
