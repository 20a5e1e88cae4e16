import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fne_cli.errors import WrongOptions
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.neighbours.distances import Comparable, between_groups, check_metric, default_metric

SCIPY = {"l1": "cityblock", "cosine": "cosine", "euclid": "euclidean"}


def random_codes(rows, features, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 0, 1], np.int8), (rows, features), p=[0.5, 0.15, 0.35])


@pytest.mark.parametrize("metric", SCIPY)
@pytest.mark.parametrize("features", [3, 64, 197])
@pytest.mark.parametrize("packed", [True, False])
def test_codes_are_as_far_apart_as_scipy_says(metric, features, packed):
    queries, rows = random_codes(7, features, 1), random_codes(11, features, 2)
    given = (PackedCodes.of(queries), PackedCodes.of(rows)) if packed else (queries, rows)
    found = Comparable.of(given[0], metric).distances(Comparable.of(given[1], metric))
    np.testing.assert_allclose(found, cdist(queries, rows, SCIPY[metric]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_floats_are_as_far_apart_as_scipy_says(metric):
    generator = np.random.default_rng(3)
    queries, rows = (generator.normal(size=(count, 50)).astype(np.float32) for count in (6, 9))
    found = Comparable.of(queries, metric).distances(Comparable.of(rows, metric))
    np.testing.assert_allclose(found, cdist(queries, rows, SCIPY[metric]), rtol=0, atol=1e-7)


def test_rows_of_zeros_are_at_right_angles_to_all():
    zeros = Comparable.of(np.zeros((1, 8), np.int8), "cosine")
    assert zeros.distances(Comparable.of(random_codes(3, 8), "cosine")).tolist() == [[1, 1, 1]]


def test_l1_is_for_codes():
    assert default_metric(ternary=True) == "l1"
    assert default_metric(ternary=False) == "cosine"
    check_metric("l1", ternary=True)
    with pytest.raises(WrongOptions, match="l1 is for ternary codes"):
        check_metric("l1", ternary=False)


def test_groups_are_as_far_apart_as_their_nearest_rows_on_average():
    # the first image has two windows, the second one; the others have one and two
    distances = np.array([[4.0, 1.0, 3.0], [2.0, 6.0, 5.0], [7.0, 8.0, 9.0]])
    assert between_groups(distances, np.array([0, 2]), np.array([0, 1])).tolist() == [[3.0, 3.0], [7.0, 8.0]]
    assert between_groups(distances, np.arange(3), np.arange(3)).tolist() == distances.tolist()
