"""Learning a vocabulary from descriptors, by scikit-learn: principal components and a mixture, or words by k-means."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.machine import one_thread

_TURNS = 50  # of k-means at most
_MIXTURE_TURNS = 30  # of expectation and maximisation at most
_START_TURNS = 10  # of k-means before a mixture, which only has to begin somewhere
_SHARPER = 8  # with it a descriptor of 1,024 words counts for about four of them, without it for most
_FLOOR = 1e-6  # that is added to variances, for components that are all of one descriptor


@dataclass(frozen=True)
class Learned:
    """The arrays of a vocabulary, in float64; how many turns it took, and whether it came to rest in them."""

    arrays: dict[str, np.ndarray]
    turns: int
    at_rest: bool


def learn_mixture(descriptors: np.ndarray, components: int, words: int, seed: int) -> Learned:
    """Principal components of (n, dimensions) float32 descriptors, and a mixture of `words` diagonal Gaussians.

    The same bits for any number of threads, as one is used. Raises BadInput for fewer descriptors than words.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    _check_enough(descriptors, max(words, components))
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reduction = PCA(components, svd_solver="covariance_eigh").fit(descriptors)
        values = reduction.transform(descriptors)
        start = KMeans(words, n_init=1, max_iter=_START_TURNS, random_state=seed).fit(values)
        share = np.bincount(start.labels_, minlength=words) / len(values)
        mixture = GaussianMixture(
            words, covariance_type="diag", reg_covar=_FLOOR, max_iter=_MIXTURE_TURNS, random_state=seed,
            init_params="random_from_data",  # not used, as all there is to begin with is given
            weights_init=np.maximum(share, 1e-12) / np.maximum(share, 1e-12).sum(),
            means_init=start.cluster_centers_,
            precisions_init=1 / (_variances(values, start.labels_, words) + _FLOOR),
        ).fit(values)  # fmt: skip
    arrays = {
        "centre": reduction.mean_,
        "axes": reduction.components_,
        "weights": mixture.weights_,
        "means": mixture.means_,
        "variances": mixture.covariances_,
    }
    return Learned(_exact(arrays), int(mixture.n_iter_), bool(mixture.converged_))


def learn_words(descriptors: np.ndarray, words: int, seed: int) -> Learned:
    """Words by k-means of (n, dimensions) float32 descriptors, and the spread that soft assignment goes by.

    The same bits for any number of threads, as one is used. Raises BadInput for fewer descriptors than words.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    _check_enough(descriptors, words)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(words, n_init=1, max_iter=_TURNS, random_state=seed).fit(descriptors)
    spread = np.sqrt(max(float(found.inertia_), 1e-12) / len(descriptors) / _SHARPER)
    arrays = {"words": found.cluster_centers_, "spread": np.array([spread])}
    return Learned(_exact(arrays), int(found.n_iter_), found.n_iter_ < _TURNS)


def bytes_needed(samples: int, dimensions: int, words: int, mixture: bool) -> int:
    """What learning takes at its height: the descriptors, copies of them, and for a mixture shares of every word."""
    return 4 * samples * dimensions * 3 + (8 * samples * words * 3 if mixture else 4 * samples * 8)


def _check_enough(descriptors: np.ndarray, wanted: int) -> None:
    different = len(np.unique(descriptors, axis=0))
    if different < wanted:
        raise BadInput(
            f"A vocabulary of {wanted:,} words or components should be learned from more descriptors. Found: "
            f"{different:,} different ones.\nGive more images, a larger --samples, or fewer --words and --components."
        )


def _variances(values: np.ndarray, labels: np.ndarray, words: int) -> np.ndarray:
    """(words, components) of each cluster's own, those of all where it has one descriptor or none."""
    found = np.tile(values.var(axis=0, dtype=np.float64), (words, 1))
    order = np.argsort(labels, kind="stable")
    for word, rows in enumerate(np.split(order, np.searchsorted(labels[order], np.arange(1, words)))):
        if len(rows) > 1:
            found[word] = values[rows].var(axis=0, dtype=np.float64)
    return found


def _exact(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(values, np.float64) for name, values in arrays.items()}
