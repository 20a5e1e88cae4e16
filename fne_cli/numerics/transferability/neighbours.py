"""The class that an image's nearest neighbours have, each image left out in its turn."""

from __future__ import annotations

import numpy as np

from fne_cli.numerics.evaluation.metrics import confusion, mean_per_class_accuracy
from fne_cli.numerics.neighbours.nearest import Nearest, votes


class Neighbours:
    """The `count` most similar rows of some rows, found while all rows pass in blocks.

    queries: numbers of the rows that are left out, (q,). images, labels: of all rows, (n,): rows of one image, its
    crops, are no neighbours of each other. Of equally similar rows the first counts.
    """

    def __init__(self, queries: np.ndarray, images: np.ndarray, labels: np.ndarray, count: int) -> None:
        self._queries, self._images, self._labels = queries, images, labels
        self._nearest = Nearest(len(queries), count)

    def add(self, span: slice, similar: np.ndarray) -> None:
        """Look at rows `span`, by their similarities (q, rows of the span); spans come in order."""
        own = self._images[self._queries][:, None] == self._images[span]
        self._nearest.add(span, np.where(own, -np.inf, similar))

    def accuracy(self, classes: int) -> float:
        """Mean per-class accuracy of their votes, each weighing exp(similarity / 0.07); ties to the first class."""
        found = votes(self._nearest.places, self._nearest.weights(), self._labels, classes)
        return mean_per_class_accuracy(confusion(self._labels[self._queries], found.argmax(axis=1), classes))
