"""Count, mean and standard deviation of every feature, in one pass over batches of rows.

Float64 throughout. Within a batch the two-pass formula; between batches Chan, Golub and LeVeque, "Algorithms for
computing the sample variance" (The American Statistician 37, 1983). Both keep their digits when the mean is huge
compared with the spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Moments of `count` rows; every array is (features,) float64. An empty Moments is the neutral element of +.

    m2 is the sum of squared deviations from the mean. minimum and maximum are inf and -inf without rows.
    zeros counts the values that are exactly 0.
    """

    count: int
    mean: np.ndarray
    m2: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    zeros: np.ndarray

    @classmethod
    def empty(cls, features: int) -> Self:
        """No rows yet."""
        nothing = np.zeros(features)
        return cls(0, nothing, nothing, nothing + np.inf, nothing - np.inf, nothing)

    @classmethod
    def of(cls, rows: np.ndarray) -> Self:
        """Moments of one batch of rows, (rows, features) of any real type."""
        if not len(rows):
            return cls.empty(rows.shape[1])
        # The mean's own rounding is corrected by the mean of the deviations, so that m2 is not biased by it.
        rough = rows.mean(axis=0, dtype=np.float64)
        deviation = rows - rough
        correction = deviation.mean(axis=0)
        m2 = np.einsum("ij,ij->j", deviation, deviation) - len(rows) * correction**2
        return cls(
            count=len(rows),
            mean=rough + correction,
            m2=np.maximum(m2, 0.0),
            minimum=rows.min(axis=0).astype(np.float64),
            maximum=rows.max(axis=0).astype(np.float64),
            zeros=(rows == 0).sum(axis=0).astype(np.float64),
        )

    def __add__(self, other: Moments) -> Moments:
        """Moments of both sets of rows together."""
        count = self.count + other.count
        if not self.count or not other.count:
            return other if other.count else self
        delta = other.mean - self.mean
        return Moments(
            count=count,
            mean=self.mean + delta * (other.count / count),
            m2=self.m2 + other.m2 + delta**2 * (self.count * other.count / count),
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            zeros=self.zeros + other.zeros,
        )

    @property
    def constant(self) -> np.ndarray:
        """(features,) bool: the features whose spread is nothing but rounding.

        The bound is that of scikit-learn's StandardScaler: the variance is below what rounding the mean can cause.
        """
        variance = self.m2 / max(self.count, 1)
        epsilon = np.finfo(np.float64).eps
        bound = self.count * epsilon * variance + (self.count * self.mean * epsilon) ** 2
        return (self.minimum == self.maximum) | (variance <= bound)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation with ddof 0, (features,) float64; exactly 0 for a constant feature."""
        return np.where(self.constant, 0.0, np.sqrt(self.m2 / max(self.count, 1)))

    def datasets(self) -> dict[str, np.ndarray]:
        """What a moments file stores of one layer, (features,) float64 each."""
        return {
            "mean": self.mean,
            "std": self.std,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "zeros": self.zeros,
        }
