"""Fisher vectors against scikit-image's, of the same descriptors and the same mixture."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import fisher_vector
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from fne_cli.numerics.vocabulary.cells import CELLS, atoms_of
from fne_cli.numerics.vocabulary.fisher import FisherVectors

HEIGHT, WIDTH = 61, 90


@pytest.fixture(scope="module")
def learned() -> tuple[PCA, GaussianMixture, FisherVectors]:
    rng = np.random.default_rng(0)
    rows = rng.gamma(0.5, size=(3000, 20)) @ rng.normal(size=(20, 20))
    pca = PCA(6).fit(rows)
    mixture = GaussianMixture(5, covariance_type="diag", random_state=0).fit(pca.transform(rows))
    arrays = {"centre": pca.mean_, "axes": pca.components_, "weights": mixture.weights_}
    return pca, mixture, FisherVectors(arrays | {"means": mixture.means_, "variances": mixture.covariances_})


def descriptors(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and y and x of each."""
    rng = np.random.default_rng(seed)
    points = np.stack([rng.integers(0, HEIGHT, count), rng.integers(0, WIDTH, count)], axis=1)
    return rng.gamma(0.5, size=(count, 20)).astype(np.float32), points


def peer(rows: np.ndarray, pca: PCA, mixture: GaussianMixture) -> np.ndarray:
    """Theirs begins with gradients by weights, which ours has not, and has the other sign for those by variances."""
    found = fisher_vector(pca.transform(rows.astype(np.float64)), mixture)[5:]
    found[30:] *= -1
    found = np.sign(found) * np.sqrt(np.abs(found))
    return found / np.linalg.norm(found)


def test_each_cell_has_the_vector_that_scikit_image_makes_of_its_descriptors(learned):
    pca, mixture, ours = learned
    rows, points = descriptors(2500)
    sums = ours.blank()
    for part in (slice(0, 900), slice(900, 2500)):  # as patches of several sizes come
        ours.add(sums, rows[part], atoms_of(points[part], HEIGHT, WIDTH))
    y, x = points.T
    for layer, (down, across) in CELLS.items():
        cells = ours.row(sums, layer).reshape(down * across, -1)
        for number, cell in enumerate(cells):
            inside = (y * down // HEIGHT == number // across) & (x * across // WIDTH == number % across)
            np.testing.assert_allclose(cell, peer(rows[inside], pca, mixture), atol=3e-5)


def test_a_cell_without_descriptors_is_zeros_and_the_others_are_not(learned):
    _, _, ours = learned
    rows, points = descriptors(40)
    points[:, 0] = 0
    sums = ours.blank()
    ours.add(sums, rows, atoms_of(points, HEIGHT, WIDTH))
    top, middle, bottom = ours.row(sums, "cells3x1").reshape(3, -1)
    assert not middle.any() and not bottom.any()
    np.testing.assert_allclose(np.linalg.norm(top), 1, rtol=1e-6)
