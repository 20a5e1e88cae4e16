import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from fne_cli.numerics.statistics.behavior import Groups, mean_scores, signed_ks, sorted_keys


def relu(seed, features=6, images=90, classes=5, zeros=0.6):
    """Values full of exact zeros and of other ties, a negative zero among them, and labels."""
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(-zeros, 1, (features, images)), 0).astype(np.float32)
    values[1] = rng.integers(-2, 3, images)
    values[2] = 0.5
    values[0, values[0] == 0] = rng.choice([0.0, -0.0], (values[0] == 0).sum())
    return values, rng.integers(0, classes, images).astype(np.int32)


def both(inside, others):
    """D+ and D-: SciPy's one-sided statistics."""
    return [ks_2samp(inside, others, alternative=side, method="asymp").statistic for side in ("less", "greater")]


def peer(inside, others):
    larger, smaller = both(inside, others)
    return larger if larger >= smaller else -smaller


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_is_scipys_statistic_and_its_sign(seed, dtype):
    values, labels = relu(seed)
    values = values.astype(dtype)
    if dtype == np.float64:  # ties that float32 would make of values that differ
        values[3] = 1 + np.random.default_rng(seed).integers(0, 9, 90) * 1e-12
    s = signed_ks(sorted_keys(values), Groups.of(labels, 5))
    for j, row in enumerate(values):
        for c in range(5):
            inside, others = row[labels == c], row[labels != c]
            assert abs(s[j, c]) == pytest.approx(ks_2samp(inside, others, method="asymp").statistic, abs=1e-12)
            assert s[j, c] == pytest.approx(peer(inside, others), abs=1e-12)


def test_by_hand():
    values = np.array([[0, 0, 0, 1, 0, 5, 5, 9]], np.float32)
    s = signed_ks(sorted_keys(values), Groups.of(np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32), 2))
    # at 0: 3/4 of the first, 1/4 of the second; at 1: 1 and 1/4
    assert s.tolist() == [[-0.75, 0.75]]


def test_equal_distances_count_as_presence():
    values = np.array([[0, 3, 1, 2]], np.float32)  # the class surrounds the others
    assert signed_ks(sorted_keys(values), Groups.of(np.array([0, 0, 1, 1]), 2)).tolist() == [[0.5, 0.5]]


def test_classes_that_cannot_be_compared():
    values = np.array([[1, 2, 3]], np.float32)
    s = signed_ks(sorted_keys(values), Groups.of(np.array([1, 1, 1]), 3))
    assert np.isnan(s).all()
    groups = Groups.of(np.array([[1, 1, 0], [1, 0, 0], [1, -1, 0]], np.int8), 3)
    assert groups.tested.tolist() == [False, True, False]
    assert np.isnan(signed_ks(sorted_keys(values), groups)[0]).tolist() == [True, False, True]


def test_an_image_without_label_is_one_of_the_others():
    values, labels = relu(7)
    labels[::4] = -1
    s = signed_ks(sorted_keys(values), Groups.of(labels, 5))
    expected = [[peer(row[labels == c], row[labels != c]) for c in range(5)] for row in values]
    np.testing.assert_allclose(s, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_several_labels(seed):
    values, _ = relu(seed)
    labels = np.random.default_rng(seed).integers(-1, 2, (90, 4)).astype(np.int8)
    groups = Groups.of(labels, 4)
    s, z = signed_ks(sorted_keys(values), groups), mean_scores(values, groups, values.mean(1), values.std(1))
    for j, row in enumerate(values):
        for c in range(4):
            inside = row[labels[:, c] == 1]
            assert s[j, c] == pytest.approx(peer(inside, row[labels[:, c] == 0]), abs=1e-12)
            if j != 2:
                assert z[j, c] == pytest.approx((inside.mean() - row.mean()) / row.std(), abs=1e-5)


def test_both_forms_of_labels_agree():
    values, labels = relu(3)
    keys = sorted_keys(values)
    one = Groups.of(labels, 5)
    several = Groups.of((labels[:, None] == np.arange(5)).astype(np.int8), 5)
    assert np.array_equal(signed_ks(keys, one), signed_ks(keys, several))
    moments = values.astype(np.float64).mean(1), values.astype(np.float64).std(1)
    assert np.array_equal(mean_scores(values, one, *moments), mean_scores(values, several, *moments))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-100, 100))
def test_turns_around_with_the_values_and_heeds_their_order_only(seed, scale, shift):
    values, labels = relu(seed)
    groups = Groups.of(labels, 5)
    s = signed_ks(sorted_keys(values), groups)
    turned = signed_ks(sorted_keys(-values), groups)
    np.testing.assert_allclose(np.abs(s), np.abs(turned), atol=1e-12)
    for j, c in np.argwhere(np.abs(s + turned) > 1e-12):  # only where the two distances are equal
        larger, smaller = both(values[j, labels == c], values[j, labels != c])
        assert larger == pytest.approx(smaller, abs=1e-12)
    # float64 keeps the order of float32 values under this map, ties included
    moved = signed_ks(sorted_keys(values.astype(np.float64) * scale + shift), groups)
    assert np.array_equal(s, moved)


def test_mean_scores():
    values, labels = relu(2)
    mean, std = values.mean(1, dtype=np.float64), values.std(1, dtype=np.float64)
    std[2] = 0
    z = mean_scores(values, Groups.of(labels, 6), mean, std)
    scores = (values - mean[:, None]) / np.where(std == 0, 1, std)[:, None]
    expected = np.stack([scores[:, labels == c].mean(1) for c in range(5)], axis=1)
    expected[2] = 0
    np.testing.assert_allclose(z[:, :5], expected, atol=1e-12)
    assert np.isnan(z[:, 5]).all()
