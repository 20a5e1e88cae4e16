"""The linear SVM of the method: one-vs-rest, squared hinge, L2, intercept as a constant feature 1 (LinearSVC)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LinearModel:
    """One hyperplane per class: weights (classes, features), intercepts (classes,), classes (classes,) int."""

    classes: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray

    def decisions(self, rows: np.ndarray) -> np.ndarray:
        """(rows, classes) float64: signed distances, not normalised."""
        return rows @ self.weights.T + self.intercepts


def fit_liblinear(rows: np.ndarray, labels: np.ndarray, cost: float = 1.0, seed: int = 0) -> tuple[LinearModel, bool]:
    """Fit scikit-learn's LinearSVC to rows (n, features) and class indices (n,). Also says whether it converged.

    With two classes scikit-learn solves one problem; here its mirror image is added, so that every class has its own.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    estimator = LinearSVC(C=cost, dual="auto", random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(rows, labels)
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    weights, intercepts = estimator.coef_, estimator.intercept_
    if len(weights) == 1:
        weights, intercepts = np.concatenate([-weights, weights]), np.concatenate([-intercepts, intercepts])
    return LinearModel(estimator.classes_, weights, intercepts), converged


def objective_and_gap(
    model: LinearModel, rows: np.ndarray, labels: np.ndarray, cost: float = 1.0
) -> tuple[float, float]:
    """The primal objective, summed over the classes, and its relative duality gap (primal - dual) / primal.

    The dual point is a_i = 2 C max(0, 1 - y_i f(x_i)), feasible for any hyperplane and optimal at the optimum, so the
    gap bounds how far the objective can be from its minimum.
    """
    sign = np.where(labels[:, None] == model.classes, 1.0, -1.0)
    slack = np.maximum(0.0, 1.0 - sign * model.decisions(rows))
    norm = (model.weights**2).sum() + (model.intercepts**2).sum()
    primal = 0.5 * norm + cost * (slack**2).sum()
    # a multiple of that point is feasible too; the best one has a closed form
    dual_point = 2 * cost * slack
    signed = sign * dual_point
    dual_norm = ((signed.T @ rows) ** 2).sum(axis=1) + signed.sum(axis=0) ** 2
    curvature = dual_norm + (dual_point**2).sum(axis=0) / (2 * cost)
    linear = dual_point.sum(axis=0)
    dual = float((linear[curvature > 0] ** 2 / (2 * curvature[curvature > 0])).sum())
    return float(primal), float((primal - dual) / primal)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Each row divided by its Euclidean norm, float64; a row of zeros stays."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1.0, norms)
