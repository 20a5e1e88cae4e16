"""LogME against its authors' algorithm, the H-score against scikit-learn's Ledoit and Wolf."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from fne_cli.machine import thread_pool
from fne_cli.numerics.transferability.products import TILE, ByFeatures, ByRows, Products
from fne_cli.numerics.transferability.scores import evidence, h_score


def authors(rows, labels):
    """LogME as github.com/thuml/LogME computes it (thin SVD, fixed point), its steps written down from the paper.

    And the same with all features in the sum of logarithms. Where rows are more than features it takes the SVD of
    F^T F, whose rounding keeps features that are always 0 among those that have a singular value.
    """
    rows = rows.astype(np.float64)
    n, d = rows.shape
    if n > d:
        singular, right = np.linalg.svd(rows.T @ rows)[1:]
        singular = np.sqrt(singular)
        rank = int((singular > 1e-10).sum())
        singular, left = singular[:rank], rows @ right[:rank].T / singular[:rank]
    else:
        left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    squares = singular**2
    found, whole = [], []
    for label in range(labels.max() + 1):
        y = (labels == label).astype(np.float64)
        z2 = (left.T @ y) ** 2
        rest = y @ y - z2.sum()
        a = b = 1.0
        for _ in range(11):
            t = a / b
            gamma = np.sum(squares / (squares + t))
            m2 = np.sum(squares * z2 / (t + squares) ** 2)
            res2 = np.sum(z2 / (1 + squares / t) ** 2) + rest
            a, b = gamma / (m2 + 1e-5), (n - gamma) / (res2 + 1e-5)
            if abs(a / b - t) / t <= 1e-3:
                break
        shared = n / 2 * np.log(b) - b / 2 * res2 - a / 2 * m2 - n / 2 * np.log(2 * np.pi)
        found.append((d / 2 * np.log(a) - np.log(a + b * squares).sum() / 2 + shared) / n)
        spectrum = np.concatenate([squares, np.zeros(d - len(squares))])
        whole.append((d / 2 * np.log(a) - np.log(a + b * spectrum).sum() / 2 + shared) / n)
    return np.mean(found), np.mean(whole)


def sample(n, d, classes=4, seed=0, scale=1.0):
    """Rows as a network with ReLU gives them, (n, d) float32, and classes that all occur."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % classes)
    centres = generator.normal(0, 1, (classes, d))
    rows = np.maximum(centres[labels] + generator.normal(0, 1.5, (n, d)), 0) * generator.gamma(1, 1, d) * scale
    return rows.astype(np.float32), labels


def by_features(rows, labels, step=37) -> Products:
    def batches():
        for start in range(0, len(rows), step):
            span = slice(start, min(start + step, len(rows)))
            yield span, rows[span]

    with thread_pool(2) as pool:
        return ByFeatures(labels, rows.shape[1], batches, pool)


def by_rows(rows, labels) -> Products:
    gram = np.zeros((len(rows), len(rows)))
    with thread_pool(2) as pool:
        half = rows.shape[1] // 2
        ByRows.add(gram, rows[:, :half], pool)
        ByRows.add(gram, rows[:, half:], pool)
    return ByRows(labels, rows.shape[1], gram)


def products(rows, labels) -> Products:
    """As fne rank chooses."""
    return by_rows(rows, labels) if len(rows) <= rows.shape[1] else by_features(rows, labels)


@pytest.mark.parametrize(
    ("n", "d", "classes", "scale"),
    [(200, 30, 4, 1), (60, 200, 3, 1), (100, 100, 5, 1), (101, 100, 5, 1), (40, 1200, 2, 0.01), (600, 550, 7, 100),
     (700, 20, 20, 1e-3)],
)  # fmt: skip
def test_log_me_is_the_authors(n, d, classes, scale):
    rows, labels = sample(n, d, classes, scale=scale)
    found = evidence(products(rows, labels).spectrum())
    expected, whole = authors(rows, labels)
    assert found.log_me == pytest.approx(expected, abs=1e-6)
    assert found.whole == pytest.approx(whole, abs=1e-6)
    assert (found.log_me == pytest.approx(found.whole, abs=1e-9)) == (n >= d)


def test_features_that_are_always_0():
    rows, labels = sample(200, 40)
    rows[:, [3, 7, 8]] = 0
    found = evidence(products(rows, labels).spectrum())
    assert (found.log_me, found.whole) == pytest.approx(authors(rows, labels), abs=1e-6)
    without = evidence(products(np.delete(rows, [3, 7, 8], axis=1), labels).spectrum())
    assert found.log_me == found.whole == pytest.approx(without.whole, abs=1e-9)


def test_the_evidence_is_that_of_a_normal_distribution():
    """Where the fixed point has converged: y ~ N(0, 1 / beta + F F^T / alpha), at the best alpha and beta on a grid."""
    rows, labels = sample(30, 60, 2)
    product = rows.astype(float) @ rows.T.astype(float)
    best = []
    for label in range(2):
        y = (labels == label).astype(float)
        grid = [
            multivariate_normal(np.zeros(30), np.eye(30) / beta + product / alpha).logpdf(y)
            for alpha in np.geomspace(1, 1e5, 60)
            for beta in np.geomspace(0.5, 500, 60)
        ]
        best.append(max(grid) / 30)
    assert evidence(products(rows, labels).spectrum()).whole == pytest.approx(np.mean(best), abs=0.01)


def test_rows_that_fit_have_more_evidence():
    rows, labels = sample(300, 20)
    shuffled = np.random.default_rng(5).permutation(labels)
    assert evidence(products(rows, labels).spectrum()).whole > evidence(products(rows, shuffled).spectrum()).whole + 0.1


def test_nothing_in_the_features_is_no_crash():
    _, labels = sample(50, 4)
    for d in (4, 80):
        found = evidence(products(np.zeros((50, d), np.float32), labels).spectrum())
        assert (
            found.log_me == found.whole == pytest.approx(evidence(products(np.zeros((50, 1)), labels).spectrum()).whole)
        )
        assert np.isfinite(found.log_me)
        assert h_score(products(np.zeros((50, d), np.float32), labels)) == (0, 0)
        assert h_score(products(np.full((50, d), 0.1, np.float32), labels)) == (0, 0)


def peer(rows, labels, shrunk=True):
    rows = rows.astype(np.float64)
    fitted = LedoitWolf().fit(rows)
    centred = rows - rows.mean(axis=0)
    means = np.stack([centred[labels == label].mean(axis=0) for label in labels])
    covariance = fitted.covariance_ if shrunk else centred.T @ centred / len(rows)
    return np.trace(np.linalg.pinv(covariance) @ (means.T @ means / len(rows))), fitted.shrinkage_


@pytest.mark.parametrize(
    ("n", "d", "classes"), [(200, 30, 4), (60, 200, 3), (100, 100, 5), (101, 100, 5), (700, 550, 20)]
)
def test_the_h_score_has_scikit_learns_covariance(n, d, classes):
    rows, labels = sample(n, d, classes)
    score, shrinkage = h_score(products(rows, labels))
    expected, wanted = peer(rows, labels)
    assert shrinkage == pytest.approx(wanted, abs=1e-10)
    assert score == pytest.approx(expected, rel=1e-8)


def test_both_forms_give_the_same_numbers():
    for n, d in ((90, 40), (40, 90)):
        rows, labels = sample(n, d)
        first, second = by_features(rows, labels), by_rows(rows, labels)
        assert h_score(first) == pytest.approx(h_score(second), rel=1e-9)
        assert evidence(first.spectrum()).whole == pytest.approx(evidence(second.spectrum()).whole, abs=1e-9)


@pytest.mark.parametrize("form", [by_features, by_rows])
def test_without_shrinkage_a_singular_covariance_has_a_pseudoinverse(form):
    rows, labels = sample(60, 12)
    rows[:, 5] = 2 * rows[:, 3]
    score = form(rows, labels).between(0.0, 1.0)
    assert score == pytest.approx(peer(rows, labels, shrunk=False)[0], rel=1e-6)
    assert 0 < score < 3  # classes less one


def test_two_rows_are_no_crash():
    """Ledoit and Wolf shrink nothing there: both rows say the same of the covariance."""
    rows = np.array([[1.0, 2, 3], [2, 0, 1]])
    for form in (by_features, by_rows):
        score, shrinkage = h_score(form(rows, np.array([0, 1])))
        assert (score, shrinkage) == (pytest.approx(1), pytest.approx(0, abs=1e-12))


def test_batches_and_threads_change_no_bit():
    rows, labels = sample(TILE + 90, 40)
    first = by_features(rows, labels, 64)
    gram = np.zeros((len(rows), len(rows)))
    with thread_pool(1) as pool:
        ByRows.add(gram, rows, pool)
    again = np.zeros_like(gram)
    with thread_pool(3) as pool:
        ByRows.add(again, rows, pool)
    assert gram.tobytes() == again.tobytes()
    assert np.array_equal(gram, gram.T)
    np.testing.assert_allclose(gram, rows.astype(float) @ rows.T.astype(float), rtol=1e-12)
    assert evidence(first.spectrum()) == evidence(by_features(rows, labels, 64).spectrum())
