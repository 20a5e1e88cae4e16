from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import StandardScaler

from fne_cli.numerics.statistics.moments import Moments, Sums


def exact(rows):
    """Mean and variance by NumPy in extended precision."""
    wide = rows.astype(np.longdouble)
    return wide.mean(axis=0), ((wide - wide.mean(axis=0)) ** 2).mean(axis=0)


def in_parts(rows, cuts):
    edges = [0, *sorted({min(cut, len(rows)) for cut in cuts}), len(rows)]
    return [rows[start:stop] for start, stop in pairwise(edges)]


def test_by_hand():
    moments = Moments.of(np.array([[1, 0, 5], [3, 0, 5], [5, 6, 5]], np.float32))
    assert moments.count == 3
    assert moments.mean.tolist() == [3, 2, 5]
    assert moments.std == pytest.approx([np.sqrt(8 / 3), np.sqrt(8), 0])
    assert moments.minimum.tolist() == [1, 0, 5]
    assert moments.maximum.tolist() == [5, 6, 5]
    assert moments.zeros.tolist() == [0, 2, 0]
    assert moments.constant.tolist() == [False, False, True]


def test_one_row_is_constant():
    moments = Moments.of(np.array([[0.1, -7.0, 0.0]], np.float32))
    assert moments.std.tolist() == [0, 0, 0]
    assert moments.mean.tolist() == [np.float64(np.float32(0.1)), -7, 0]


def test_no_rows_add_nothing():
    rows = np.array([[1.0, 2.0], [3.0, 7.0]], np.float32)
    for both in (Moments.empty(2) + Moments.of(rows), Moments.of(rows) + Moments.of(rows[:0])):
        assert both.count == 2
        assert both.mean.tolist() == [2, 4.5]


COLUMNS = {
    "huge offset, float64": lambda rng, n: (1e6 + 1e-3 * rng.normal(size=(n, 3))).astype(np.float64),
    "huge offset, neighbouring float32": lambda rng, n: (
        np.float32(1e6) + rng.integers(0, 2, (n, 3)) * np.float32(0.0625)
    ),
    "huge offset, negative": lambda rng, n: (-1e6 + rng.normal(size=(n, 3))).astype(np.float32),
    "thirty decades": lambda rng, n: (rng.normal(size=(n, 3)) * 10.0 ** rng.uniform(-15, 15, (n, 3))).astype(
        np.float32
    ),
    "one outlier": lambda rng, n: np.where(np.arange(n)[:, None] == n // 2, 1e9, rng.random((n, 3))).astype(np.float32),
    "zeros and a few": lambda rng, n: np.maximum(rng.normal(-2, 1, (n, 3)), 0).astype(np.float32),
    "sign changes": lambda rng, n: (rng.choice([-1, 1], (n, 3)) * (1e3 + rng.random((n, 3)))).astype(np.float32),
    "float16": lambda rng, n: (1000 + rng.normal(size=(n, 3))).astype(np.float16),
    "subnormal": lambda rng, n: (rng.random((n, 3)) * 1e-41).astype(np.float32),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("count", [2, 129, 5003])
def test_agrees_with_extended_precision(name, count):
    rows = COLUMNS[name](np.random.default_rng(3), count)
    mean, variance = exact(rows)
    got = sum((Moments.of(part) for part in in_parts(rows, [1, 64, 1000])), Moments.empty(3))
    std = np.sqrt(variance)
    assert (np.abs(got.mean - mean) <= 1e-15 * np.maximum(np.abs(mean), std)).all()
    assert (np.abs(got.std - std) <= 1e-12 * std).all()


VALUES = st.floats(-1e6, 1e6, width=32)


@settings(deadline=None, max_examples=60)
@given(
    rows=hnp.arrays(
        np.float32, st.tuples(st.integers(1, 300), st.integers(1, 5)), elements=st.floats(-1e6, 1e6, width=32)
    ),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    seed=st.integers(0, 9),
)
def test_any_cut_any_order_any_grouping_gives_the_same_bits(rows, cuts, seed):
    whole = Moments.of(rows)
    rng = np.random.default_rng(seed)
    parts = [Moments.of(part) for part in in_parts(rows[rng.permutation(len(rows))], cuts)]
    while len(parts) > 1:
        second = parts.pop(rng.integers(len(parts)))
        parts[rng.integers(len(parts))] += second
    for name, values in whole.datasets().items():
        assert np.array_equal(parts[0].datasets()[name], values), name


def test_chosen_rows_only():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 300)).astype(np.float32)
    chosen = np.flatnonzero(rng.random(400) < 0.3)
    sums = Sums(300)
    sums.add(rows, chosen)
    assert sums.count == len(chosen)
    assert sums.moments().mean == pytest.approx(rows[chosen].mean(axis=0, dtype=np.float64), abs=1e-15)
    assert np.array_equal(sums.moments().maximum, rows[chosen].max(axis=0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 200, 299])
def test_says_that_values_are_not_finite(value, place):
    rows = np.ones((300, 2), np.float32)
    sums = Sums(2)
    sums.add(rows)
    assert sums.finite
    rows[place, 1] = value
    sums.add(rows)
    assert not sums.finite


def test_near_constant_features_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(1000, 7))
    rows = 1e8 + noise * 10.0 ** -np.arange(2, 16, 2)
    scaler = StandardScaler().fit(rows)
    ours = Moments.of(rows)
    # scale_ is 1 where scikit-learn treats a feature as constant
    assert ours.constant.tolist() == (scaler.scale_ == 1).tolist()
    assert 0 < ours.constant.sum() < 7
    assert (ours.std[ours.constant] == 0).all()


def test_agrees_with_partial_fit():
    rng = np.random.default_rng(2)
    rows = np.maximum(rng.normal(size=(1000, 50)), 0).astype(np.float32)
    scaler = StandardScaler()
    total = Moments.empty(50)
    for part in in_parts(rows, [100, 333, 700]):
        scaler.partial_fit(part.astype(np.float64))
        total += Moments.of(part)
    assert total.mean == pytest.approx(scaler.mean_, rel=1e-12)
    assert total.variance == pytest.approx(scaler.var_, rel=1e-12)
