"""The classifier that a network begins with: the linear SVM on what the network makes of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.svm.problem import Fit, Problem, SolverOptions


@dataclass(frozen=True)
class LinearHead:
    """Hyperplanes of features less `mean`, divided by `deviation`, both (features,) float64."""

    fit: Fit
    mean: np.ndarray
    deviation: np.ndarray

    def decisions(self, features: np.ndarray) -> np.ndarray:
        """(n, features) -> (n, trained classes)."""
        return self.fit.model.decisions((features.astype(np.float64) - self.mean) / self.deviation)


def fit_head(features: np.ndarray, labels: np.ndarray, cost: float, options: SolverOptions) -> LinearHead:
    """Train on features (n, features) with labels (n,), standardised by these very images.

    A feature is divided by its standard deviation, but by no less than the root mean square of all deviations: what
    rarely differs in a few images would else weigh most, and the gradient of the layers below with it.
    """
    rows = features.astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    least = float(np.sqrt((deviation**2).mean()))
    deviation = np.maximum(deviation, least or 1.0)
    rows = (rows - mean) / deviation
    fit = Problem(rows, labels, options).fit(np.arange(len(rows)), cost)
    return LinearHead(fit, mean, deviation)


def head_score(head: LinearHead, features: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Mean per-class accuracy on features (n, features) of images of the classes truth (n,)."""
    judged = metrics.judge(head.fit.model.classes, head.decisions(features), classes, 1, "vote")
    return metrics.score(judged, truth)


def best_cost(
    features: np.ndarray, labels: np.ndarray, parts: tuple[np.ndarray, np.ndarray], costs: Sequence[float],
    classes: int, options: SolverOptions,
) -> tuple[float, list[float]]:  # fmt: skip
    """The first of the best costs, and the score of each: trained and judged on the numbers `parts`."""
    kept, held = parts
    scores = [
        head_score(fit_head(features[kept], labels[kept], cost, options), features[held], labels[held], classes)
        for cost in costs
    ]
    return costs[int(np.argmax(scores))], scores
