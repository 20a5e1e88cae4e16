"""What a certificate of several problems says of all of them together."""

from __future__ import annotations

import numpy as np


class Totals:
    """A solution with objective and gap, relative to it, of each problem: (problems,)."""

    objective: np.ndarray
    gap: np.ndarray

    @property
    def total_objective(self) -> float:
        """The objective, summed over the problems."""
        return float(self.objective.sum())

    @property
    def total_gap(self) -> float:
        """The relative duality gap of the sum."""
        return float((self.gap * self.objective).sum() / max(self.objective.sum(), np.finfo(float).tiny))
