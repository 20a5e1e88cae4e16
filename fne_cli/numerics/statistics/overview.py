"""What figures show of a matrix s: its distribution, labels counted, pairs above a threshold, classes correlated.

The matrix comes layer by layer, so that only one layer of it is in memory.
"""

from __future__ import annotations

import numpy as np

EDGES = np.linspace(-1, 1, 100)  # of the histograms of s; 0, where dead features are, is the middle of a bin
QUANTILES = (0.05, 0.95)
THRESHOLDS = np.linspace(0, 1, 501)


class Null:
    """|s| of random classes. sizes: (m,) ascending; levels: (q,) in 0 ... 1; quantiles: (m, q) of |s| at the levels."""

    def __init__(self, sizes: np.ndarray, levels: np.ndarray, quantiles: np.ndarray) -> None:
        self.sizes, self.levels, self.quantiles = sizes, levels, quantiles

    def rows(self, counts: np.ndarray) -> np.ndarray:
        """(k,) rows of `quantiles` for classes of so many images; the nearest size where one is missing."""
        right = np.clip(np.searchsorted(self.sizes, counts), 0, len(self.sizes) - 1)
        left = np.maximum(right - 1, 0)
        return np.where(np.abs(self.sizes[left] - counts) < np.abs(self.sizes[right] - counts), left, right)

    def survival(self, counts: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(len(at),) shares of |s| above t, over random classes that occur as often as those of `counts` images."""
        weights = np.bincount(self.rows(counts), minlength=len(self.sizes)) / len(counts)
        below = np.zeros(len(at))
        for number in np.flatnonzero(weights):
            below += weights[number] * _reached(at, self.quantiles[number], self.levels)
        return 1 - below

    def shares(self, counts: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """(b,) shares of random classes, as above, by s, of which either sign is as likely. edges: (b + 1,)."""
        above = self.survival(counts, np.abs(edges)) / 2
        return np.diff(np.where(edges < 0, above, 1 - above))

    def beyond(self, counts: np.ndarray, thresholds: np.ndarray) -> float:
        """The share of random classes, as above, with |s| above the threshold of the class they stand for, (k,)."""
        rows = self.rows(counts)
        reached = [
            _reached(np.array([t]), self.quantiles[row], self.levels)[0]
            for row, t in zip(rows, thresholds, strict=True)
        ]
        return float(1 - np.mean(reached))


def _reached(at: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The level at which a quantile function first lies above t: ties, which are runs of it, count as reached."""
    values, last = np.unique(quantiles[::-1], return_index=True)
    return np.interp(at, values, levels[::-1][last], left=0.0, right=1.0)


class Overview:
    """Sums over all pairs of a feature and a class, to be fed layer by layer. k classes of `counts` images each.

    histograms: (99,) numbers of pairs between EDGES for each layer. quantiles: QUANTILES of each. labels: a (3, k)
    table for each layer: how many features are characteristic of each class by presence, by absence, and not at all.
    Pairs without s (NaN) count nowhere.
    """

    def __init__(self, counts: np.ndarray, null: Null) -> None:
        self.counts, self.null = counts, null
        self.histograms: list[np.ndarray] = []
        self.quantiles: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self._pairs = 0
        self._above = np.zeros((2, len(THRESHOLDS)))
        self._beyond = np.zeros((2, len(null.levels)))
        self._features = 0
        self._sum = np.zeros(len(counts))
        self._products = np.zeros((len(counts), len(counts)))
        self._rows = null.rows(counts)
        # As s is stored, so that a value on a quantile is not beyond it by its rounding.
        self._quantiles = null.quantiles.astype(np.float32)

    def add(self, s: np.ndarray, label: np.ndarray) -> None:
        """One layer: s (features, k) float32 and label (features, k) int8 of 1, -1 and 0."""
        known = np.isfinite(s)
        values = np.sort(s[known])
        empty = np.full(len(QUANTILES), np.nan)
        self.quantiles.append(np.quantile(values, QUANTILES) if len(values) else empty)
        self.histograms.append(np.histogram(values, EDGES)[0])
        self.labels.append(np.stack([((label == value) & known).sum(axis=0) for value in (1, -1, 0)]))
        self._pairs += len(values)
        at = THRESHOLDS.astype(values.dtype)
        self._above[0] += len(values) - np.searchsorted(values, at, "right")
        self._above[1] += np.searchsorted(values, -at, "left")
        for number in range(s.shape[1]):
            own = np.sort(s[known[:, number], number])
            quantiles = self._quantiles[self._rows[number]]
            self._beyond[0] += len(own) - np.searchsorted(own, quantiles, "right")
            self._beyond[1] += np.searchsorted(own, -quantiles, "left")
        whole = np.where(known, s, 0).astype(np.float64)
        self._features += len(s)
        self._sum += whole.sum(axis=0)
        self._products += whole.T @ whole

    @property
    def above(self) -> np.ndarray:
        """(2, len(THRESHOLDS)): shares of pairs with s > t and with s < -t."""
        return self._above / max(1, self._pairs)

    @property
    def beyond(self) -> np.ndarray:
        """(2, q): shares of pairs with s above, and -s above, the quantile of random classes of their size."""
        return self._beyond / max(1, self._pairs)

    def distances(self) -> np.ndarray:
        """(k, k) 1 - Pearson's correlation of the classes' s over all features; 1 with a class of constant s."""
        mean = self._sum / max(1, self._features)
        covariance = self._products / max(1, self._features) - np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        scale = np.outer(deviation, deviation)
        correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-12)
        distances = np.clip(1 - correlation, 0, 2)
        np.fill_diagonal(distances, 0)
        return (distances + distances.T) / 2
