"""Distances of some rows to all others, on all processors, with the same bits whatever the number of these."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from fne_cli.numerics.codes.packed import PackedCodes, Rows, is_ternary, spans
from fne_cli.numerics.neighbours.distances import Comparable, Metric

QUERIES, BLOCK = 240, 1024
"""Rows of a piece of work, one way and the other: fixed, since what is rounded depends on them.

A matrix product rounds the rows that are left over at the end of its tiles differently. 240 rows are whole tiles of 4,
6, 8, 12, 16, 20 and 24, so that a query has the same distances whichever others are asked with it.
"""


def distances_of(queries: Rows, rows: Rows, metric: Metric, pool: Executor) -> np.ndarray:
    """(queries, rows) float64, with a pool as `machine.thread_pool` makes it. Memory as `bytes_of` says."""
    out = np.empty((len(queries), len(rows)))
    asked = [(span, Comparable.of(_filled(queries[span]), metric)) for span in spans(len(queries), QUERIES)]

    def fill(across: slice) -> None:
        known = Comparable.of(rows[across], metric)
        for down, own in asked:
            out[down, across] = own.distances(known)[: down.stop - down.start]

    list(pool.map(fill, spans(len(rows), BLOCK)))
    return out


def _filled(rows: Rows) -> Rows:
    """QUERIES rows, the last of them zeros; codes are counted, and need no others."""
    if isinstance(rows, PackedCodes) or is_ternary(rows) or len(rows) == QUERIES:
        return rows
    return np.concatenate([rows, np.zeros((QUERIES - len(rows), rows.shape[1]), rows.dtype)])


def bytes_of(queries: int, rows: int, features: int, threads: int, ternary: bool) -> int:
    """What `distances_of` takes, its result and all."""
    each = features // 4 + 16 if ternary else 3 * 8 * features
    working = threads * (min(rows, BLOCK) * each + 4 * 8 * QUERIES * min(rows, BLOCK))
    return 8 * queries * rows + max(queries, QUERIES) * each + working
