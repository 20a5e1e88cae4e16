"""What every solver of the squared-hinge SVM returns: a solution of many problems, and how far it can be off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Certified:
    """alpha (problems, rows) >= 0; of every problem objective and dual, the primal and the dual objective; passes.

    The optimum lies between the two objectives.
    """

    alpha: np.ndarray
    objective: np.ndarray
    dual: np.ndarray
    passes: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """(problems,): (primal - dual) / primal."""
        return relative_gap(self.objective, self.dual)


@dataclass(frozen=True)
class Hyperplanes(Certified):
    """With weights (problems, features) and intercepts (problems,) float64."""

    weights: np.ndarray
    intercepts: np.ndarray


def relative_gap(primal: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """(primal - dual) / primal; 0 where both are 0."""
    return (primal - dual) / np.where(primal > 0, primal, 1.0)
