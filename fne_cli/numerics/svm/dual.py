"""The dual of the squared-hinge SVM by coordinate descent on a Gram matrix, many problems at once.

max over a >= 0 of sum a - 1/2 sum_ij a_i a_j y_i y_j G_ij - sum a^2 / (4C), as in Hsieh et al., "A dual coordinate
descent method for large-scale linear SVM" (ICML 2008), with three changes. Rows are visited in blocks: inside a block
the coordinates follow one another as in the textbook, on a small Gram matrix that stays in the cache; their effect on
all other rows, for all problems together, is one matrix product. Every pass draws new blocks: with fixed ones the pass
is nearly cyclic, which the common mean of the rows makes many times slower (Lee and Wright, "Random permutations fix a
worst case for cyclic coordinate descent", IMA J. Numer. Anal. 39, 2019). Between passes there is momentum, with which
overlapping classes take two to three times fewer passes.

Rows are not shrunk away: a row that is inactive for every problem of a group is rare, and the product costs less than
the bookkeeping. Problems that have converged leave.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.compiled import compiled
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import spans
from fne_cli.numerics.svm.certified import Certified, relative_gap

BLOCK, GROUP = 64, 32
"""Rows that follow one another in the cache; problems that share a matrix product."""


@dataclass(frozen=True)
class Dual(Certified):
    """The state of every problem, as it was solved or to go on from.

    products (problems, rows): sum_j a_j y_j G_ij, the decision value of every row of the Gram matrix, trained on or
    not.
    """

    products: np.ndarray


def one_vs_rest(labels: np.ndarray, classes: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """(classes, n) int8: 1 where a row is of the class, -1 where not, 0 outside `rows` (indices or mask)."""
    signs = np.where(labels == classes[:, None], 1, -1).astype(np.int8)
    if rows is not None:
        left_out = np.ones(len(labels), bool)
        left_out[rows] = False
        signs[:, left_out] = 0
    return signs


def objectives(
    signs: np.ndarray, alpha: np.ndarray, products: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The primal and the dual objective of every problem, float64, from alpha and its products."""
    norm = np.einsum("kn,kn,kn->k", alpha, products, signs, dtype=np.float64)
    slack = np.where(signs == 0, 0.0, np.maximum(0.0, 1.0 - signs * products))
    primal = 0.5 * norm + cost * np.einsum("kn,kn->k", slack, slack)
    dual = alpha.sum(axis=1) - 0.5 * norm - np.einsum("kn,kn->k", alpha, alpha) / (4 * cost)
    return primal, dual


def solve_dual(
    gram: np.ndarray,
    signs: np.ndarray,
    cost: float | np.ndarray = 1.0,
    tolerance: float = 1e-4,
    *,
    start: Dual | None = None,
    seed: int = 0,
    max_passes: int = 1000,
    threads: int | None = None,
    pool: Executor | None = None,
) -> Dual:
    """Solve one problem per row of signs (problems, n), each to a relative duality gap of `tolerance` or max_passes.

    gram is (n, n), C-contiguous int16, float32 or float64; a sign 0 leaves a row out: folds and draws share the matrix.
    cost is C, one or (problems,). `start` is a solution for other costs to begin with. The result depends on the seed,
    not on the number of threads. The gaps are computed in float64 from alpha, not from what the iteration carried.
    """
    if pool is None:
        with thread_pool(threads) as own:
            return solve_dual(gram, signs, cost, tolerance, start=start, seed=seed, max_passes=max_passes, pool=own)
    costs = np.broadcast_to(np.asarray(cost, np.float64), len(signs))
    return solve_groups(
        gram, signs, costs, tolerance, groups_of(len(signs)), pool, start=start, seed=seed, max_passes=max_passes
    )


def groups_of(problems: int) -> list[np.ndarray]:
    """The numbers of the problems that share matrix products: about GROUP each."""
    return np.array_split(np.arange(problems), -(-problems // GROUP))


def solve_groups(
    gram: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    tolerance: float,
    groups: Sequence[np.ndarray],
    pool: Executor,
    *,
    start: Dual | None = None,
    seed: int = 0,
    max_passes: int = 1000,
) -> Dual:
    """As `solve_dual`, of problems in groups that follow one another; each is solved on one thread."""
    stop = threading.Event()

    def run(group: np.ndarray) -> Dual:
        problems = _Problems(gram, signs[group], costs[group], start and part_of(start, group))
        return problems.solve(tolerance, max_passes, seed, stop)

    try:
        parts = list(pool.map(run, groups))
    except BaseException:
        stop.set()
        raise
    return Dual(*(np.concatenate(fields) for fields in zip(*(fields_of(part) for part in parts), strict=True)))


class _Problems:
    """A group of problems on one Gram matrix, solved on one thread."""

    def __init__(self, gram: np.ndarray, signs: np.ndarray, cost: np.ndarray, start: Dual | None) -> None:
        self.gram = gram
        self.panel = np.empty((BLOCK, len(gram)), np.float64 if gram.dtype == np.float64 else np.float32)
        self.signs = np.ascontiguousarray(signs, np.int8)
        self.cost = cost
        self.alpha = np.zeros(signs.shape) if start is None else np.where(signs == 0, 0.0, start.alpha)
        # what is left out now may have been trained on before
        fresh = start is not None and np.array_equal(self.alpha, start.alpha)
        self.products = start.products.copy() if start is not None and fresh else self._products(self.alpha, self.signs)

    def _products(self, alpha: np.ndarray, signs: np.ndarray) -> np.ndarray:
        out = np.zeros(alpha.shape)
        if alpha.any():
            for span in spans(len(self.gram), 256):
                out += (alpha[:, span] * signs[:, span]) @ self.gram[span].astype(np.float64, copy=False)
        return out

    def solve(self, tolerance: float, max_passes: int, seed: int, stop: threading.Event) -> Dual:
        generator = np.random.default_rng(seed)
        passes = np.zeros(len(self.signs), np.int64)
        live, done = np.arange(len(self.signs)), 0
        signs, cost, alpha, products = self.signs, self.cost, self.alpha.copy(), self.products.copy()
        momentum = Momentum(alpha, products)
        while not stop.is_set():
            primal, dual = objectives(signs, alpha, products, cost)
            closing = np.flatnonzero((relative_gap(primal, dual) <= tolerance) | (done >= max_passes))
            if len(closing):
                closed = self._close(live[closing], alpha[closing], tolerance, done >= max_passes)
                products[closing] = self.products[live[closing]]
                keep = np.setdiff1d(np.arange(len(live)), closing[closed])
                live, signs, cost, alpha, products = (part[keep] for part in (live, signs, cost, alpha, products))
                momentum.keep(keep)
                dual = dual[keep]
            if not len(live):
                break
            momentum.push(dual, alpha, products)
            order = generator.permutation(np.flatnonzero(signs.any(axis=0)))
            sweep(self.gram, self.panel, order, products, signs, alpha, 0.5 / cost)
            done += 1
            passes[live] = done
        primal, dual = objectives(self.signs, self.alpha, self.products, self.cost)
        return Dual(self.alpha, primal, dual, passes, self.products)

    def _close(self, group: np.ndarray, alpha: np.ndarray, tolerance: float, last: bool) -> np.ndarray:
        """Store alpha and exact products of some problems. Returns which of them are solved by these, too."""
        self.alpha[group] = alpha
        self.products[group] = self._products(alpha, self.signs[group])
        primal, dual = objectives(self.signs[group], alpha, self.products[group], self.cost[group])
        return (relative_gap(primal, dual) <= tolerance) | last


class Momentum:
    """Between passes, go on in the direction of the last one: Nesterov's extrapolation of every problem's state.

    alpha may become negative; the next pass puts every coordinate back, so that after a pass the state is feasible. The
    weight grows slowly, so that easy problems, solved in a few passes, are not thrown past the optimum, and starts
    again when the dual objective falls (O'Donoghue and Candes, "Adaptive restart for accelerated gradient schemes",
    Found. Comput. Math. 15, 2015).
    """

    def __init__(self, *state: np.ndarray) -> None:
        self._last = [part.copy() for part in state]
        self._age = np.zeros(len(state[0]))
        self._dual = np.full(len(state[0]), -np.inf)

    def keep(self, problems: np.ndarray) -> None:
        """Go on with some of the problems."""
        self._last = [part[problems] for part in self._last]
        self._age, self._dual = self._age[problems], self._dual[problems]

    def push(self, dual: np.ndarray, *state: np.ndarray) -> None:
        """Extrapolate the state, (problems, any) arrays, in place; dual (problems,) is its objective."""
        self._age[dual < self._dual] = 0
        self._dual = dual
        # the first pass comes from nothing and says little about the way
        weight = np.maximum(0.0, (self._age - 1) / (self._age + 10))
        for last, part in zip(self._last, state, strict=True):
            for k in range(len(part)):
                step = part[k] - last[k]
                last[k] = part[k]
                part[k] += (weight[k] * step).astype(part.dtype, copy=False)
        self._age += 1


_KERNEL = "void(float64[:,::1], int8[:,::1], float64[:,::1], int64[::1], {0}[:,::1], float64[::1], {0}[:,::1])"


@compiled(_KERNEL.format("float32"), _KERNEL.format("float64"))
def descend(
    products: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    rows: np.ndarray,
    block: np.ndarray,
    half: np.ndarray,
    steps: np.ndarray,
) -> None:
    """One coordinate step for each of `rows` in turn, every problem by itself; changes alpha and fills steps.

    block is the Gram matrix of these rows, half is 1 / (2C). steps (problems, rows) is the change of a_i y_i, rounded
    to the type of the matrix so that alpha and the products that are made of it move together.
    """
    size = len(rows)
    local = np.empty(size, block.dtype)
    for k in range(len(signs)):
        for i in range(size):
            local[i] = products[k, rows[i]]
        for i in range(size):
            row = rows[i]
            sign = signs[k, row]
            steps[k, i] = 0
            if sign == 0:
                continue
            before = alpha[k, row]
            after = max(0.0, before - (sign * local[i] - 1.0 + before * half[k]) / (block[i, i] + half[k]))
            if after == before:
                continue
            steps[k, i] = (after - before) * sign
            step = steps[k, i]
            alpha[k, row] = 0.0 if after == 0.0 else max(0.0, before + step * sign)
            for j in range(i + 1, size):
                local[j] += step * block[i, j]


_SWEEP = "void({0}[:,::1], {1}[:,::1], int64[::1], float64[:,::1], int8[:,::1], float64[:,::1], float64[::1])"


@compiled(*(_SWEEP.format(*pair) for pair in (("int16", "float32"), ("float32", "float32"), ("float64", "float64"))))
def sweep(
    gram: np.ndarray,
    panel: np.ndarray,
    order: np.ndarray,
    products: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    half: np.ndarray,
) -> None:
    """One pass: a coordinate step for each row of `order`, in blocks; changes alpha and products.

    panel is room for the rows of a block, in the type of the matrix products. The interpreter takes no part in a pass,
    so that threads never wait for its lock.
    """
    change = np.empty(products.shape, panel.dtype)
    for start in range(0, len(order), len(panel)):
        rows = order[start : start + len(panel)]
        size = len(rows)
        small = np.empty((size, size), panel.dtype)
        for i in range(size):
            panel[i] = gram[rows[i]]
            for j in range(size):
                small[i, j] = panel[i, rows[j]]
        steps = np.empty((len(signs), size), panel.dtype)
        descend(products, signs, alpha, rows, small, half, steps)
        np.dot(steps, panel[:size], change)
        products += change


def fields_of(dual: Dual) -> tuple[np.ndarray, ...]:
    """In the order of the class."""
    return dual.alpha, dual.objective, dual.dual, dual.passes, dual.products


def part_of(dual: Dual, group: np.ndarray) -> Dual:
    """Of some of the problems."""
    return Dual(*(field[group] for field in fields_of(dual)))
