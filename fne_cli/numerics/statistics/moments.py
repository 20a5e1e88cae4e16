"""Count, mean, standard deviation, extremes and zeros of every feature, in one pass over batches of rows.

Safe when the mean is huge compared with the spread, and mergeable in any order and grouping: sums and squared
deviations are kept in twice the precision of float64 and rounded once, when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from fne_cli.numerics.statistics import doubled, sums
from fne_cli.numerics.statistics.doubled import Doubled


class Sums:
    """Rows being added up, float32 or float16, for a Moments in the end."""

    def __init__(self, features: int) -> None:
        self.count = 0
        self._state = sums.empty(features)

    @classmethod
    def of_state(cls, count: int, state: np.ndarray) -> Self:
        """What `state` has become of `count` rows, elsewhere."""
        own = cls(0)
        own.count, own._state = count, np.array(state)
        return own

    @property
    def state(self) -> np.ndarray:
        """All but the count, (7, features) float64."""
        return self._state

    def add(self, rows: np.ndarray, chosen: np.ndarray | None = None) -> None:
        """Add rows, (rows, features); with `chosen`, only those with these numbers. Holds no interpreter lock."""
        if chosen is None:
            chosen = np.arange(len(rows))
        # float32 holds every float16
        sums.accumulate(self._state, rows.astype(np.float32, copy=False), chosen)
        self.count += len(chosen)

    def merge(self, other: Sums) -> None:
        """Add the rows of another Sums."""
        sums.merge(self._state, other._state)
        self.count += other.count

    @property
    def finite(self) -> bool:
        """Whether all values so far are finite numbers."""
        return bool(np.isfinite(self._state[2]).all())

    def moments(self) -> Moments:
        """The moments of all rows so far."""
        state = self._state
        if not self.count:
            return Moments.empty(state.shape[1])
        total, squares = (state[0], state[1]), (state[2], state[3])
        mean_square = doubled.divide(doubled.multiply(total, total), float(self.count))
        m2 = doubled.add(squares, (-mean_square[0], -mean_square[1]))
        return Moments(self.count, total, _not_negative(m2), state[4], state[5], state[6])


@dataclass(frozen=True)
class Moments:
    """Moments of `count` rows. An empty Moments is the neutral element of +.

    total and deviations are the sum and the sum of squared deviations from the mean, pairs of (features,) float64 (see
    doubled). minimum and maximum are (features,) float64, inf and -inf without rows; zeros counts exact zeros.
    """

    count: int
    total: Doubled
    deviations: Doubled
    minimum: np.ndarray
    maximum: np.ndarray
    zeros: np.ndarray

    @classmethod
    def empty(cls, features: int) -> Self:
        """No rows yet."""
        nothing = np.zeros(features)
        return cls(0, (nothing, nothing), (nothing, nothing), nothing + np.inf, nothing - np.inf, nothing)

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Moments of one batch of rows, (rows, features) of any real type."""
        if not len(rows):
            return cls.empty(rows.shape[1])
        if rows.dtype in (np.float32, np.float16):
            added = Sums(rows.shape[1])
            added.add(rows)
            return added.moments()
        # Squares of float64 are not exact: two passes. The rounding of the mean is corrected by the mean deviation.
        rough = rows.mean(axis=0, dtype=np.float64)
        deviation = rows - rough
        correction = deviation.mean(axis=0)
        count = len(rows)
        m2 = np.einsum("ij,ij->j", deviation, deviation) - count * correction**2
        mean = doubled.two_sum(rough, correction)
        return cls(
            count=count,
            total=doubled.multiply(mean, (float(count), 0.0)),
            deviations=(np.maximum(m2, 0.0), np.zeros(len(m2))),
            minimum=rows.min(axis=0).astype(np.float64),
            maximum=rows.max(axis=0).astype(np.float64),
            zeros=(rows == 0).sum(axis=0).astype(np.float64),
        )

    def __add__(self, other: Moments) -> Moments:
        """Moments of both sets of rows together.

        Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (The American Statistician 37, 1983),
        with sums in place of means: m2 = m2_a + m2_b + (n_b s_a - n_a s_b)^2 / (n_a n_b n).
        """
        if not self.count or not other.count:
            return other if other.count else self
        n_a, n_b = float(self.count), float(other.count)
        apart = doubled.add(doubled.multiply(self.total, (n_b, 0.0)), doubled.multiply(other.total, (-n_a, 0.0)))
        between = doubled.divide(doubled.divide(doubled.multiply(apart, apart), n_a * n_b), n_a + n_b)
        return Moments(
            count=self.count + other.count,
            total=doubled.add(self.total, other.total),
            deviations=doubled.add(doubled.add(self.deviations, other.deviations), between),
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            zeros=self.zeros + other.zeros,
        )

    @property
    def mean(self) -> np.ndarray:
        """Mean, (features,) float64."""
        return doubled.divide(self.total, float(max(self.count, 1)))[0]

    @property
    def variance(self) -> np.ndarray:
        """Mean squared deviation (ddof 0), (features,) float64, rounding and all."""
        return self.deviations[0] / max(self.count, 1)

    @property
    def constant(self) -> np.ndarray:
        """(features,) bool: the features whose spread is nothing but rounding.

        The bound is that of scikit-learn's StandardScaler: the variance is below what rounding the mean can cause.
        """
        epsilon = np.finfo(np.float64).eps
        bound = self.count * epsilon * self.variance + (self.count * self.mean * epsilon) ** 2
        return (self.minimum == self.maximum) | (self.variance <= bound)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation with ddof 0, (features,) float64; exactly 0 for a constant feature."""
        return np.where(self.constant, 0.0, np.sqrt(self.variance))

    def datasets(self) -> dict[str, np.ndarray]:
        """What a moments file stores of one layer, (features,) float64 each."""
        return {
            "mean": self.mean,
            "std": self.std,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "zeros": self.zeros,
        }


def _not_negative(value: Doubled) -> Doubled:
    below = value[0] < 0
    return np.where(below, 0.0, value[0]), np.where(below, 0.0, value[1])
