"""Pieces that look at labels behind principal components, against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import evaluate, noisy, write
from scipy.linalg import eigh, sqrtm
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import arrays_of, embedding, fixed, spelled
from fne_cli.numerics.embedding.pieces import principal
from fne_cli.steps.evaluate import Protocol

CLASSES = 6


def task(count: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of classes whose means lie apart, of unlike variances within them."""
    values = np.random.default_rng(seed)
    labels = values.integers(0, CLASSES, count)
    within = values.normal(size=(count, features)) * np.geomspace(0.3, 5, features)
    return (values.normal(0, 2, (CLASSES, features))[labels] + within + 1).astype(np.float32), labels


def shrunk(components: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's Ledoit-Wolf covariance of rows minus their class's mean, and these means, of each row."""
    means = np.array([components[labels == each].mean(axis=0) for each in range(CLASSES)])[labels]
    return ledoit_wolf(components - means, assume_centered=True)[0], means


@pytest.mark.parametrize("shape", [(90, 200), (300, 25)])
def test_within_makes_the_covariance_of_ledoit_and_wolf_the_identity(monkeypatch, shape):
    monkeypatch.setattr(principal, "BLOCK", 32)
    rows, labels = task(*shape)
    components = PCA(12, svd_solver="full").fit_transform(rows.astype(np.float64))
    covariance, _ = shrunk(components, labels)
    expected = components @ np.linalg.inv(sqrtm(covariance).real)
    fitted = embedding("pca:12,within").fit([rows[:7], rows[7:]], [shape[1]], labels=labels)
    found = fitted.encode(rows)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    again = embedding("pca:12,within").fit([rows], [shape[1]], labels=labels)
    np.testing.assert_array_equal(again.encode(rows[3:5]), found[3:5])


@pytest.mark.parametrize("shape", [(90, 200), (300, 25)])
def test_discriminants_are_scipys_generalised_eigenvectors(shape):
    rows, labels = task(*shape)
    components = PCA(12, svd_solver="full").fit_transform(rows.astype(np.float64))
    covariance, means = shrunk(components, labels)
    _, vectors = eigh(np.cov(means.T, ddof=0), covariance)
    expected = components @ vectors[:, ::-1][:, :4]
    found = embedding("pca:12,lda:4").fit([rows], [shape[1]], labels=labels).encode(rows).astype(np.float64)
    expected *= np.sign((expected * found).sum(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_with_many_rows_they_are_those_of_scikit_learn():
    """Which shrinks nothing then, as Ledoit and Wolf nearly do."""
    rows, labels = task(20_000, 8)
    peer = LinearDiscriminantAnalysis(solver="eigen", n_components=3).fit(rows.astype(np.float64), labels)
    expected = peer.transform(rows.astype(np.float64))
    expected -= expected.mean(axis=0)  # which it leaves
    found = embedding("pca:8,lda:3").fit([rows], [8], labels=labels).encode(rows).astype(np.float64)
    expected *= np.sign((expected * found).sum(axis=0))
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


@pytest.mark.parametrize("exponent", [0.25, 0.5])
def test_whitening_part_of_the_way(exponent):
    rows, _ = task(90, 200)
    peer = PCA(12, svd_solver="full").fit(rows.astype(np.float64))
    expected = peer.transform(rows.astype(np.float64)) / peer.explained_variance_ ** (exponent / 2)
    found = embedding(f"pca:12,whiten:{exponent}").fit([rows], [200])
    np.testing.assert_allclose(found.encode(rows), expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(found.explained, peer.explained_variance_ratio_, rtol=1e-9)


def test_how_they_are_written():
    assert spelled("pca:4,whiten:1.0") == "pca:4,whiten"
    assert spelled("pca:4, whiten:.5,length") == "pca:4,whiten:0.5,length"
    assert arrays_of("z,pca:4,lda:2,length") == ("mean", "std", "centre", "axes")
    assert embedding("pca:9,lda:2").columns(100) == 2
    for text, said in {
        "within": "within should stand behind pca:COUNT",
        "pca:3,whiten,within": "one of whiten, within and lda",
        "pca:3,lda:4": "lda:4 should have at most the components of pca:COUNT",
        "pca:3,whiten:2": "whiten[:EXPONENT], with a number above 0 and up to 1. Found: 'whiten:2'",
        "pca:3,whiten:": "whiten[:EXPONENT]",
        "pca:3,lda": "lda:COUNT",
    }.items():
        with pytest.raises(BadInput) as caught:
            embedding(text)
        assert said in str(caught.value), text


def test_labels_that_do_not_do_are_told():
    rows, labels = task(60, 20)
    for text, given, said in [
        ("pca:5,within", None, "within of an embedding should have a label of every training row"),
        ("pca:5,within", np.ones((60, 2), np.int8), "within of an embedding should have one label of every row"),
        ("pca:5,lda:5", labels % 4, "lda:5 of an embedding should have training rows of at least 6 classes. Found: 4"),
        ("pca:5,within", labels * 0, "at least 2 classes. Found: 1"),
        ("pca:5,within", np.arange(60), "that differ from the mean of their class. Found: none"),
    ]:
        with pytest.raises(BadInput) as caught:
            embedding(text).fit([rows], [20], labels=given)
        assert said in str(caught.value), said


def test_one_that_is_fixed_is_not_fitted_again():
    rows, labels = task(60, 20)
    fitted = embedding("pca:5,within").fit([rows], [20], labels=labels)
    kind = fixed(fitted)
    assert kind.fit([], [20]) is fitted
    assert (kind.fit_bytes(60, 20, 20), kind.columns(20), kind.arrays) == (0, 5, ("centre", "axes"))
    np.testing.assert_array_equal(kind.of_state(fitted.state(), [20]).encode(rows), fitted.encode(rows))


def test_labels_are_those_of_each_fold_and_workers_find_the_same(tmp_path):
    rows, labels, splits = noisy(spread=0.5)
    source = write(tmp_path / "a.h5", {"x": rows.astype(np.float32)}, labels, splits, kind="activations")
    for name, more in (("1", {}), ("2", {"cluster": cluster_of(Here())})):
        evaluate(source, tmp_path / f"{name}.json", Protocol(cv=3), embedding="pca:8,lda:2", memory=1 << 27, **more)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
