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

from fne_cli.machine import thread_pool
from fne_cli.numerics.svm.certified import Certified, relative_gap
from fne_cli.numerics.svm.passes import BLOCK, Momentum, add_rows, objectives, sweep

GROUP = 32
"""Problems that share a matrix product."""

NEAR, FINE, LARGE, ALIKE, PATIENCE = 1.05, 1e-7, 1e30, 16.0, 500
"""Of passes in float32 over a matrix of float64: from so many times the tolerance on a gap is computed exactly; down to
this tolerance, up to such values, up to so many times half the usual squared distance of two rows, and for so many
passes they are made."""


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
    narrow = gram.astype(np.float32) if _narrows(gram, tolerance) else gram

    def run(group: np.ndarray) -> Dual:
        problems = _Problems(gram, narrow, signs[group], costs[group], start and part_of(start, group))
        return problems.solve(tolerance, max_passes, seed, stop)

    try:
        parts = list(pool.map(run, groups))
    except BaseException:
        stop.set()
        raise
    return Dual(*(np.concatenate(fields) for fields in zip(*(fields_of(part) for part in parts), strict=True)))


def _narrows(gram: np.ndarray, tolerance: float) -> bool:
    """Whether passes over the matrix in float32 may come to such a gap of what it says in float64.

    They see rows apart by what is left of their products when half the squared distance of two is taken: where rows
    are long beside that, as by a common mean, rounding is most of it.
    """
    if gram.dtype != np.float64 or tolerance < FINE or len(gram) < 2:
        return False
    squares = gram.diagonal()
    apart = 0.5 * (squares[1:] + squares[:-1]) - gram.diagonal(1)
    return bool(squares.max() < min(LARGE, ALIKE * np.median(apart)))


class _Problems:
    """A group of problems on one Gram matrix, solved on one thread: passes over `narrow`, certificates from `gram`."""

    def __init__(
        self, gram: np.ndarray, narrow: np.ndarray, signs: np.ndarray, cost: np.ndarray, start: Dual | None
    ) -> None:
        self.gram, self.doubtful = gram, False  # whether float32 is found not to be enough
        self._go_over(narrow, len(signs))
        self.signs = np.ascontiguousarray(signs, np.int8)
        self.cost = cost
        self.alpha = np.zeros(signs.shape) if start is None else np.where(signs == 0, 0.0, start.alpha)
        # what is left out now may have been trained on before
        fresh = start is not None and np.array_equal(self.alpha, start.alpha)
        self.products = start.products.copy() if start is not None and fresh else self._products(self.alpha, self.signs)

    def _go_over(self, gram: np.ndarray, problems: int) -> None:
        """Make passes over this matrix from now on."""
        real = np.float64 if gram.dtype == np.float64 else np.float32
        self.narrow, self.room = gram, (np.empty((BLOCK, len(gram)), real), np.empty((problems, len(gram)), real))

    def _products(self, alpha: np.ndarray, signs: np.ndarray) -> np.ndarray:
        out = np.zeros(alpha.shape)
        add_rows(self.gram, alpha * signs, out)
        return out

    def solve(self, tolerance: float, max_passes: int, seed: int, stop: threading.Event) -> Dual:
        generator = np.random.default_rng(seed)
        passes = np.zeros(len(self.signs), np.int64)
        live, done = np.arange(len(self.signs)), 0
        signs, cost, alpha, products = self.signs, self.cost, self.alpha.copy(), self.products.copy()
        momentum = Momentum(alpha, products)
        while not stop.is_set():
            primal, dual = objectives(signs, alpha, products, cost)
            near = relative_gap(primal, dual) <= NEAR * tolerance
            closing = np.flatnonzero(near | (done >= max_passes))
            if len(closing):
                closed = self._close(live[closing], alpha[closing], tolerance, done >= max_passes)
                products[closing] = self.products[live[closing]]
                keep = np.setdiff1d(np.arange(len(live)), closing[closed])
                live, signs, cost, alpha, products = (part[keep] for part in (live, signs, cost, alpha, products))
                momentum.keep(keep)
                dual = dual[keep]
            if not len(live):
                break
            if self.narrow is not self.gram and (self.doubtful or done == PATIENCE):
                self._go_over(self.gram, len(live))
                products = self._products(alpha, signs)  # what was carried along is of the other matrix
                _, dual = objectives(signs, alpha, products, cost)
                momentum = Momentum(alpha, products)
            momentum.push(dual, alpha, products)
            order = generator.permutation(np.flatnonzero(signs.any(axis=0)))
            sweep(self.narrow, order, products, signs, alpha, 0.5 / cost, *self.room)
            done += 1
            passes[live] = done
        primal, dual = objectives(self.signs, self.alpha, self.products, self.cost)
        return Dual(self.alpha, primal, dual, passes, self.products)

    def _close(self, group: np.ndarray, alpha: np.ndarray, tolerance: float, last: bool) -> np.ndarray:
        """Store alpha and exact products of some problems. Returns which of them are solved by these, too."""
        self.alpha[group] = alpha
        self.products[group] = self._products(alpha, self.signs[group])
        primal, dual = objectives(self.signs[group], alpha, self.products[group], self.cost[group])
        gap = relative_gap(primal, dual)
        self.doubtful |= bool((gap > 2 * tolerance).any())
        return (gap <= tolerance) | last


def fields_of(dual: Dual) -> tuple[np.ndarray, ...]:
    """In the order of the class."""
    return dual.alpha, dual.objective, dual.dual, dual.passes, dual.products


def part_of(dual: Dual, group: np.ndarray) -> Dual:
    """Of some of the problems."""
    return Dual(*(field[group] for field in fields_of(dual)))
