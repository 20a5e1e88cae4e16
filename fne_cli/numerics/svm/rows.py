"""The dual of the squared-hinge SVM by coordinate descent on rows that fit into memory: many rows, fewer features.

The steps are those of `dual`, in the same order, and so are the passes, momentum and the end: but for rounding the
solution is the same. Only where a decision value comes from differs: not from products with all other rows, but from
the weights w_k = sum_i a_i y_i x_i, which a step corrects. With d features a step takes 2 d multiplications instead of
n, and there is no Gram matrix.

Most rows do not move: their margin is above 1, and a is 0. How far w can turn before that changes is known since their
margin was last computed: |x . w' - x . w| <= |x| |w' - w|. A row is passed over as long as w has not come so far, which
changes nothing (Ndiaye et al., "Gap Safe screening rules for sparsity enforcing penalties", JMLR 18, 2017, have such
tests for many problems).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from fne_cli.compiled import compiled
from fne_cli.numerics.codes.packed import PackedCodes, Rows, dense, spans
from fne_cli.numerics.svm.certified import Hyperplanes, relative_gap
from fne_cli.numerics.svm.passes import BLOCK, Momentum

STRIP = 512  # rows that are prepared at a time


def prepared(rows: Rows) -> np.ndarray:
    """Rows (n, features) of any kind with a last column 1, (n, features + 1): float32 if that holds them, else 64."""
    exact = isinstance(rows, PackedCodes) or rows.dtype in (np.int8, np.float32)
    values = np.ones((len(rows), rows.shape[1] + 1), np.float32 if exact else np.float64)
    for span in spans(len(rows), STRIP):
        values[span, :-1] = dense(rows[span], slice(0, rows.shape[1]), values.dtype)
    return values


def solve_rows(
    values: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    tolerance: float,
    groups: Sequence[np.ndarray],
    pool: Executor,
    *,
    seed: int = 0,
    max_passes: int = 1000,
) -> Hyperplanes:
    """Solve one problem per row of signs (problems, n), a sign 0 leaving a row out, to a relative gap or max_passes.

    values are `prepared`, costs is C of each problem. Groups are solved on one thread each; a problem's result depends
    on the seed alone where all problems have all rows, as those of `dual` do.
    """
    stop = threading.Event()

    def run(group: np.ndarray) -> Hyperplanes:
        return _Problems(values, signs[group], costs[group]).solve(tolerance, max_passes, seed, stop)

    try:
        parts = list(pool.map(run, groups))
    except BaseException:
        stop.set()
        raise
    names = ("alpha", "objective", "dual", "passes", "weights", "intercepts")
    return Hyperplanes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class _Problems:
    """A group of problems, solved on one thread."""

    def __init__(self, values: np.ndarray, signs: np.ndarray, costs: np.ndarray) -> None:
        self.values, self.costs = values, costs
        self.squares = np.einsum("nd,nd->n", values, values, dtype=np.float64)
        self.signs = np.ascontiguousarray(signs, np.int8)
        self.alpha = np.zeros(signs.shape)
        self.weights = np.zeros((len(signs), values.shape[1]))
        self.objective, self.dual = np.zeros(len(signs)), np.zeros(len(signs))

    def solve(self, tolerance: float, max_passes: int, seed: int, stop: threading.Event) -> Hyperplanes:
        generator = np.random.default_rng(seed)
        passes = np.zeros(len(self.signs), np.int64)
        live, done = np.arange(len(self.signs)), 0
        signs, costs, alpha, weights = self.signs, self.costs, self.alpha.copy(), self.weights.copy()
        # how far the weights may go from these before a row that does not move has to be looked at: not at all yet
        behind, free = weights.copy(), np.zeros(signs.shape)
        momentum = Momentum(alpha, weights)
        while not stop.is_set():
            slack = np.zeros(len(live))
            look(self.values, self.squares, weights, signs, alpha, behind, free, slack)
            primal, dual = _objectives(alpha, weights, slack, costs)
            closing = np.flatnonzero((relative_gap(primal, dual) <= tolerance) | (done >= max_passes))
            if len(closing):
                closed = self._close(live[closing], alpha[closing], tolerance) | (done >= max_passes)
                weights[closing] = self.weights[live[closing]]
                keep = np.setdiff1d(np.arange(len(live)), closing[closed])
                live, signs, costs, alpha = live[keep], signs[keep], costs[keep], alpha[keep]
                weights, behind, free = weights[keep], behind[keep], free[keep]
                momentum.keep(keep)
                dual = dual[keep]
            if not len(live):
                break
            momentum.push(dual, alpha, weights)
            order = generator.permutation(np.flatnonzero(signs.any(axis=0)))
            sweep(self.values, self.squares, order, weights, signs, alpha, 0.5 / costs, behind, free)
            done += 1
            passes[live] = done
        return Hyperplanes(
            self.alpha, self.objective, self.dual, passes, self.weights[:, :-1].copy(), self.weights[:, -1].copy()
        )

    def _close(self, group: np.ndarray, alpha: np.ndarray, tolerance: float) -> np.ndarray:
        """Store alpha, its weights and objectives of some problems. Returns which of them are solved by these."""
        signs, costs = self.signs[group], self.costs[group]
        weights = (alpha * signs) @ self.values
        below = np.where(signs == 0, 0.0, np.maximum(0.0, 1.0 - signs * (weights @ self.values.T)))
        self.alpha[group], self.weights[group] = alpha, weights
        slack = np.einsum("kn,kn->k", below, below)
        self.objective[group], self.dual[group] = _objectives(alpha, weights, slack, costs)
        return relative_gap(self.objective[group], self.dual[group]) <= tolerance


def _objectives(
    alpha: np.ndarray, weights: np.ndarray, slack: np.ndarray, costs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The primal and the dual objective of every problem; slack (problems,) is the sum of squares."""
    norm = np.einsum("kd,kd->k", weights, weights)
    dual = alpha.sum(axis=1) - 0.5 * norm - np.einsum("kn,kn->k", alpha, alpha) / (4 * costs)
    return 0.5 * norm + costs * slack, dual


_ROUNDING = 1e-9
"""Distances are rounded: a row is looked at a little sooner."""


# Of this module, though `newton` has the same: the cache of compiled code does not see what changes in another one.
@compiled(any_order=True)
def _dot(weights: np.ndarray, value: np.ndarray) -> float:
    """The product of weights with a row."""
    total = 0.0
    for j in range(len(weights)):
        total += weights[j] * value[j]
    return total


@compiled(any_order=True)
def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between two points."""
    total = 0.0
    for j in range(len(one)):
        total += (one[j] - other[j]) ** 2
    return np.sqrt(total)


_STATE = "float64[:,::1], int8[:,::1], float64[:,::1], {}float64[:,::1], float64[:,::1]"
_LOOK = "void({0}[:,::1], float64[::1], " + _STATE.format("") + ", float64[::1])"
_SWEEP = "void({0}[:,::1], float64[::1], int64[::1], " + _STATE.format("float64[::1], ") + ")"


@compiled(*map(_LOOK.format, ("float32", "float64")))
def look(
    values: np.ndarray,
    squares: np.ndarray,
    weights: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    behind: np.ndarray,
    free: np.ndarray,
    slack: np.ndarray,
) -> None:
    """The sums of squared slacks (problems,) by these weights; moves `behind` there and fills `free` anew.

    squares (n,) are those of the rows' lengths. behind (problems, features + 1) are the weights that free (problems, n)
    are distances from.
    """
    gone = np.empty(len(signs))
    for k in range(len(signs)):
        gone[k] = _distance(weights[k], behind[k]) * (1 + _ROUNDING)
        behind[k] = weights[k]
    for start in range(0, len(values), BLOCK):
        for k in range(len(signs)):
            for row in range(start, min(start + BLOCK, len(values))):
                free[k, row] -= gone[k]
                if signs[k, row] == 0 or (alpha[k, row] == 0.0 and free[k, row] > _ROUNDING):
                    continue
                above = signs[k, row] * _dot(weights[k], values[row]) - 1.0
                free[k, row] = above / np.sqrt(squares[row])
                if above < 0.0:
                    slack[k] += above * above


@compiled(*map(_SWEEP.format, ("float32", "float64")))
def sweep(
    values: np.ndarray,
    squares: np.ndarray,
    order: np.ndarray,
    weights: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    half: np.ndarray,
    behind: np.ndarray,
    free: np.ndarray,
) -> None:
    """One pass: a coordinate step for each row of `order`; changes alpha and weights. half is 1 / (2C).

    Rows go by in blocks that stay in the cache for all problems. behind and free are those of `look`.
    """
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        for k in range(len(signs)):
            own = weights[k]
            gone = _distance(own, behind[k]) * (1 + _ROUNDING) + _ROUNDING
            for row in rows:
                sign, before = signs[k, row], alpha[k, row]
                if sign == 0 or (before == 0.0 and free[k, row] > gone):
                    continue
                value = values[row]
                below = sign * _dot(own, value) - 1.0
                if before == 0.0 and below >= 0.0:
                    continue
                after = max(0.0, before - (below + before * half[k]) / (squares[row] + half[k]))
                if after == before:
                    continue
                alpha[k, row] = after
                step = (after - before) * sign
                for j in range(len(own)):
                    own[j] += step * value[j]
                gone += abs(step) * np.sqrt(squares[row])
