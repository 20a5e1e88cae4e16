"""scikit-learn's LinearSVC as the reference of `svm`, and a certificate for any hyperplanes, whoever found them."""

from __future__ import annotations

import warnings

import numpy as np

from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import Rows, dense, spans
from fne_cli.numerics.svm.solver import LinearModel, signs_of, solve

BLOCK = 1024  # rows that are float64 at a time


def fit_liblinear(
    rows: Rows, labels: np.ndarray, cost: float = 1.0, seed: int = 0, max_iter: int = 1000
) -> tuple[LinearModel, bool]:
    """Fit scikit-learn's LinearSVC to rows (n, features) and labels as `svm.solve`. Also says whether it converged.

    One problem per class, each with the rows that count for it. liblinear makes a float64 copy of all rows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    classes, signs = signs_of(labels)
    values = dense(rows, slice(0, rows.shape[1]), np.float64)
    weights, intercepts = np.zeros((len(classes), rows.shape[1])), np.zeros(len(classes))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number, sign in enumerate(signs):
            counted = sign != 0
            if len(np.unique(sign[counted])) < 2:  # LinearSVC refuses a class that all rows have, or none
                own = solve(values, np.where(counted, sign > 0, -1).astype(np.int8)[:, None], cost).model
                weights[number], intercepts[number] = own.weights[0], own.intercepts[0]
                continue
            estimator = LinearSVC(C=cost, dual="auto", random_state=seed, max_iter=max_iter)
            estimator.fit(values if counted.all() else values[counted], sign[counted])
            weights[number], intercepts[number] = estimator.coef_[0], estimator.intercept_[0]
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return LinearModel(classes, weights, intercepts), converged


def objective_and_gap(model: LinearModel, rows: Rows, labels: np.ndarray, cost: float = 1.0) -> tuple[float, float]:
    """The primal objective, summed over the classes, and its relative duality gap (primal - dual) / primal.

    The dual point is a_i = 2 C max(0, 1 - y_i f(x_i)), feasible for any hyperplane and optimal at the optimum, so the
    gap bounds how far the objective can be from its minimum.
    """
    _, signs = signs_of(labels)
    sign = signs.T.astype(np.float64)
    slack = np.where(sign == 0, 0.0, np.maximum(0.0, 1.0 - sign * model.decisions(rows)))
    norm = (model.weights**2).sum() + (model.intercepts**2).sum()
    primal = 0.5 * norm + cost * (slack**2).sum()
    # a multiple of that point is feasible too; the best one has a closed form
    dual_point = 2 * cost * slack
    signed = sign * dual_point
    gathered = np.zeros(model.weights.shape)
    with thread_pool(1):
        for part in spans(len(signed), BLOCK):
            gathered += signed[part].T @ dense(rows[part], slice(0, rows.shape[1]), np.float64)
    dual_norm = (gathered**2).sum(axis=1) + signed.sum(axis=0) ** 2
    curvature = dual_norm + (dual_point**2).sum(axis=0) / (2 * cost)
    linear = dual_point.sum(axis=0)
    dual = float((linear[curvature > 0] ** 2 / (2 * curvature[curvature > 0])).sum())
    return float(primal), float((primal - dual) / primal)
