"""The squared-hinge SVM of many rows and few features: Newton's method on the primal problem, classes side by side.

Coordinate descent needs many passes where classes overlap, and with few features they do. The primal is piecewise
quadratic, so that Newton's method with an exact line search ends at the exact minimum after a few steps: Keerthi and
DeCoste, "A modified finite Newton method for fast solution of large scale linear SVMs" (JMLR 6, 2005).

The classes of a group take their steps together, so that decision values and gradients are matrix products. All begin
with the curvature of all rows; from step to step it changes by the rows that begin to count or cease to.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from fne_cli.compiled import compiled
from fne_cli.numerics.codes.packed import Rows, dense
from fne_cli.numerics.svm.certified import Hyperplanes, relative_gap

GROUP = 32  # problems that share matrix products, or fewer, so that their curvatures take no more than the rows


def solve_primal(
    rows: Rows, signs: np.ndarray, cost: float, tolerance: float, pool: Executor, max_steps: int = 1000
) -> Hyperplanes:
    """Solve one problem per row of signs (problems, n), a sign 0 leaving a row out, to a relative gap or max_steps.

    In memory are the rows as float64, and for every thread as much again.
    """
    features = rows.shape[1]
    values = np.ones((len(rows), features + 1))
    values[:, :-1] = dense(rows, slice(0, features), np.float64)
    together = values.T @ values
    group = max(1, min(GROUP, len(rows) // (features + 1)))
    groups = np.array_split(signs, -(-len(signs) // group))
    found = list(pool.map(lambda part: _Steps(values, together, part, cost).solve(tolerance, max_steps), groups))
    names = ("alpha", "objective", "dual", "passes", "weights", "intercepts")
    return Hyperplanes(*(np.concatenate([getattr(part, name) for part in found]) for name in names))


class _Steps:
    """A group of problems, on one thread. together (features + 1, features + 1): the sum of x x' of all rows."""

    def __init__(self, values: np.ndarray, together: np.ndarray, signs: np.ndarray, cost: float) -> None:
        self.values, self.cost = values, cost
        self.signs = np.ascontiguousarray(signs, np.float64)
        self.planes, self.decisions = np.zeros((len(signs), values.shape[1])), np.zeros(signs.shape)
        # the curvature of each problem, and which rows it is of
        self.curvatures, self.counted = np.repeat(together[None], len(signs), axis=0), np.ones(signs.shape, bool)

    def solve(self, tolerance: float, max_steps: int) -> Hyperplanes:
        live, steps = np.arange(len(self.signs)), 0
        alpha, passes = np.zeros(self.signs.shape), np.zeros(len(self.signs), np.int64)
        objective, dual = np.zeros(len(self.signs)), np.zeros(len(self.signs))
        while True:
            signs, planes = self.signs[live], self.planes[live]
            slack = np.maximum(0.0, 1.0 - signs * self.decisions[live])
            slack[signs == 0] = 0.0
            alpha[live], passes[live] = 2 * self.cost * slack, steps
            gathered = (alpha[live] * signs) @ self.values
            squares = np.einsum("kn,kn->k", slack, slack)
            objective[live] = 0.5 * np.einsum("kd,kd->k", planes, planes) + self.cost * squares
            dual[live] = alpha[live].sum(axis=1) - 0.5 * np.einsum("kd,kd->k", gathered, gathered) - self.cost * squares
            going = (relative_gap(objective[live], dual[live]) > tolerance) & (steps < max_steps)
            live, signs, planes, slack = live[going], signs[going], planes[going], slack[going]
            directions = gathered[going] - planes
            found = np.zeros(len(live), bool)
            newton(self.values, slack, self.counted, self.curvatures, live, self.cost, directions, found)
            if not found.all():  # what has been reached is what there is
                live, signs, planes, directions = live[found], signs[found], planes[found], directions[found]
            if not len(live):
                break
            changes, decisions, lengths = directions @ self.values.T, self.decisions[live], np.empty(len(live))
            slopes = np.einsum("kd,kd->k", planes, directions), np.einsum("kd,kd->k", directions, directions)
            line_search(decisions, changes, signs, *slopes, self.cost, lengths)
            self.planes[live] = planes + lengths[:, None] * directions
            self.decisions[live] = decisions + lengths[:, None] * changes
            steps += 1
        return Hyperplanes(alpha, objective, dual, passes, self.planes[:, :-1].copy(), self.planes[:, -1].copy())


@compiled()
def _factored(matrix: np.ndarray) -> bool:
    """Put Cholesky's factor into the lower triangle of a symmetric matrix. False if it is not positive definite."""
    size = len(matrix)
    for i in range(size):
        own = matrix[i]
        for j in range(i):
            pivot = matrix[j]
            own[j] = (own[j] - _dot(own[:j], pivot[:j])) / pivot[j]
        rest = own[i] - _dot(own[:i], own[:i])
        if not rest > 0.0:
            return False
        own[i] = np.sqrt(rest)
    return True


@compiled(any_order=True)
def _dot(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors."""
    total = 0.0
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@compiled()
def _solved(factor: np.ndarray, right: np.ndarray) -> None:
    """Put the solution in the place of the right side."""
    size = len(factor)
    for i in range(size):
        right[i] = (right[i] - _dot(factor[i, :i], right[:i])) / factor[i, i]
    for i in range(size - 1, -1, -1):
        right[i] /= factor[i, i]
        own, value = factor[i], right[i]
        for j in range(i):
            right[j] -= value * own[j]


@compiled()
def _add_products(values: np.ndarray, rows: np.ndarray, sign: float, curvature: np.ndarray) -> None:
    """Add the products of some rows with themselves: blocks of columns, of which the upper ones are mirrored."""
    some = values[rows]
    size = len(curvature)
    for left in range(0, size, _COLUMNS):
        right = min(left + _COLUMNS, size)
        below = np.dot(some[:, left:right].copy().T, some[:, left:].copy())
        for i in range(left, right):
            for j in range(left, size):
                curvature[i, j] += sign * below[i - left, j - left]
    for i in range(size):
        for j in range(i):
            curvature[i, j] = curvature[j, i]


_COLUMNS = 64  # of a block of products

_STATE = "float64[:,::1], float64[:,::1], boolean[:,::1], float64[:,:,::1], int64[::1]"


@compiled(f"void({_STATE}, float64, float64[:,::1], boolean[::1])")
def newton(
    values: np.ndarray,
    slack: np.ndarray,
    counted: np.ndarray,
    curvatures: np.ndarray,
    live: np.ndarray,
    cost: float,
    directions: np.ndarray,
    found: np.ndarray,
) -> None:
    """Turn directions downhill (problems, features + 1) into those to the minimum if active rows were to stay so.

    slack (problems, n) is above 0 for active rows; counted (all problems, n) are the rows that curvatures are of, and
    live the numbers of these problems. found is False where C is so large that 1 is lost beside it.
    """
    size = values.shape[1]
    hessian = np.empty((size, size))
    for k in range(len(live)):
        known, curvature = counted[live[k]], curvatures[live[k]]
        active = slack[k] > 0.0
        come, gone = np.flatnonzero(active & ~known), np.flatnonzero(known & ~active)
        if len(come) + len(gone) > active.sum():
            curvature[:] = 0.0
            come, gone = np.flatnonzero(active), come[:0]
        if len(come):
            _add_products(values, come, 1.0, curvature)
        if len(gone):
            _add_products(values, gone, -1.0, curvature)
        known[:] = active
        for i in range(size):
            for j in range(size):
                hessian[i, j] = 2 * cost * curvature[i, j]
            hessian[i, i] += 1.0
        found[k] = _factored(hessian)
        if found[k]:
            _solved(hessian, directions[k])


@compiled(any_order=True)
def _derivatives(
    decision: np.ndarray, change: np.ndarray, sign: np.ndarray, length: float, cost: float
) -> tuple[float, float]:
    """The first two derivatives of the loss after so long a way."""
    slope = curve = 0.0
    for row in range(len(sign)):
        rate = sign[row] * change[row]
        below = 1.0 - sign[row] * decision[row] - length * rate
        counts = 1.0 if below > 0.0 else 0.0  # of a row that is left out the rate is 0
        slope -= counts * rate * below
        curve += counts * rate * rate
    return 2 * cost * slope, 2 * cost * curve


_WAYS = 200
"""More than ever needed: an interval that is halved so often is a point."""


@compiled("void(float64[:,::1], float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64, float64[::1])")
def line_search(
    decisions: np.ndarray,
    changes: np.ndarray,
    signs: np.ndarray,
    slope: np.ndarray,
    curve: np.ndarray,
    cost: float,
    lengths: np.ndarray,
) -> None:
    """Fill lengths (problems,) with those that minimise the objectives along the changes (problems, n) of decisions.

    slope and curve (problems,) are the derivatives of half the squared length of the weights. The derivative of an
    objective grows, and is linear between the lengths at which a row's margin passes 1: Newton's method ends at its
    zero once it is on the right piece. A step out of the interval that is known to have the zero halves that instead.
    """
    for k in range(len(signs)):
        low, high, length = 0.0, np.inf, 1.0
        for _ in range(_WAYS):
            loss, bend = _derivatives(decisions[k], changes[k], signs[k], length, cost)
            first, second = slope[k] + length * curve[k] + loss, curve[k] + bend
            if first < 0.0:
                low = length
            else:
                high = length
            best = length - first / second if second > 0.0 else length
            if abs(best - length) <= 1e-15 * abs(length):
                break
            if not low <= best <= high:
                best = 0.5 * (low + high) if high < np.inf else 2 * length
            length = best
        lengths[k] = length
