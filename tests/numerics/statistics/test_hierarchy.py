"""The tree of classes, against SciPy's own linkage and cophenetic distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform

from fne_cli.numerics.statistics.hierarchy import average_linkage


def distances(count, seed=0):
    return squareform(pdist(np.random.default_rng(seed).normal(size=(count, 3))))


@pytest.mark.parametrize("count", [2, 3, 40])
def test_every_item_is_a_leaf_and_every_merge_has_scipys_height(count):
    found = average_linkage(distances(count))
    assert sorted(found.leaves) == [[number] for number in range(count)]
    heights = linkage(squareform(distances(count)), "average")[:, 2]
    np.testing.assert_allclose(sorted(found.lines[:, 1, 0]), sorted(heights))


def test_the_two_nearest_stand_side_by_side():
    table = distances(20)
    nearest = np.unravel_index(np.argmin(table + 1e9 * np.eye(20)), table.shape)
    found = average_linkage(table)
    first, second = (found.leaves.index([int(item)]) for item in nearest)
    assert abs(first - second) == 1
    bracket = found.lines[np.argmin(found.lines[:, 1, 0])]
    assert sorted(bracket[[0, 3], 1]) == sorted([first, second])


def test_a_tree_of_many_is_cut_and_loses_nobody():
    found = average_linkage(distances(400), most=50)
    assert len(found.leaves) == 50
    assert len(found.lines) == 49
    assert sorted(item for leaf in found.leaves for item in leaf) == list(range(400))


def test_a_chain_of_a_thousand_does_not_exhaust_the_stack():
    places = 2.0 ** np.arange(1000) ** 0.9
    table = np.abs(places[:, None] - places)
    assert len(average_linkage(table).leaves) == 120


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_join(count):
    found = average_linkage(np.zeros((count, count)))
    assert (len(found.leaves), found.lines.shape) == (count, (0, 4, 2))
