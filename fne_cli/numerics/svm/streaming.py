"""The squared-hinge SVM when the Gram matrix of all rows does not fit: dual coordinate descent on streamed blocks.

The same problem and the same steps as in `dual`, but the products with all rows are replaced by the weight vectors
w_k = sum_i a_i y_i x_i, which every block of rows reads and corrects. In memory are the weights, the dual variables and
one block of rows as floating point; the rows themselves may lie packed in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import Rows, dense, spans
from fne_cli.numerics.svm.certified import Hyperplanes, relative_gap
from fne_cli.numerics.svm.gram import exact_type, gram
from fne_cli.numerics.svm.passes import Momentum, descend

BLOCK, GROUP, STRIP = 256, 32, 64
"""Rows that follow one another on their own small Gram matrix; problems and rows of a task."""

Blocks = Callable[["np.random.Generator"], Iterable[tuple[np.ndarray, Rows]]]
"""Called once a pass: yields (row numbers, those rows), every row once. Best in a new random order every time."""


def shuffled(rows: Rows, chosen: np.ndarray | None = None, block_rows: int = 2048) -> Blocks:
    """Blocks of rows that can be read in any order, in memory or memory-mapped, drawn anew every pass.

    chosen: the numbers of the rows that count, ascending; by default all.
    """
    numbers = np.arange(len(rows)) if chosen is None else chosen

    def blocks(generator: np.random.Generator) -> Iterator[tuple[np.ndarray, Rows]]:
        order = generator.permutation(numbers)
        for span in spans(len(numbers), block_rows):
            part = np.sort(order[span])
            yield part, rows[part]

    return blocks


def solve_streamed(
    blocks: Blocks,
    signs: np.ndarray,
    features: int,
    cost: float | np.ndarray = 1.0,
    tolerance: float = 1e-4,
    *,
    seed: int = 0,
    max_passes: int = 1000,
    threads: int | None = None,
) -> Hyperplanes:
    """Solve one problem per row of signs (problems, rows), a sign 0 leaving a row out, to a relative gap or max_passes.

    The result depends on the seed and the blocks, not on the number of threads. Codes are multiplied in float32, other
    rows in float64; the objectives that are returned, and the weights, are computed from alpha in float64.
    """
    costs = np.broadcast_to(np.asarray(cost, np.float64), len(signs))
    with thread_pool(threads) as pool:
        state = Stream(blocks, signs, features, costs, pool, np.random.default_rng(seed))
        return solve_in_rounds(state, tolerance, max_passes)


class Rounds(Protocol):
    """Problems on their way: alpha (problems, rows) and weights (problems, features + 1), float64."""

    alpha: np.ndarray
    weights: np.ndarray

    def descend(self, live: np.ndarray, target: np.ndarray, clock: Clock) -> tuple[np.ndarray, int]:
        """Go on with the problems `live` until all are done: the passes that each has seen, and the last pass.

        target: (problems,), the gap that will do for each.
        """

    def certify(self) -> tuple[np.ndarray, np.ndarray]:
        """The primal and the dual objective of all problems in float64, at the weights that alpha gives."""


@dataclass(frozen=True)
class Clock:
    """Passes that were made, that must be made at least, and that may be made at most."""

    done: int
    due: int
    most: int


def solve_in_rounds(state: Rounds, tolerance: float, max_passes: int) -> Hyperplanes:
    """Descend and certify, until every certificate is good enough."""
    problems = len(state.alpha)
    # a pass sees the margins go by before it corrects them: its gap is an estimate, about twice the true one
    target = np.full(problems, 1.5 * tolerance)
    passes = np.zeros(problems, np.int64)
    # with blocks in a fixed order it can be far too small, so certificates, two passes each, keep a distance
    done, due, live = 0, 0, np.arange(problems)
    while True:
        passes[live], done = state.descend(live, target, Clock(done, due, max_passes))
        primal, dual = state.certify()
        live = np.flatnonzero(relative_gap(primal, dual) > tolerance)
        if not len(live) or done >= max_passes:
            break
        target[live] /= 2
        due = done + 1 + done // 4
    return Hyperplanes(
        alpha=state.alpha,
        objective=primal,
        dual=dual,
        passes=passes,
        weights=state.weights[:, :-1].copy(),
        intercepts=state.weights[:, -1].copy(),
    )


def groups_of(problems: np.ndarray) -> list[np.ndarray]:
    """The problems that share matrix products: about GROUP each."""
    return [part for part in np.array_split(problems, -(-len(problems) // GROUP)) if len(part)]


class Stream:
    """The rounds in this process; of the open problems there are also working copies."""

    def __init__(
        self,
        blocks: Blocks,
        signs: np.ndarray,
        features: int,
        cost: np.ndarray,
        pool: Executor,
        generator: np.random.Generator,
    ) -> None:
        self.blocks, self.signs, self.features, self.cost = blocks, signs, features, cost
        self.pool, self.generator = pool, generator
        self.alpha = np.zeros(signs.shape)
        self.weights = np.zeros((len(signs), features + 1))
        self.dtype = next(exact_type(rows) for _, rows in blocks(np.random.default_rng(0)))
        self.groups: list[_Group] = []

    def descend(self, live: np.ndarray, target: np.ndarray, clock: Clock) -> tuple[np.ndarray, int]:
        """As Rounds has it."""
        return self.descend_groups(groups_of(live), target, clock)

    def descend_groups(self, groups: Sequence[np.ndarray], target: np.ndarray, clock: Clock) -> tuple[np.ndarray, int]:
        """The same for problems in groups, from the weights of the last certificate."""
        self.groups = [_Group(part, self.alpha[part], self.weights[part].astype(self.dtype)) for part in groups]
        live = np.concatenate(groups)
        passes, done = np.zeros(len(self.signs), np.int64), clock.done
        everyone = live
        while len(live) and done < clock.most:
            primal, dual = self.visit()
            done += 1
            passes[live] = done
            open_ = (relative_gap(primal, dual) > target[live]) | (done < clock.due)
            if not open_.all():
                self.keep(open_)
                live, dual = live[open_], dual[open_]
            self.push(dual)
        return passes[everyone], done

    def keep(self, open_: np.ndarray) -> None:
        """Go on with some of the open problems; alpha of the others is stored."""
        start = 0
        for group in self.groups:
            stop = start + len(group.problems)
            self.alpha[group.problems] = group.alpha
            group.keep(np.flatnonzero(open_[start:stop]))
            start = stop
        self.groups = [group for group in self.groups if len(group.problems)]

    def push(self, dual: np.ndarray) -> None:
        """Extrapolate all open problems."""
        parts = np.split(dual, np.cumsum([len(group.problems) for group in self.groups])[:-1]) if self.groups else []
        self._all(lambda pair: pair[0].push(pair[1]), list(zip(self.groups, parts, strict=True)))

    def visit(self) -> tuple[np.ndarray, np.ndarray]:
        """One pass over the rows: the primal objective of every open problem as it went by, and the dual after it."""
        for group in self.groups:
            group.squares = np.zeros(len(group.problems))
        for numbers, rows in self.blocks(self.generator):
            order = self.generator.permutation(len(rows))
            for span in spans(len(rows), BLOCK):
                self._block(numbers[order[span]], rows[order[span]])
        pairs = [group.objectives(self.cost[group.problems]) for group in self.groups]
        for group in self.groups:
            self.alpha[group.problems] = group.alpha
        return np.concatenate([primal for primal, _ in pairs]), np.concatenate([dual for _, dual in pairs])

    def _block(self, numbers: np.ndarray, rows: Rows) -> None:
        values = self._dense(rows, self.dtype)
        small = gram(rows, self.dtype, pool=self.pool)

        def update(group: _Group) -> None:
            group.update(numbers, values, small, self.signs, self.cost)

        self._all(update, self.groups)

    def certify(self) -> tuple[np.ndarray, np.ndarray]:
        """As Rounds has it."""
        self.groups = []
        self.weights[:] = 0.0
        squares = np.zeros(len(self.signs))

        def gather(group: slice, values: np.ndarray, part: np.ndarray) -> None:
            self.weights[group] += (self.alpha[group, part] * self.signs[group, part]) @ values

        def measure(group: slice, values: np.ndarray, part: np.ndarray) -> None:
            signs = self.signs[group, part]
            below = np.maximum(0.0, 1.0 - signs * (self.weights[group] @ values.T)) * (signs != 0)
            squares[group] += np.einsum("kn,kn->k", below, below)

        for task in (gather, measure):
            for numbers, rows in self.blocks(self.generator):
                for span in spans(len(rows), BLOCK):
                    values, part = self._dense(rows[span], np.float64), numbers[span]
                    self._all(partial(task, values=values, part=part), spans(len(self.signs), GROUP))
        norm = np.einsum("kd,kd->k", self.weights, self.weights)
        curvature = np.einsum("kn,kn->k", self.alpha, self.alpha) / (4 * self.cost)
        return 0.5 * norm + self.cost * squares, self.alpha.sum(axis=1) - 0.5 * norm - curvature

    def _dense(self, rows: Rows, dtype: Any) -> np.ndarray:
        out = np.empty((len(rows), self.features + 1), dtype)

        def fill(span: slice) -> None:
            out[span, :-1] = dense(rows[span], slice(0, self.features), dtype)

        out[:, -1] = 1.0
        self._all(fill, spans(len(rows), STRIP))
        return out

    def _all(self, task: Callable[[Any], None], items: Iterable[Any]) -> None:
        for _ in self.pool.map(task, items):
            pass


class _Group:
    """Open problems that share a matrix product, with alpha and weights as the passes leave them."""

    def __init__(self, problems: np.ndarray, alpha: np.ndarray, weights: np.ndarray) -> None:
        self.problems, self.alpha, self.weights = problems, alpha, weights
        self.squares = np.zeros(len(problems))
        self.momentum = Momentum(alpha, weights)

    def keep(self, places: np.ndarray) -> None:
        if len(places) == len(self.problems):
            return
        self.problems, self.alpha, self.weights = (part[places] for part in (self.problems, self.alpha, self.weights))
        self.momentum.keep(places)

    def push(self, dual: np.ndarray) -> None:
        self.momentum.push(dual, self.alpha, self.weights)

    def update(
        self, numbers: np.ndarray, values: np.ndarray, small: np.ndarray, all_signs: np.ndarray, cost: np.ndarray
    ) -> None:
        signs, alpha = all_signs[np.ix_(self.problems, numbers)], self.alpha.take(numbers, axis=1)
        margins = (self.weights @ values.T).astype(np.float64, copy=False)
        below = np.maximum(0.0, 1.0 - signs * margins) * (signs != 0)
        self.squares += np.einsum("kn,kn->k", below, below)
        steps = np.empty(alpha.shape, values.dtype)
        descend(margins, signs, alpha, np.arange(len(numbers)), small, 0.5 / cost[self.problems], steps)
        self.alpha[:, numbers] = alpha
        self.weights += steps @ values

    def objectives(self, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        norm = np.array([np.dot(row, row) for row in self.weights.astype(np.float64)])
        dual = self.alpha.sum(axis=1) - 0.5 * norm - np.einsum("kn,kn->k", self.alpha, self.alpha) / (4 * cost)
        return 0.5 * norm + cost * self.squares, dual
