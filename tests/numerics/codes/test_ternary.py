import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fne_cli.numerics.codes import ternary
from fne_cli.numerics.codes.ternary import Cuts, Scores, encode, standardize


def literal(rows, mean, std, low, high):
    """docs/method.md, section 1, word for word: standardise in float64, constant is 0, comparisons strict; NaN is 0."""
    codes = np.zeros(rows.shape, np.int8)
    for feature in range(rows.shape[1]):
        values = rows[:, feature].astype(np.float64)
        z = (values - mean[feature]) / std[feature] if std[feature] else np.where(np.isnan(values), np.nan, 0.0)
        codes[z > high, feature] = 1
        codes[z < low, feature] = -1
    return codes


def encoded(rows, mean, std, low=-0.25, high=0.15):
    codes = np.empty(rows.shape, np.int8)
    Cuts.of(mean, std, low, high).encode(rows, codes)
    return codes


def around(values, steps=3, dtype=np.float32):
    """Each value with its neighbours in `dtype`."""
    near = [np.asarray(values, dtype)]
    for direction in (-np.inf, np.inf):
        value = near[0]
        for _ in range(steps):
            value = np.nextafter(value, dtype(direction))
            near.append(value)
    return np.concatenate(near)


def test_by_hand():
    assert encode(np.array([-0.26, -0.25, 0, 0.15, 0.16])).tolist() == [-1, 0, 0, 0, 1]
    rows = np.array([[-0.26], [-0.25], [0], [0.15], [0.16]])
    assert standardize(rows, np.zeros(1), np.ones(1)).ravel().tolist() == rows.ravel().tolist()


def test_edges_are_strict():
    inside = np.array([3.5, 4.5], np.float32)
    outside = np.nextafter(inside, np.array([0, 9], np.float32))
    # with mean 4 and std 2, z is exactly -0.25 at 3.5 and exactly 0.25 at 4.5
    rows = np.concatenate([inside, outside])[:, None]
    assert encoded(rows, np.array([4.0]), np.array([2.0]), -0.25, 0.25).ravel().tolist() == [0, 0, -1, 1]


def test_a_constant_feature_is_0_whatever_it_meets():
    rows = np.array([[7], [0], [1e30], [-np.inf], [np.inf], [np.nan]], np.float32)
    assert encoded(rows, np.array([7.0]), np.zeros(1)).tolist() == [[0]] * 6


def test_not_a_number_is_0():
    assert encoded(np.array([[np.nan]], np.float32), np.zeros(1), np.ones(1)).tolist() == [[0]]


def test_thresholds_on_one_side_of_zero():
    rows = np.array([[-1], [0.2], [0.5], [2]], np.float32)
    assert encoded(rows, np.zeros(1), np.ones(1), 0.3, 1.0).ravel().tolist() == [-1, -1, 0, 1]
    # a constant feature has z = 0, which is below 0.3
    assert encoded(rows, np.zeros(1), np.zeros(1), 0.3, 1.0).ravel().tolist() == [-1, -1, -1, -1]


MEANS = st.floats(-1e30, 1e30) | st.floats(-10, 10) | st.just(0.0)
STDS = st.floats(1e-300, 1e30) | st.floats(1e-3, 10) | st.just(0.0)
LIMITS = st.floats(-5, 5) | st.sampled_from([-np.inf, np.inf, 0.0, -0.0, -0.25, 0.15])


@settings(deadline=None, max_examples=150)
@given(mean=MEANS, std=STDS, limits=st.tuples(LIMITS, LIMITS), seed=st.integers(0, 2**31), half=st.booleans())
def test_exactly_the_literal_formula(mean, std, limits, seed, half):
    low, high = sorted(limits)
    rng = np.random.default_rng(seed)
    dtype = np.float16 if half else np.float32
    kind = np.uint16 if half else np.uint32
    with np.errstate(all="ignore"):
        anything = rng.integers(0, np.iinfo(kind).max, 200, dtype=kind, endpoint=True).view(dtype)
        edges = around([mean + limit * std for limit in (low, high) if np.isfinite(limit)] + [mean, 0.0], dtype=dtype)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)
        rows = np.concatenate([anything, edges, special])[:, None]
        expected = literal(rows, np.array([mean]), np.array([std]), low, high)
    assert np.array_equal(encoded(rows, np.array([mean]), np.array([std]), low, high), expected)


def test_every_float16():
    rows = np.arange(65536, dtype=np.uint16).view(np.float16)[:, None]
    for mean, std in ((0.3, 0.7), (100.0, 1e-3), (-6e4, 3e4), (0.0, 1e-7)):
        with np.errstate(invalid="ignore"):
            expected = literal(rows, np.array([mean]), np.array([std]), -0.25, 0.15)
        assert np.array_equal(encoded(rows, np.array([mean]), np.array([std])), expected)


@pytest.mark.slow
def test_a_hundred_million_values_and_every_edge():
    rng = np.random.default_rng(7)
    features = 5000
    count = 0
    for _ in range(20):
        mean = rng.lognormal(0, 4, features) * rng.choice([-1, 1], features)
        std = rng.lognormal(0, 4, features)
        std[::97] = 0
        rows = (mean + std * rng.normal(size=(980, features))).astype(np.float32)
        # ten neighbours on either side of both edges of every feature
        edges = np.stack([around(mean + limit * std, 10).reshape(21, features) for limit in (-0.25, 0.15)])
        rows = np.concatenate([rows, edges.reshape(-1, features)])
        assert np.array_equal(encoded(rows, mean, std), encode(standardize(rows, mean, std)))
        count += rows.size
    assert count > 1e8


def test_scores_are_the_rounded_formula():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(50, 9)).astype(np.float32)
    rows[3, 2] = np.nan
    rows[4, 8] = np.nan
    mean, std = rng.normal(size=9), rng.random(9)
    std[8] = 0
    scores = np.empty(rows.shape, np.float32)
    Scores(mean, std).write(rows, scores)
    expected = standardize(rows, mean, std).astype(np.float32)
    assert np.array_equal(scores, expected, equal_nan=True)
    assert np.isnan(scores[3, 2])
    assert np.isnan(scores[4, 8])
    assert scores[5, 8] == 0


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 5), (255, 8), (300, 513), (2048, 1)])
@pytest.mark.parametrize("low", [-1, 0, 1])
def test_codes_are_counted(shape, low):
    codes = np.random.default_rng(0).integers(low, 2, shape).astype(np.int8)
    assert ternary.count(codes) == ((codes == -1).sum(), (codes == 1).sum())
