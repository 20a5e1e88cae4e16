"""Points in the plane: t-SNE by scikit-learn, UMAP by umap-learn. Both are made on one thread, the same each time."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np

from fne_cli.machine import one_thread

Method = Literal["pca", "tsne", "umap"]
METHODS: tuple[Method, ...] = get_args(Method)

AXES = 50
"""Principal axes that the others begin with, as van der Maaten and Hinton (2008) did."""

_PERPLEXITY, _NEIGHBOURS = 30, 15  # the libraries' own


def settings_of(method: Method, count: int) -> dict[str, float]:
    """What decides how `count` points are laid out, by the names that the method's authors have."""
    if method == "tsne":
        return {"axes": AXES, "perplexity": min(_PERPLEXITY, (count - 1) / 3)}
    if method == "umap":
        return {"axes": AXES, "n_neighbors": min(_NEIGHBOURS, count - 1), "min_dist": 0.1}
    return {}


def laid_out(method: Method, rows: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) float64 of n >= 3 rows (n, axes) float64: the first two axes, or what a method makes of all.

    Raises ImportError if umap-learn is not installed.
    """
    first = np.zeros((len(rows), 2))
    first[:, : min(2, rows.shape[1])] = rows[:, :2]
    if method == "pca":
        return first
    chosen = settings_of(method, len(rows))
    begin = (first / (first[:, 0].std() or 1.0)).astype(np.float32)
    with one_thread(), warnings.catch_warnings():
        if method == "tsne":
            from sklearn.manifold import TSNE

            made = TSNE(perplexity=chosen["perplexity"], init=begin * 1e-4, random_state=seed, n_jobs=1)
        else:
            warnings.simplefilter("ignore")  # that a seed means one thread, which is what is wanted
            from umap import UMAP

            made = UMAP(
                n_neighbors=int(chosen["n_neighbors"]), min_dist=chosen["min_dist"], init=begin * 10,
                random_state=seed, n_jobs=1,
            )  # fmt: skip
        return np.asarray(made.fit_transform(rows.astype(np.float32)), np.float64)
