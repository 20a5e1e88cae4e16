"""Discriminant analysis against scikit-learn's, and its covariance against scikit-learn's estimators."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.covariance import empirical_covariance, ledoit_wolf, shrunk_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.discriminant.lda import estimate, within
from fne_cli.numerics.svm.gram import gram as gram_of

SIZES = pytest.mark.parametrize(("count", "features"), [(60, 150), (150, 40)], ids=["dual", "primal"])


def rows_of(count, features, classes=4, seed=0):
    values = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    rows = values.normal(size=(classes, features))[labels] + values.normal(size=(count, features)) + 3.0
    return (rows * values.uniform(0.2, 3, features)).astype(np.float32), labels


def apart(decisions):
    """Without what all classes have in common, which is nobody's decision."""
    return decisions - decisions.mean(axis=1, keepdims=True)


def by_hand(rows, labels, covariance, asked):
    """The discriminants of equally likely classes with a covariance, (rows, classes)."""
    means = np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])
    weights = np.linalg.solve(covariance, means.T)
    return asked @ weights - 0.5 * np.einsum("kd,dk->k", means, weights)


def minus_means(rows, labels):
    rows = rows.astype(np.float64)
    return rows - np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])[labels]


@SIZES
@pytest.mark.parametrize("shrinkage", [0.001, 0.3, 1.0])
def test_a_shrinkage_gives_the_decisions_of_scikit_learn(count, features, shrinkage):
    rows, labels = rows_of(count, features)
    known = count // 8 * 4  # classes of one size: there scikit-learn's covariance is that of all rows
    rows, labels, asked = rows[:known], labels[:known], rows[known:].astype(float)
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=np.full(4, 0.25))
    peer.fit(rows.astype(float), labels)
    with within(rows, labels) as found:
        ours = apart(found.model(shrinkage).decisions(asked))
    np.testing.assert_allclose(ours, apart(peer.decision_function(asked)), rtol=1e-6, atol=1e-8)


@SIZES
def test_auto_is_the_estimate_of_ledoit_and_wolf_within_classes_of_any_sizes(count, features):
    rows, labels = rows_of(count, features)
    kept = np.flatnonzero((labels < 2) | (np.arange(count) % 3 == 0))
    rest = minus_means(rows[kept], labels[kept])
    covariance, shrinkage = ledoit_wolf(rest, assume_centered=True)
    with within(rows, labels, subset=kept) as found:
        assert found.shrinkage == pytest.approx(shrinkage, rel=1e-6)
        assert 0 < shrinkage < 1
        decisions = found.model(found.shrinkage).decisions(rows)
        other = found.model(0.2).decisions(rows)
    expected = by_hand(rows[kept].astype(float), labels[kept], covariance, rows.astype(float))
    np.testing.assert_allclose(apart(decisions), apart(expected), rtol=1e-6, atol=1e-8)
    shrunk = shrunk_covariance(empirical_covariance(rest, assume_centered=True), 0.2)
    expected = by_hand(rows[kept].astype(float), labels[kept], shrunk, rows.astype(float))
    np.testing.assert_allclose(apart(other), apart(expected), rtol=1e-6, atol=1e-8)


@SIZES
def test_codes_of_every_kind_a_known_gram_matrix_and_threads_change_nothing(count, features):
    rows, labels = rows_of(count, features)
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    codes = (z > 0.15).astype(np.int8) - (z < -0.25).astype(np.int8)
    gram = gram_of(codes, np.int16) if count < features else None
    found = []
    for own, known, threads in ((codes, None, 1), (PackedCodes.of(codes), None, 3), (codes, gram, 2)):
        with within(own, labels, gram=known, threads=threads) as part:
            found.append((part.model(part.shrinkage), part.shrinkage))
    for model, shrinkage in found[1:]:
        np.testing.assert_array_equal(model.weights, found[0][0].weights)
        np.testing.assert_array_equal(model.intercepts, found[0][0].intercepts)
        assert shrinkage == found[0][1]
    with within(codes.astype(np.float32), labels) as part:
        model = part.model(part.shrinkage)
    np.testing.assert_allclose(model.weights, found[0][0].weights, rtol=1e-7, atol=1e-12)


@SIZES
def test_one_row_a_class_is_the_nearest_mean(count, features):
    """No row differs from its class's mean; the nearest one in distance is what is left."""
    rows, _ = rows_of(count, features)
    known = rows[: 4 if count < features else 50]
    with within(known, np.arange(len(known))) as found:
        assert found.shrinkage == 1
        for shrinkage in (0.1, 1.0):
            decided = found.model(shrinkage).decisions(rows).argmax(axis=1)
            np.testing.assert_array_equal(
                decided, ((rows[:, None].astype(float) - known) ** 2).sum(axis=2).argmin(axis=1)
            )


@pytest.mark.parametrize(("count", "features"), [(600, 900), (900, 400)])
def test_the_memory_is_what_was_announced(count, features):
    rows, labels = rows_of(count, features, classes=20)
    announced = estimate(count, features, 20).bytes
    tracemalloc.start()
    with within(rows, labels, threads=2) as found:
        found.model(0.1)
        found.model(0.2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert announced / 3 < peak < announced


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda rows, labels: (rows, labels * 0), BadInput, "at least two classes. Found: 1"),
        (lambda rows, labels: (rows * np.nan, labels), BadInput, "finite numbers"),
        (lambda rows, labels: (rows, labels, 1 << 12), DoesNotFit, r"Discriminant analysis of 20 rows, .* \(dual\)"),
    ],
)
def test_what_cannot_be_is_refused(change, error, said):
    rows, labels, *memory = change(*rows_of(20, 90))
    with (
        pytest.raises(error, match=said),
        within(rows, labels, **({"memory": memory[0]} if memory else {})),
    ):
        pass


def test_without_shrinkage_fewer_rows_than_features_have_no_discriminant():
    with within(*rows_of(20, 90)) as found, pytest.raises(BadInput, match=r"above 0, up to 1. Found: 0"):
        found.model(0.0)


@pytest.mark.parametrize("features", [4, 90], ids=["primal", "dual"])
def test_the_estimate_can_always_be_used_and_a_tiny_shrinkage_is_refused(features):
    rows = np.zeros((16, features))
    rows[:, :2] = [[-1, -1], [1, 1]] * 8  # lengths that are all the same leave no error to estimate
    labels = np.arange(16) // 8
    rows[:, 2] = labels
    with within(rows, labels) as found:
        assert found.spread.shrinkage == 0
        decided = found.model(found.shrinkage).decisions(rows).argmax(axis=1)
        np.testing.assert_array_equal(decided, labels)
        with pytest.raises(BadInput, match=r"--shrinkage should .* Found: 1e-300, which is too small. Give a larger"):
            found.model(1e-300)
