"""Principal axes of rows that stream, against scikit-learn's of rows in memory."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from fne_cli.errors import BadInput
from fne_cli.numerics.layout.axes import leading


def in_batches(rows, size):
    return lambda: (rows[start : start + size] for start in range(0, len(rows), size))


@pytest.mark.parametrize("count", [2, 20])
def test_they_are_those_of_scikit_learn(count):
    rows = load_digits().data[:700].astype(np.float32)
    found, expected = leading(in_batches(rows, 300), 64, count, 0), PCA(count, svd_solver="full").fit(rows)
    assert np.allclose(found.explained, expected.explained_variance_ratio_, rtol=1e-4)
    assert np.allclose(np.abs(np.sum(found.axes[:2] * expected.components_[:2], axis=1)), 1, atol=1e-5)
    theirs = expected.transform(rows)[:, :2]
    assert np.allclose(np.abs(found.along(rows)[:, :2]), np.abs(theirs), atol=1e-3 * theirs.std())


def test_their_bits_depend_on_no_batches_and_only_on_the_seed():
    rows = np.random.default_rng(0).integers(-1, 2, (300, 90)).astype(np.int8)
    one, other = leading(in_batches(rows, 7), 90, 3, 5), leading(in_batches(rows, 300), 90, 3, 5)
    assert np.array_equal(one.axes, other.axes) and np.array_equal(one.explained, other.explained)
    assert np.array_equal(one.along(rows)[40:50], one.along(rows[40:50]))
    assert not np.array_equal(one.axes, leading(in_batches(rows, 7), 90, 3, 6).axes)


def test_there_are_not_more_than_rows_have():
    rows = np.random.default_rng(0).normal(size=(4, 30)).astype(np.float32)
    found = leading(in_batches(rows, 2), 30, 10, 0)
    assert found.axes.shape == (3, 30)
    assert found.explained.sum() == pytest.approx(1)
    with pytest.raises(BadInput, match=r"There should be images whose vectors differ\. Found: 4 alike"):
        leading(in_batches(np.ones((4, 30), np.float32), 2), 30, 2, 0)
