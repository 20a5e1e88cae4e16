"""How far a covariance matrix should be shrunk to a multiple of the identity."""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING = 1e-13  # what is no variance


@dataclass(frozen=True)
class Spread:
    """What the Ledoit-Wolf estimate needs of centred rows: trace and squared norm of their covariance, sum of |x|^4.

    power: mean squared length of the rows before they are centred.
    """

    rows: int
    features: int
    power: float
    trace: float
    squared: float
    fourth: float

    @property
    def varies(self) -> bool:
        """Whether rows differ by more than rounding."""
        return self.trace > _ROUNDING * self.power

    @property
    def shrinkage(self) -> float:
        """How far the covariance is drawn to mean * identity, 0 ... 1.

        O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
        Multivariate Analysis 88, 2004.
        """
        distance = self.squared - self.trace**2 / self.features
        error = (self.fourth / self.rows - self.squared) / self.rows
        return 0.0 if distance <= 0 or error <= 0 else min(error, distance) / distance

    @property
    def mean(self) -> float:
        """Of the variances."""
        return self.trace / self.features
