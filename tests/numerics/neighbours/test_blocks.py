"""Distances on all processors: SciPy's, and the same bits however the queries are divided."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes, dense
from fne_cli.numerics.neighbours.blocks import distances_of

SCIPY = {"l1": "cityblock", "cosine": "cosine", "euclid": "euclidean"}


def rows_of(metric, count, seed, features=70):
    generator = np.random.default_rng(seed)
    if metric == "l1":
        return PackedCodes.of(generator.integers(-1, 2, (count, features)).astype(np.int8))
    return generator.normal(size=(count, features)).astype(np.float32)


@pytest.mark.parametrize("metric", SCIPY)
def test_distances_are_scipys_and_do_not_depend_on_the_other_queries(metric):
    queries, rows = rows_of(metric, 300, 1), rows_of(metric, 1100, 2)
    with thread_pool() as pool:
        whole = distances_of(queries, rows, metric, pool)
        parts = {
            size: np.concatenate(
                [distances_of(queries[start : start + size], rows, metric, pool) for start in range(0, 300, size)]
            )
            for size in (256, 64, 7)
        }
    plain = [dense(one, slice(0, 70), np.float64) for one in (queries, rows)]
    np.testing.assert_allclose(whole, cdist(*plain, SCIPY[metric]), rtol=0, atol=1e-6)
    for size, part in parts.items():
        np.testing.assert_array_equal(part, whole, f"{size} at a time")


@pytest.mark.parametrize("count", [55, 898, 1025, 1500])
@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_equal_rows_are_equally_far_wherever_they_stand(metric, count):
    """The last row, a copy of the first, was rounded otherwise where it stood in tiles that were not full."""
    queries, rows = rows_of(metric, 50, 3, features=300), rows_of(metric, count, 4, features=300)
    rows[-1] = rows[0]
    with thread_pool() as pool:
        found = distances_of(queries, rows, metric, pool)
        chosen = distances_of(queries, rows, metric, pool, np.arange(0, count, 3))
    np.testing.assert_array_equal(found[:, -1], found[:, 0])
    np.testing.assert_array_equal(chosen, found[:, ::3])
