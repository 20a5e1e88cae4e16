"""Logistic regression against scikit-learn's, and its certificate against the optimum."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.logistic.solver import estimate, solve
from fne_cli.numerics.svm.gram import gram as gram_of

SIZES = pytest.mark.parametrize(("count", "features"), [(60, 150), (150, 20)], ids=["dual", "primal"])


def rows_of(count, features, classes=4, seed=0):
    values = np.random.default_rng(seed)
    labels = np.where(np.arange(count) % 7 == 0, 0, np.arange(count) % classes)
    rows = values.normal(size=(classes, features))[labels] + values.normal(0, 2, (count, features)) + 5.0
    return rows.astype(np.float32), labels


def peer_of(rows, labels, cost):
    return LogisticRegression(C=cost, tol=1e-9, max_iter=20_000).fit(rows.astype(float), labels)


def objective_of(rows, labels, model, cost):
    """As scikit-learn's documentation states it, with its own loss."""
    loss = log_loss(labels, model.predict_proba(rows.astype(float)), normalize=False)
    return cost * loss + 0.5 * (model.coef_**2).sum()


@SIZES
@pytest.mark.parametrize("classes", [2, 4])
def test_the_optimum_is_that_of_scikit_learn(count, features, classes):
    rows, labels = rows_of(count, features, classes)
    costs = (1e-4, 0.01, 1.0)
    for cost, found in zip(costs, solve(rows, labels, costs, 1e-10), strict=True):
        peer = peer_of(rows, labels, cost)
        assert found.path == ("dual" if count < features else "primal")
        assert found.total_gap <= 1e-10
        assert found.total_objective == pytest.approx(objective_of(rows, labels, peer, cost), rel=1e-7)
        weights, intercepts = found.model.weights, found.model.intercepts
        if classes == 2:
            np.testing.assert_array_equal(weights[0], -weights[1])
            weights, intercepts = weights[1:], intercepts[1:]
        else:  # the same for all classes changes nothing
            peer.intercept_ = peer.intercept_ - peer.intercept_.mean() + intercepts.mean()
        np.testing.assert_allclose(weights, peer.coef_, rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(intercepts, peer.intercept_, rtol=1e-3, atol=1e-3)


@SIZES
@pytest.mark.parametrize("classes", [2, 4])
def test_the_gap_bounds_the_distance_from_the_optimum(count, features, classes):
    rows, labels = rows_of(count, features, classes)
    (best,) = solve(rows, labels, (0.1,), 1e-12)
    gaps = []
    for tolerance in (0.9, 0.1, 1e-3, 1e-6):
        (found,) = solve(rows, labels, (0.1,), tolerance)
        above = found.total_objective - best.total_objective
        assert -1e-12 <= above <= found.total_gap * found.total_objective + 1e-12
        assert found.total_gap <= tolerance
        gaps.append(found.total_gap)
    assert gaps[0] > gaps[-1] > 0


@SIZES
def test_of_several_labels_every_class_is_a_problem_of_the_rows_that_count(count, features):
    rows, _ = rows_of(count, features)
    labels = np.random.default_rng(1).integers(-1, 2, (count, 5)).astype(np.int8)
    labels[:, 2], labels[:, 3], labels[:, 4] = 1, -1, 0
    labels[::2, 4] = -1
    (found,) = solve(rows, labels, (0.01,), 1e-10)
    for number in range(2):
        counted = labels[:, number] >= 0
        peer = peer_of(rows[counted], labels[counted, number], 0.01)
        np.testing.assert_allclose(found.model.weights[number], peer.coef_[0], rtol=1e-3, atol=1e-5)
        assert found.model.intercepts[number] == pytest.approx(peer.intercept_[0], rel=1e-3, abs=1e-3)
        expected = objective_of(rows[counted], labels[counted, number], peer, 0.01)
        assert found.objective[number] == pytest.approx(expected, rel=1e-6)
    assert not found.model.weights[2:].any()
    assert found.model.intercepts[2:].tolist() == [1.0, 0.0, -1.0]


@SIZES
def test_neither_the_kind_of_codes_nor_a_known_matrix_nor_threads_change_what_is_found(count, features):
    rows, labels = rows_of(count, features)
    codes = (rows > 6).astype(np.int8) - (rows < 3).astype(np.int8)
    chosen = np.flatnonzero(np.arange(count) % 5)
    known = gram_of(codes[chosen], np.int16) if count < features else None
    cases = ((codes, None, 1), (PackedCodes.of(codes), None, 3), (codes, known, 2))
    found = [
        next(solve(own, labels, (0.1,), subset=chosen, gram=gram, threads=threads)).model
        for own, gram, threads in cases
    ]
    for model in found[1:]:
        np.testing.assert_array_equal(model.weights, found[0].weights)
        np.testing.assert_array_equal(model.intercepts, found[0].intercepts)
    alone = next(solve(codes[chosen], labels[chosen], (0.1,))).model
    np.testing.assert_array_equal(alone.weights, found[0].weights)


def test_rows_that_do_not_fit_as_floating_point_are_read_in_blocks():
    rows, labels = rows_of(3000, 600)
    needed = estimate(3000, 600, 4).bytes
    assert needed < 2 * rows.size * 8
    (whole,) = solve(rows, labels, (1e-5,), 1e-9)
    (small,) = solve(rows, labels, (1e-5,), 1e-9, memory=needed)
    np.testing.assert_allclose(small.model.weights, whole.model.weights, rtol=1e-9, atol=1e-12)


def test_fits_that_start_from_another_are_those_that_start_from_nothing():
    rows, labels = rows_of(60, 150)
    *_, last = solve(rows, labels, (0.001, 0.1, 10.0), 1e-10)
    (alone,) = solve(rows, labels, (10.0,), 1e-10)
    np.testing.assert_allclose(last.model.weights, alone.model.weights, atol=1e-4)
    assert last.total_objective == pytest.approx(alone.total_objective, rel=1e-9)


@pytest.mark.parametrize("cost", [1e-12, 1e12])
@SIZES
def test_the_hardest_and_the_softest(count, features, cost):
    rows, labels = rows_of(count, features)
    (found,) = solve(1000 * rows, labels, (cost,), 1e-5)
    assert np.isfinite(found.model.weights).all()
    said = found.model.classes[found.model.decisions(1000 * rows).argmax(axis=1)]
    if cost < 1:
        np.testing.assert_array_equal(said, np.bincount(labels).argmax())
    elif count < features:
        np.testing.assert_array_equal(said, labels)


@pytest.mark.parametrize(("count", "features"), [(600, 900), (1500, 300)])
def test_the_memory_is_what_was_announced(count, features):
    rows, labels = rows_of(count, features, classes=20)
    announced = estimate(count, features, 20)
    memory = announced.bytes if announced.path == "primal" else 1 << 30
    tracemalloc.start()
    next(solve(rows, labels, (0.1,), 1e-3, memory=memory, threads=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert announced.bytes / 3 < peak < announced.bytes


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda rows, labels: (rows, labels * 0, (1.0,)), BadInput, "at least two classes. Found: 1"),
        (lambda rows, labels: (rows * np.nan, labels, (1.0,)), BadInput, "finite numbers"),
        (lambda rows, labels: (rows, labels, (0.0,)), BadInput, r"above 0. Found: 0\.0"),
        (lambda rows, labels: (rows, labels, ()), BadInput, "above 0"),
    ],
)
def test_what_cannot_be_is_refused(change, error, said):
    with pytest.raises(error, match=said):
        next(solve(*change(*rows_of(20, 90))))


def test_what_does_not_fit_is_refused_with_the_numbers():
    assert estimate(3030, 12416, 101).path == "dual"
    assert estimate(30_300, 12416, 101).path == "primal"
    with pytest.raises(DoesNotFit, match=r"Logistic regression of 3,030 rows, 12,416 features and 101 classes should"):
        estimate(3030, 12416, 101, memory=1 << 27)
