"""The class that an image's nearest neighbours have, each image left out in its turn."""

from __future__ import annotations

import numpy as np

from fne_cli.numerics.evaluation.metrics import confusion, mean_per_class_accuracy

TEMPERATURE = 0.07


class Neighbours:
    """The `count` most similar rows of some rows, found while all rows pass in blocks.

    queries: numbers of the rows that are left out, (q,). images, labels: of all rows, (n,): rows of one image, its
    crops, are no neighbours of each other. Of equally similar rows the first counts.
    """

    def __init__(self, queries: np.ndarray, images: np.ndarray, labels: np.ndarray, count: int) -> None:
        self._queries, self._images, self._labels = queries, images, labels
        self._count = count
        self._similar = np.full((len(queries), count), -np.inf)
        self._label = np.full((len(queries), count), -1)

    def add(self, span: slice, similar: np.ndarray) -> None:
        """Look at rows `span`, by their similarities (q, rows of the span); spans come in order."""
        own = self._images[self._queries][:, None] == self._images[span]
        here = np.where(own, -np.inf, similar)
        every = np.concatenate([self._similar, here], axis=1)
        labels = np.concatenate([self._label, np.broadcast_to(self._labels[span], here.shape)], axis=1)
        nearest = np.argsort(-every, axis=1, kind="stable")[:, : self._count]
        self._similar = np.take_along_axis(every, nearest, axis=1)
        self._label = np.take_along_axis(labels, nearest, axis=1)

    def accuracy(self, classes: int) -> float:
        """Mean per-class accuracy of their votes, each weighing exp(similarity / 0.07); ties to the first class.

        So Z. Wu et al., "Unsupervised feature learning via non-parametric instance discrimination", CVPR 2018.
        """
        known = np.isfinite(self._similar)
        weight = np.where(known, np.exp((self._similar - 1) / TEMPERATURE), 0.0)
        votes = np.zeros((len(self._queries), classes))
        np.add.at(votes, (np.arange(len(votes))[:, None], np.where(known, self._label, 0)), weight)
        return mean_per_class_accuracy(confusion(self._labels[self._queries], votes.argmax(axis=1), classes))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64; one of zeros stays."""
    rows = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    found: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found
