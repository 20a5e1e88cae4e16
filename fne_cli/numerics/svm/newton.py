"""The squared-hinge SVM of many rows and few features: Newton's method on the primal problem, a class at a time.

Coordinate descent needs many passes where classes overlap, and with few features they do. The primal is piecewise
quadratic, so that Newton's method with an exact line search ends at the exact minimum after a few steps: Keerthi and
DeCoste, "A modified finite Newton method for fast solution of large scale linear SVMs" (JMLR 6, 2005).
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from fne_cli.numerics.codes.packed import Rows, dense
from fne_cli.numerics.svm.certified import Hyperplanes


def solve_primal(
    rows: Rows, signs: np.ndarray, cost: float, tolerance: float, pool: Executor, max_steps: int = 1000
) -> Hyperplanes:
    """Solve one problem per row of signs (problems, n), a sign 0 leaving a row out, to a relative gap or max_steps.

    In memory are the rows as float64, and for every thread a square matrix of the features.
    """
    features = rows.shape[1]
    values = np.ones((len(rows), features + 1))
    values[:, :-1] = dense(rows, slice(0, features), np.float64)
    found = list(pool.map(lambda sign: _solve(values, sign.astype(np.float64), cost, tolerance, max_steps), signs))
    weights = np.stack([part[0] for part in found])
    alpha = np.stack([part[1] for part in found])
    objective, dual, passes = (np.array([part[place] for part in found]) for place in (2, 3, 4))
    return Hyperplanes(alpha, objective, dual, passes, weights[:, :-1].copy(), weights[:, -1].copy())


def _solve(
    values: np.ndarray, sign: np.ndarray, cost: float, tolerance: float, max_steps: int
) -> tuple[np.ndarray, np.ndarray, float, float, int]:
    """Hyperplane (features + 1,), dual variables (rows,), primal and dual objective, and number of steps."""
    from scipy.linalg import cho_factor, cho_solve

    plane, decisions = np.zeros(values.shape[1]), np.zeros(len(values))
    steps = 0
    while True:
        slack = np.where(sign == 0, 0.0, np.maximum(0.0, 1.0 - sign * decisions))
        alpha = 2 * cost * slack
        gathered = (alpha * sign) @ values
        objective = 0.5 * plane @ plane + cost * slack @ slack
        dual = alpha.sum() - 0.5 * gathered @ gathered - alpha @ alpha / (4 * cost)
        if objective - dual <= tolerance * objective or steps == max_steps:
            return plane, alpha, float(objective), float(dual), steps
        active = values[slack > 0]
        hessian = 2 * cost * (active.T @ active)
        hessian.flat[:: len(hessian) + 1] += 1.0
        try:
            direction = cho_solve(cho_factor(hessian, overwrite_a=True, check_finite=False), gathered - plane)
        except np.linalg.LinAlgError:  # a C so large that 1 is lost beside it: what has been reached is what there is
            return plane, alpha, float(objective), float(dual), steps
        change = values @ direction
        length = _line_search(plane, direction, decisions, change, sign, cost)
        plane, decisions = plane + length * direction, decisions + length * change
        steps += 1


def _line_search(
    plane: np.ndarray, direction: np.ndarray, decisions: np.ndarray, change: np.ndarray, sign: np.ndarray, cost: float
) -> float:
    """The length t that minimises the objective at plane + t * direction.

    Its derivative grows and is linear between the lengths at which a row's margin passes 1.
    """
    toward = sign * change
    counted = toward != 0
    rate, distance = toward[counted], (1.0 - sign * decisions)[counted]
    border = distance / rate
    order = np.argsort(border)
    border, rate, distance = border[order], rate[order], distance[order]
    # a row with rate > 0 counts before its border, one with rate < 0 behind it
    entering = np.where(rate > 0, -1.0, 1.0)
    at_start = rate > 0
    slope0 = plane @ direction - 2 * cost * (rate * distance)[at_start].sum()
    curve0 = direction @ direction + 2 * cost * (rate**2)[at_start].sum()
    slope = np.concatenate([[slope0], slope0 - 2 * cost * np.cumsum(entering * rate * distance)])
    curve = np.concatenate([[curve0], curve0 + 2 * cost * np.cumsum(entering * rate**2)])
    # derivative on piece p is slope[p] + t * curve[p], the pieces end at the borders; the minimum is on the first piece
    # at whose end it is not below 0
    ends = slope[:-1] + border * curve[:-1]
    piece = int(np.searchsorted(ends >= 0, True))
    return float(-slope[piece] / curve[piece])
