"""The ridge classifier against scikit-learn's, and its left-out predictions against fits that never saw the image."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeClassifierCV, RidgeCV

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.ridge import band, products, solver
from fne_cli.numerics.ridge.solver import estimate, path_of, solve
from fne_cli.numerics.svm.gram import gram

SHAPES = [(60, 150), (150, 40), (50, 50)]
PENALTIES = (1e-3, 0.1, 3.0)


def first(left_out: np.ndarray) -> int:
    return 0


def rows_of(count: int, features: int, seed: int = 0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes, far from the origin."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    centres = generator.normal(0, 0.3, (classes, features))
    return (5 + centres[labels] + generator.normal(0, 1, (count, features))).astype(np.float32), labels


def targets_of(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)


def spread_of(rows: np.ndarray) -> float:
    """The mean diagonal of the centred kernel, as NumPy has it."""
    return float(rows.astype(np.float64).var(axis=0).sum())


@pytest.mark.parametrize(("count", "features"), SHAPES)
def test_left_out_predictions_are_those_of_scikit_learn(count, features):
    rows, labels = rows_of(count, features)
    found = solve(rows, labels, PENALTIES, first)
    assert found.path == path_of(count, features)
    np.testing.assert_array_equal(solver.left_out(rows, labels, PENALTIES), found.left_out)
    assert found.scale == pytest.approx(spread_of(rows))
    alphas = np.multiply(PENALTIES, spread_of(rows))
    peer = RidgeClassifierCV(alphas, store_cv_results=True).fit(rows.astype(np.float64), labels)
    errors = (targets_of(labels, 4) - found.left_out) ** 2
    np.testing.assert_allclose(errors.transpose(1, 2, 0), peer.cv_results_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("count", "features"), SHAPES)
@pytest.mark.parametrize("place", [0, 2])
def test_the_hyperplanes_are_those_of_scikit_learn(count, features, place):
    rows, labels = rows_of(count, features)
    found = solve(rows, labels, PENALTIES, lambda left_out: place)
    assert found.penalty == PENALTIES[place]
    peer = Ridge(alpha=PENALTIES[place] * spread_of(rows), solver="svd").fit(rows.astype(float), targets_of(labels, 4))
    np.testing.assert_allclose(found.model.weights, peer.coef_, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(found.model.intercepts, peer.intercept_, rtol=1e-7)
    residuals = targets_of(labels, 4) - peer.predict(rows.astype(float))
    objective = (residuals**2).sum(axis=0) / 2 + PENALTIES[place] * spread_of(rows) * (peer.coef_**2).sum(axis=1) / 2
    np.testing.assert_allclose(found.objective, objective)
    assert found.gap.max() < 1e-15


@pytest.mark.parametrize(("count", "features"), [(60, 150), (150, 40)])
def test_codes_packed_or_not_are_rows_like_others(count, features):
    scores, labels = rows_of(count, features)
    codes = (scores > 5.15).astype(np.int8) - (scores < 4.75).astype(np.int8)
    plain, packed = (solve(rows, labels, PENALTIES, first) for rows in (codes, PackedCodes.of(codes)))
    np.testing.assert_array_equal(plain.left_out, packed.left_out)
    peer = RidgeCV(np.multiply(PENALTIES, spread_of(codes)), store_cv_results=True)
    peer.fit(codes.astype(float), targets_of(labels, 4))
    errors = (targets_of(labels, 4) - plain.left_out) ** 2
    np.testing.assert_allclose(errors.transpose(1, 2, 0), peer.cv_results_, rtol=1e-7, atol=1e-9)
    given = solve(packed_rows := PackedCodes.of(codes), labels, PENALTIES, first, gram=gram(packed_rows, np.int16))
    np.testing.assert_allclose(given.left_out, plain.left_out, rtol=1e-10)


@pytest.mark.parametrize(("images", "features"), [(15, 80), (40, 30)])
@pytest.mark.parametrize("crops", [1, 3])
def test_an_image_is_left_out_with_all_its_crops(images, features, crops):
    """Brute force: as many fits of scikit-learn's Ridge as there are images."""
    one, labels = rows_of(images, features)
    jitter = np.random.default_rng(1).normal(0, 0.2, (images, crops, features))
    rows = (one[:, None] + jitter).reshape(-1, features).astype(np.float32)
    labels = np.repeat(labels, crops)
    found = solve(rows, labels, (0.02, 0.5), first, crops=crops)
    for place, penalty in enumerate((0.02, 0.5)):
        for image in range(images):
            out = np.arange(len(rows)) // crops == image
            peer = Ridge(penalty * spread_of(rows), solver="svd")
            peer.fit(rows[~out].astype(float), targets_of(labels[~out], 4))
            np.testing.assert_allclose(
                found.left_out[place][out], peer.predict(rows[out].astype(float)), rtol=1e-7, atol=1e-8
            )


@pytest.mark.parametrize(("count", "features"), [(30, 60), (60, 20)])
def test_rows_that_a_class_ignores_are_not_there_for_it(count, features):
    rows, _ = rows_of(count, features)
    labels = np.random.default_rng(2).integers(0, 2, (count, 3)).astype(np.int8)
    labels[:9, 1] = -1
    labels[5:12, 2] = -1
    found = solve(rows, labels, PENALTIES, lambda left_out: 1)
    for number in range(3):
        counted = labels[:, number] >= 0
        own, target = rows[counted].astype(float), 2.0 * labels[counted, number] - 1
        peer = RidgeCV(np.multiply(PENALTIES, found.scale), store_cv_results=True).fit(own, target)
        errors = (target - found.left_out[:, counted, number]) ** 2
        np.testing.assert_allclose(errors.T, peer.cv_results_, rtol=1e-7, atol=1e-9)
        alone = Ridge(PENALTIES[1] * found.scale, solver="svd").fit(own, target)
        np.testing.assert_allclose(found.model.weights[number], alone.coef_, rtol=1e-6, atol=1e-12)
        assert not found.left_out[:, ~counted, number].any()
    assert found.gap.max() < 1e-15


def test_a_class_that_ignores_all_rows_or_all_but_one_knows_nothing():
    rows, _ = rows_of(20, 30)
    labels = np.ones((20, 3), np.int8)
    labels[::2, 0] = 0
    labels[:, 1] = -1
    labels[1:, 2] = -1
    found = solve(rows, labels, PENALTIES, first)
    assert not found.model.weights[1:].any()
    assert found.model.intercepts[1:].tolist() == [0.0, 1.0]
    assert not found.left_out[:, :, 1:].any()
    assert np.isfinite(found.left_out).all()


def test_only_the_rows_of_the_subset_count():
    rows, labels = rows_of(60, 90)
    chosen = np.flatnonzero(np.arange(60) % 3 > 0)
    found = solve(rows, labels, PENALTIES, first, subset=chosen)
    alone = solve(rows[chosen], labels[chosen], PENALTIES, first)
    np.testing.assert_array_equal(found.left_out, alone.left_out)
    np.testing.assert_array_equal(found.model.weights, alone.model.weights)


@pytest.mark.parametrize(("count", "features"), [(60, 150), (150, 40)])
def test_two_classes_are_mirror_images(count, features):
    rows, labels = rows_of(count, features, classes=2)
    found = solve(rows, labels, PENALTIES, first)
    np.testing.assert_allclose(found.left_out[..., 0], -found.left_out[..., 1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("count", "features", "crops"), [(60, 150, 1), (150, 40, 1), (60, 150, 3), (150, 40, 3)])
def test_neither_threads_nor_blocks_change_what_is_found(monkeypatch, count, features, crops):
    rows, labels = rows_of(count // crops, features)
    rows, labels = (
        np.repeat(rows, crops, axis=0) + np.float32(0.1) * rows_of(count, features, 1)[0],
        labels.repeat(crops),
    )
    one, four = (solve(rows, labels, PENALTIES, first, crops=crops, threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.left_out, four.left_out)
    np.testing.assert_array_equal(one.model.weights, four.model.weights)
    monkeypatch.setattr(products, "BLOCK", 7)
    small = solve(rows, labels, PENALTIES, first, crops=crops)
    np.testing.assert_allclose(small.left_out, one.left_out, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("count", "features"), [(60, 150), (150, 40)])
def test_the_width_of_the_band_does_not_matter(monkeypatch, count, features):
    rows, labels = rows_of(count, features)
    usual = solve(rows, labels, PENALTIES, first)
    monkeypatch.setattr(band, "WIDTH", 7)
    found = solve(rows, labels, PENALTIES, first)
    np.testing.assert_allclose(found.left_out, usual.left_out, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.model.weights, usual.model.weights, rtol=1e-6, atol=1e-10)


def test_rows_that_are_all_the_same_say_nothing():
    rows, labels = np.full((30, 8), 3.7, np.float32), np.arange(30) % 3
    for features in (8, 60):
        found = solve(np.full((30, features), 3.7, np.float32), labels, PENALTIES, first)
        assert np.abs(found.model.weights).max() < 1e-9
        np.testing.assert_allclose(found.model.intercepts, -1 / 3)
    assert solve(rows, labels, PENALTIES, first).scale == 1.0


def test_doubled_rows_and_empty_features_leave_the_vectors_of_0_apart():
    """The kernel has many eigenvalues of 0 beside that of the intercept."""
    rows, labels = rows_of(24, 100)
    rows = np.repeat(rows, 2, axis=0)
    rows[:, 50:] = 0
    labels = labels.repeat(2)
    found = solve(rows, labels, PENALTIES, first)
    peer = RidgeCV(np.multiply(PENALTIES, spread_of(rows)), store_cv_results=True, gcv_mode="svd")
    peer.fit(rows.astype(float), targets_of(labels, 4))
    errors = (targets_of(labels, 4) - found.left_out) ** 2
    np.testing.assert_allclose(errors.transpose(1, 2, 0), peer.cv_results_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("count", "features", "crops"), [(600, 900, 1), (1200, 300, 1), (600, 900, 10)])
def test_the_memory_is_what_was_announced(count, features, crops):
    rows, labels = rows_of(count, features, classes=20)
    labels = np.sort(labels)  # crops of one class
    labels = labels[np.arange(count) // crops * crops]
    announced = estimate(count, features, 20, 3, crops=crops, threads=2).bytes
    tracemalloc.start()
    solve(rows, labels, PENALTIES, first, crops=crops, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert announced / 3 < peak < announced


def test_what_does_not_fit_is_refused_with_the_numbers():
    with pytest.raises(DoesNotFit, match=r"Ridge regression of 3,030 rows, 12,416 features, 101 classes and 21 "):
        estimate(3030, 12416, 101, 21, memory=1 << 28)
    rows, labels = rows_of(60, 150)
    with pytest.raises(DoesNotFit, match=r"It needs [\d.,]+ MiB \(dual\)"):
        solve(rows, labels, PENALTIES, first, memory=1 << 16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows, labels: (rows, labels * 0, PENALTIES), "at least two classes. Found: 1"),
        (lambda rows, labels: (rows * np.nan, labels, PENALTIES), "finite numbers"),
        (lambda rows, labels: (rows, labels, ()), "numbers above 0. Found: none"),
        (lambda rows, labels: (rows, labels, (0.1, 0.0)), r"numbers above 0. Found: 0\.1, 0\.0"),
    ],
)
def test_what_makes_no_sense_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        solve(*change(*rows_of(20, 9)), first)


def test_the_usual_penalties_rise_and_are_what_people_would_write():
    assert sorted(solver.PENALTIES) == list(solver.PENALTIES)
    assert [f"{penalty:g}" for penalty in solver.PENALTIES][:4] == ["0.0001", "0.0002", "0.0005", "0.001"]
