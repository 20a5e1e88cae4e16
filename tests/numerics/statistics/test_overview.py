"""What figures show of s, against SciPy, NumPy and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fne_cli.numerics.statistics.overview import EDGES, QUANTILES, THRESHOLDS, Null, Overview

LEVELS = np.linspace(0, 1, 101)


def null(rng, sizes=(10, 30), draws=20_000):
    """|s| of random classes as uniform numbers, smaller for larger sizes."""
    samples = [rng.uniform(0, 3 / size, draws) for size in sizes]
    quantiles = np.array([np.quantile(sample, LEVELS) for sample in samples])
    return Null(np.array(sizes), LEVELS, quantiles), samples


def test_the_nearest_size_stands_in_for_one_that_is_missing():
    found = Null(np.array([10, 30, 80]), LEVELS, np.zeros((3, 101))).rows(np.array([1, 10, 19, 22, 30, 70, 1000]))
    assert found.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_survival_is_that_of_the_mixture_of_the_sizes():
    random, (ten, thirty) = null(np.random.default_rng(0))
    mixed = np.concatenate([ten, thirty, thirty])
    at = np.array([-0.1, 0, 0.05, 0.12, 0.299, 0.5])
    expected = [(mixed > t).mean() for t in at]
    np.testing.assert_allclose(random.survival(np.array([10, 30, 30]), at), expected, atol=0.005)


def test_random_shares_are_symmetric_and_a_tie_at_zero_stays_in_the_middle():
    quantiles = np.concatenate([np.zeros(51), np.linspace(0.3, 0.5, 50)])[None]  # half of the random pairs are 0
    shares = Null(np.array([30]), LEVELS, quantiles).shares(np.array([30]), EDGES)
    np.testing.assert_allclose(shares, shares[::-1], atol=1e-12)
    assert shares.sum() == pytest.approx(1)
    assert shares[len(shares) // 2] == pytest.approx(0.5, abs=0.05)


def test_a_threshold_that_is_a_run_of_ties_is_not_exceeded_by_it():
    quantiles = np.array([[0.1, 0.2, 0.2, 0.2, 0.9]])
    random = Null(np.array([30]), np.array([0, 0.25, 0.5, 0.75, 1]), quantiles)
    assert random.beyond(np.array([30]), np.array([0.2])) == pytest.approx(0.25)


@pytest.fixture
def fed():
    rng = np.random.default_rng(1)
    random, _ = null(rng)
    counts = np.array([10, 30, 30, 12])
    s = np.round(rng.uniform(-1, 1, (60, 4)), 2).astype(np.float32)
    s[::7, 2] = np.nan
    label = np.where(np.isfinite(s), np.sign(s) * (np.abs(s) > 0.4), 0).astype(np.int8)
    overview = Overview(counts, random)
    overview.add(s[:25], label[:25])
    overview.add(s[25:], label[25:])
    return overview, random, counts, s, label


def test_layers_add_up_to_the_whole(fed):
    overview, _, _, s, label = fed
    known = np.isfinite(s)
    assert np.sum(overview.labels) == np.sum(overview.histograms) == known.sum()
    assert np.sum(overview.labels, axis=0)[0].tolist() == (label == 1).sum(axis=0).tolist()
    expected = [np.nanquantile(s[:25], QUANTILES), np.nanquantile(s[25:], QUANTILES)]
    np.testing.assert_allclose(overview.quantiles, expected, atol=1e-6)
    np.testing.assert_allclose(overview.above[0], [(s > np.float32(t)).sum() / known.sum() for t in THRESHOLDS])
    np.testing.assert_allclose(overview.above[1], [(s < -np.float32(t)).sum() / known.sum() for t in THRESHOLDS])


def test_beyond_asks_each_class_for_the_quantiles_of_its_own_size(fed):
    overview, random, _, s, _ = fed
    limits = random.quantiles.astype(np.float32)[[0, 1, 1, 0]]
    expected = [(s > limits[:, level]).sum() / np.isfinite(s).sum() for level in range(len(LEVELS))]
    np.testing.assert_allclose(overview.beyond[0], expected)


def test_distances_are_one_minus_numpys_correlation():
    rng = np.random.default_rng(2)
    s = rng.uniform(-1, 1, (50, 5)).astype(np.float32)
    s[:, 4] = 0.3
    overview = Overview(np.full(5, 30), null(rng)[0])
    overview.add(s, np.zeros((50, 5), np.int8))
    distances = overview.distances()
    np.testing.assert_allclose(distances[:4, :4], 1 - np.corrcoef(s[:, :4].astype(float), rowvar=False), atol=1e-9)
    assert distances[4].tolist() == [1, 1, 1, 1, 0]


def test_a_layer_in_which_nothing_was_compared():
    overview = Overview(np.array([30, 30]), null(np.random.default_rng(3))[0])
    overview.add(np.full((4, 2), np.nan, np.float32), np.zeros((4, 2), np.int8))
    assert np.isnan(overview.quantiles).all()
    assert overview.above.max() == overview.beyond.max() == np.sum(overview.labels) == 0
