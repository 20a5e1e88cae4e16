import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.numerics.codes.prototypes import Counts, differing


def test_by_hand():
    counts = Counts(3, 3)
    counts.add(np.array([[1, -1, 0], [1, -1, 1], [0, 1, -1]], np.int8), np.array([0, 0, 1]))
    counts.add(np.array([[1, 0, 1], [-1, -1, -1]], np.int8), np.array([0, -1]))
    found = counts.prototypes(np.array([3, 1, 0]), 0.5)
    assert found.tolist() == [[1, -1, 1], [0, 1, -1], [0, 0, 0]]
    assert counts.prototypes(np.array([3, 1, 0]), 0.7).tolist() == [[1, 0, 0], [0, 1, -1], [0, 0, 0]]


def test_half_is_not_more_than_half():
    counts = Counts(1, 1)
    counts.add(np.array([[1], [-1]], np.int8), np.array([0, 0]))
    assert counts.prototypes(np.array([2]), 0.5).tolist() == [[0]]


def test_several_labels():
    counts = Counts(2, 2)
    counts.add(np.array([[1, -1], [1, 1]], np.int8), np.array([[1, 1], [-1, 1]], np.int8))
    assert counts.high.tolist() == [[1, 0], [2, 1]]
    assert counts.low.tolist() == [[0, 1], [0, 1]]


@given(st.integers(0, 99), st.sampled_from([1, 30, 5000]))
def test_differing(seed, features):
    prototypes = np.random.default_rng(seed).integers(-1, 2, (4, features)).astype(np.int8)
    expected = (prototypes[:, None] != prototypes).sum(axis=2)
    assert np.array_equal(differing(prototypes), expected)
