"""All that LogME and the H-score need of rows: products of features with features, or, if rows are fewer, of rows.

Both give the same numbers. The matrices are summed up in pieces of fixed sizes, so the last bits depend neither on the
processors nor on how large batches are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from fne_cli.numerics.statistics.spread import Spread

TILE, COLUMNS = 512, 1024  # rows or columns of a product's piece; columns that are float64 at a time
_REGULAR = 1e-6  # the shrinkage that makes a covariance regular
Batches = Callable[[], Iterable[tuple[slice, np.ndarray]]]
"""Goes through all rows (n, d), in batches with the places where they stand; may be called again."""


@dataclass(frozen=True)
class Spectrum:
    """Of rows F (n, d), not centred: sigma (k,), the squares of the singular values, and what left vectors U see.

    squares: (k, classes), those of U^T y for the 0/1 column y of each class. counts: rows of each class.
    """

    sigma: np.ndarray
    squares: np.ndarray
    counts: np.ndarray
    rows: int
    features: int


class Products(ABC):
    """Sums over rows (n, d) of the classes `labels`, (n,) int64 in 0 ... classes - 1, each with a row at least."""

    def __init__(self, labels: np.ndarray, features: int) -> None:
        self.labels, self.features, self.rows = labels, features, len(labels)
        self.counts = np.bincount(labels)

    @abstractmethod
    def spectrum(self) -> Spectrum:
        """As the class says."""

    @abstractmethod
    def spread(self) -> Spread:
        """As the class says."""

    @abstractmethod
    def between(self, shrinkage: float, mean: float) -> float:
        """Trace of S^-1 B: S = (1 - shrinkage) cov(F) + shrinkage * mean * 1, B the covariance of the classes' means.

        Both with n in the denominator, B weighted by the classes' rows.
        """


class ByFeatures(Products):
    """F^T F, (d, d), and the sums of each class: for more rows than features."""

    def __init__(self, labels: np.ndarray, features: int, batches: Batches, pool: Executor) -> None:
        super().__init__(labels, features)
        self._second = np.zeros((features, features))
        self._sums = np.zeros((len(self.counts), features))
        for span, batch in batches():
            rows = batch.astype(np.float64)
            self._sums += (labels[span] == np.arange(len(self.counts))[:, None]).astype(np.float64) @ rows
            _add_products(self._second, rows, pool)
        self._mean = self._sums.sum(axis=0) / self.rows
        self._fourth = 0.0
        for _, batch in batches():
            apart = batch.astype(np.float64) - self._mean
            self._fourth += float((np.einsum("ij,ij->i", apart, apart) ** 2).sum())
        self._covariance = self._second / self.rows - np.outer(self._mean, self._mean)

    def spectrum(self) -> Spectrum:
        """As Products has it; k is d."""
        sigma, vectors = eigh(self._second)
        # what is rounding only has no direction that a class could have a part in
        known = sigma > (sigma.max(initial=0.0) * np.finfo(float).eps * self.features)
        along = (vectors.T @ self._sums.T) ** 2
        squares = np.where(known[:, None], along / np.where(known, sigma, 1.0)[:, None], 0.0)
        return Spectrum(np.where(known, sigma, 0.0), squares, self.counts, self.rows, self.features)

    def spread(self) -> Spread:
        """As Products has it."""
        squared = float((self._covariance**2).sum())
        power = float(self._second.trace()) / self.rows
        return Spread(self.rows, self.features, power, float(self._covariance.trace()), squared, self._fourth)

    def between(self, shrinkage: float, mean: float) -> float:
        """As Products has it."""
        shrunk = (1 - shrinkage) * self._covariance
        shrunk[np.diag_indices_from(shrunk)] += shrinkage * mean
        apart = self._sums / self.counts[:, None] - self._mean
        lengths = (apart @ _inverse_times(shrunk, apart.T, shrinkage > _REGULAR)).diagonal()
        return float((lengths * self.counts).sum() / self.rows)


class ByRows(Products):
    """F F^T, (n, n): for no more rows than features. Of features side by side it is the sum of their products."""

    def __init__(self, labels: np.ndarray, features: int, gram: np.ndarray) -> None:
        super().__init__(labels, features)
        self.gram = gram

    @staticmethod
    def add(gram: np.ndarray, columns: np.ndarray, pool: Executor) -> None:
        """Add X X^T of some features X (n, d)."""
        for start in range(0, columns.shape[1], COLUMNS):
            _add_products(gram, columns[:, start : start + COLUMNS].astype(np.float64).T, pool)

    def spectrum(self) -> Spectrum:
        """As Products has it; k is n."""
        sigma, vectors = eigh(self.gram)
        squares = np.stack([vectors[self.labels == label].sum(axis=0) ** 2 for label in range(len(self.counts))], 1)
        return Spectrum(np.maximum(sigma, 0.0), squares, self.counts, self.rows, self.features)

    def _centred(self) -> np.ndarray:
        mean = self.gram.mean(axis=0)
        return self.gram - mean - mean[:, None] + mean.mean()

    def spread(self) -> Spread:
        """As Products has it."""
        centred, rows = self._centred(), self.rows
        lengths = centred.diagonal()
        squared = float((centred**2).sum()) / rows**2
        power, trace = float(self.gram.trace()) / rows, float(lengths.sum()) / rows
        return Spread(rows, self.features, power, trace, squared, float((lengths**2).sum()))

    def between(self, shrinkage: float, mean: float) -> float:
        """As Products has it: with K = X X^T of centred rows, X S^-1 X^T = K ((1 - shrinkage) K / n + ...)^-1."""
        centred = self._centred()
        shrunk = (1 - shrinkage) / self.rows * centred
        shrunk[np.diag_indices_from(shrunk)] += shrinkage * mean
        columns = (self.labels[:, None] == np.arange(len(self.counts))) / np.sqrt(self.counts)
        return float((columns * (centred @ _inverse_times(shrunk, columns, shrinkage > _REGULAR))).sum() / self.rows)


def _inverse_times(matrix: np.ndarray, columns: np.ndarray, regular: bool) -> np.ndarray:
    """A^-1 C of a symmetric A, or A^+ C of one that may not be `regular`."""
    if regular:
        found: np.ndarray = cho_solve(cho_factor(matrix), columns)
        return found
    values, vectors = eigh(matrix)
    known = values > values.max() * np.finfo(float).eps * len(values)
    return vectors[:, known] @ ((vectors[:, known].T @ columns) / values[known, None])


def _add_products(out: np.ndarray, rows: np.ndarray, pool: Executor) -> None:
    """Add rows^T rows, (d, d), piece by piece."""
    starts = range(0, len(out), TILE)

    def add(corner: tuple[int, int]) -> None:
        down, across = (slice(start, start + TILE) for start in corner)
        out[down, across] += rows[:, down].T @ rows[:, across]

    for _ in pool.map(add, [(down, across) for down in starts for across in starts if down <= across]):
        pass
    for down in starts:
        for across in starts:
            if down > across:
                out[down : down + TILE, across : across + TILE] = out[across : across + TILE, down : down + TILE].T
