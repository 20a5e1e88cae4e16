"""Rankings against scikit-learn, and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fne_cli.numerics.evaluation import rankings


def test_the_toy_ranking_by_hand():
    ranks = np.array([1, 3])  # + - +
    assert rankings.rectangular(ranks) == pytest.approx((1 + 2 / 3) / 2)
    assert rankings.trapezoidal(ranks) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    # recalls 0 ... 0.5 are reached at precision 1, the five above at 2/3
    assert rankings.interpolated(ranks) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert rankings.r_precision(ranks) == 0.5
    assert rankings.reciprocal_rank(ranks) == 1


def test_a_ranking_that_begins_wrongly_by_hand():
    ranks = np.array([2, 3])  # - + +
    assert rankings.rectangular(ranks) == pytest.approx((1 / 2 + 2 / 3) / 2)
    # a trapezoid from (0, 0) to (1/2, 1/2), and from (1/2, 1/2) to (1, 2/3)
    assert rankings.trapezoidal(ranks) == pytest.approx(((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2)
    assert rankings.reciprocal_rank(ranks) == 0.5


def test_rectangular_is_scikit_learns():
    generator = np.random.default_rng(0)
    for _ in range(50):
        relevant = generator.random(40) < 0.2
        relevant[generator.integers(40)] = True
        distances = generator.permutation(40).astype(float)
        ranks = rankings.ranks_of(distances, relevant, np.zeros(40, bool))
        assert rankings.rectangular(ranks) == pytest.approx(average_precision_score(relevant, -distances))


def test_perfect_and_worst_rankings():
    best, worst = np.arange(1, 6), np.arange(96, 101)
    for measure in (rankings.rectangular, rankings.trapezoidal, rankings.interpolated, rankings.r_precision):
        assert measure(best) == 1
        assert measure(worst) < 0.06


def test_junk_is_taken_out_before_ranks_are_counted_and_ties_rank_by_place():
    distances = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    relevant = np.array([False, False, True, False, True])
    junk = np.array([True, False, False, False, False])
    assert rankings.ranks_of(distances, relevant, junk).tolist() == [2, 4]
    assert rankings.ranks_of(distances, relevant, ~relevant).tolist() == [1, 2]


def test_precision_is_not_blamed_for_few_relevant_images():
    ranks = np.array([1, 2])
    assert rankings.precision_at(ranks, 10) == 1  # of the two ranks up to the last relevant image
    assert rankings.precision_at(np.array([1, 12]), 10) == 0.1
    assert rankings.recall_at(np.array([1, 12]), 10) == 0.5


def test_ukbench_counts_the_query():
    # the other three of a group of four stand at the first ranks without the query
    assert rankings.ns_score(np.array([1, 2, 3])) == 4
    assert rankings.ns_score(np.array([1, 3, 4])) == 3
    assert rankings.ns_score(np.array([4, 5, 6])) == 1


def test_the_score_of_images_that_are_not_the_query_is_not_asked_for():
    ranks = np.array([1])
    assert "ns_score" in rankings.measures(ranks, (1, 5), own=True)
    assert set(rankings.measures(ranks, (5,), own=False)) == {
        "average_precision_trapezoidal",
        "average_precision_rectangular",
        "average_precision_interpolated",
        "r_precision",
        "reciprocal_rank",
        "precision_at_5",
        "recall_at_5",
    }
