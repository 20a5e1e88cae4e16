"""Bags of words, and learning: against scikit-learn's own assignment and mixtures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from fne_cli.errors import BadInput
from fne_cli.numerics.vocabulary.learning import learn_mixture, learn_words
from fne_cli.numerics.vocabulary.words import BagOfWords


def clouds(count: int = 1500, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 4, (count, 1)) + rng.normal(0, 0.3, (count, 8))).astype(np.float32)


def test_hard_words_are_those_that_k_means_predicts():
    rows, peer = clouds(seed=1), KMeans(7, n_init=1, random_state=0).fit(clouds())
    bag = BagOfWords({"words": peer.cluster_centers_, "spread": np.ones(1)})
    sums = bag.blank()
    bag.add(sums, rows, np.arange(len(rows)) % 8)
    shares = np.bincount(peer.predict(rows), minlength=7) / len(rows)
    np.testing.assert_allclose(bag.row(sums, "cells1x1"), np.sqrt(shares), rtol=1e-6)
    quarters = bag.row(sums, "cells2x2").reshape(4, 7)
    np.testing.assert_allclose((quarters**2).sum(axis=1), 1, rtol=1e-6)


def test_soft_words_are_the_posteriors_of_equal_round_gaussians():
    rows, words, spread = clouds(seed=1), clouds(6, seed=2), 0.7
    peer = GaussianMixture(6, covariance_type="spherical")
    peer.weights_, peer.means_ = np.full(6, 1 / 6), words.astype(np.float64)
    peer.covariances_, peer.precisions_cholesky_ = np.full(6, spread**2), np.full(6, 1 / spread)
    bag = BagOfWords({"words": words, "spread": np.array([spread])}, "soft")
    sums = bag.blank()
    bag.add(sums, rows, np.zeros(len(rows), int))
    shares = peer.predict_proba(rows.astype(np.float64)).mean(axis=0)
    np.testing.assert_allclose(bag.row(sums, "cells1x1"), np.sqrt(shares), rtol=1e-5)


@pytest.mark.parametrize("learn", [lambda rows: learn_mixture(rows, 3, 5, 0), lambda rows: learn_words(rows, 9, 0)])
def test_what_is_learned_does_not_depend_on_threads(learn):
    rows = clouds(5000)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(learn(rows))
    assert all((values == found[1].arrays[name]).all() for name, values in found[0].arrays.items())


def test_a_mixture_explains_descriptors_as_well_as_scikit_learn_finds_one():
    rows = clouds(4000)
    found = learn_mixture(rows, 8, 4, 0).arrays
    values = (rows - found["centre"]) @ found["axes"].T
    peer = GaussianMixture(4, covariance_type="diag", random_state=0).fit(values)
    ours = GaussianMixture(4, covariance_type="diag")
    ours.weights_, ours.means_, ours.covariances_ = found["weights"], found["means"], found["variances"]
    ours.precisions_cholesky_ = 1 / np.sqrt(found["variances"])
    assert ours.score(values) > peer.score(values) - 0.01


def test_fewer_different_descriptors_than_words_are_refused():
    with pytest.raises(BadInput, match="Found: 2 different ones"):
        learn_words(np.repeat(np.eye(2, 8, dtype=np.float32), 50, axis=0), 3, 0)
