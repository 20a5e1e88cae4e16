"""What a logistic regression says of decision values: probabilities, loss, curvature, and the best intercepts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

_STEPS, _HALVINGS = 100, 40


class Loss(ABC):
    """Of decision values (rows, columns) and targets (rows, columns), 1 or 0. counted: which of them count.

    Sums over rows are (columns,) where every column is a problem of its own, (1,) where all are one.
    """

    def __init__(self, targets: np.ndarray, counted: np.ndarray) -> None:
        self.targets, self.counted = targets, counted

    @abstractmethod
    def total(self, over_rows: np.ndarray) -> np.ndarray:
        """Sums of the columns (columns,) as sums of the problems."""

    @abstractmethod
    def probabilities(self, decisions: np.ndarray) -> np.ndarray:
        """(rows, columns)."""

    @abstractmethod
    def value(self, decisions: np.ndarray) -> np.ndarray:
        """The loss of each problem."""

    @abstractmethod
    def curved(self, probabilities: np.ndarray, change: np.ndarray) -> np.ndarray:
        """(rows, columns): how a change of the decision values changes the probabilities."""

    @abstractmethod
    def shift(self, probabilities: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """(columns,): the change of the intercepts that changes the sums of the probabilities by `slope`."""

    def apart(self, probabilities: np.ndarray) -> np.ndarray:
        """(rows, columns): probabilities minus targets, the slope of the loss."""
        return np.where(self.counted, probabilities - self.targets, 0.0)

    def centred(self, decisions: np.ndarray, start: np.ndarray) -> np.ndarray:
        """(columns,): the intercepts at which the loss is least, by Newton's method from `start`."""
        intercepts = start
        known = self.value(decisions + intercepts)
        for _ in range(_STEPS):
            probabilities = self.probabilities(decisions + intercepts)
            slope = self.apart(probabilities).sum(axis=0)
            if np.abs(slope).max(initial=0.0) <= 1e-13 * len(decisions):
                break
            step = -self.shift(probabilities, slope)
            length = np.ones(len(known))
            for _ in range(_HALVINGS):
                tried = intercepts + length * step
                found = self.value(decisions + tried)
                worse = found > known
                if not worse.any():
                    break
                length = np.where(worse, length / 2, length)
            else:
                tried = intercepts + np.where(worse, 0.0, length) * step
                found = np.where(worse, known, found)
            if np.array_equal(tried, intercepts):
                break
            intercepts, known = tried, found
        return intercepts


class OneOfAll(Loss):
    """Every row is of one of the columns: the softmax. One problem."""

    def total(self, over_rows: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        return over_rows.sum(keepdims=True)

    def probabilities(self, decisions: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        from scipy.special import softmax

        return softmax(decisions, axis=1)

    def value(self, decisions: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        largest = decisions.max(axis=1)
        sums = np.log(np.exp(decisions - largest[:, None]).sum(axis=1)) + largest
        return (sums - np.einsum("nk,nk->n", decisions, self.targets)).sum(keepdims=True)

    def curved(self, probabilities: np.ndarray, change: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        found = probabilities * change
        found -= probabilities * found.sum(axis=1, keepdims=True)
        return found

    def shift(self, probabilities: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """As Loss has it; the same for all columns changes nothing, so it is none of that."""
        curvature = np.diag(probabilities.sum(axis=0)) - probabilities.T @ probabilities
        size = max(float(curvature.trace()) / len(curvature), np.finfo(float).tiny)
        found = np.linalg.lstsq(curvature + size / len(curvature), slope, rcond=None)[0]
        return found - found.mean()


class EachAlone(Loss):
    """Every column for itself: a row is of it, or is not, or does not count."""

    def total(self, over_rows: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        return over_rows

    def probabilities(self, decisions: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        from scipy.special import expit

        return expit(decisions)

    def value(self, decisions: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        found = np.logaddexp(0.0, np.where(self.targets > 0, -decisions, decisions))
        return np.where(self.counted, found, 0.0).sum(axis=0)

    def curved(self, probabilities: np.ndarray, change: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        return np.where(self.counted, probabilities * (1 - probabilities) * change, 0.0)

    def shift(self, probabilities: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """As Loss has it."""
        curvature = np.where(self.counted, probabilities * (1 - probabilities), 0.0).sum(axis=0)
        return np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
