"""The most similar rows, found while all rows pass in blocks, and the votes that they have."""

from __future__ import annotations

import numpy as np

TEMPERATURE = 0.07
"""How much a neighbour's similarity counts: Z. Wu et al., "Unsupervised feature learning via non-parametric instance
discrimination", CVPR 2018."""


class Nearest:
    """Of each of `queries` rows the `count` most similar ones of many. Of equally similar rows the first counts.

    similar: (queries, count), -inf where there are fewer; places: which rows they are, -1 for none.
    """

    def __init__(self, queries: int, count: int) -> None:
        self._count = count
        self.similar = np.full((queries, count), -np.inf)
        self.places = np.full((queries, count), -1)

    def add(self, span: slice, similar: np.ndarray) -> None:
        """Look at rows `span`, by their similarities (queries, rows of the span); spans come in order."""
        every = np.concatenate([self.similar, similar], axis=1)
        places = np.concatenate([self.places, np.broadcast_to(np.arange(span.start, span.stop), similar.shape)], axis=1)
        nearest = np.argsort(-every, axis=1, kind="stable")[:, : self._count]
        self.similar = np.take_along_axis(every, nearest, axis=1)
        self.places = np.take_along_axis(places, nearest, axis=1)

    def weights(self, temperature: float = TEMPERATURE) -> np.ndarray:
        """(queries, count): the votes, exp(similarity / temperature), in units of the largest; 0 for none."""
        largest = self.similar.max(axis=1, keepdims=True)
        apart = self.similar - np.where(np.isfinite(largest), largest, 0.0)
        return np.exp(np.where(np.isfinite(apart), apart / temperature, -np.inf))


def votes(places: np.ndarray, weights: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(queries, classes): what the rows `places`, of the classes labels (n,), weigh together for each class."""
    found = np.zeros((len(places), classes))
    np.add.at(found, (np.arange(len(found))[:, None], labels[places]), weights)
    return found


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64; one of zeros stays."""
    rows = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    found: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found
