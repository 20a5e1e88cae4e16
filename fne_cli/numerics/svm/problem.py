"""Many fits on subsets of the same rows: folds, draws and values of C, on one Gram matrix if it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np

from fne_cli.numerics.codes.packed import Rows, is_ternary, spans
from fne_cli.numerics.svm import solver as svm
from fne_cli.numerics.svm.dual import Dual, solve_dual
from fne_cli.numerics.svm.gram import gram as gram_of
from fne_cli.numerics.svm.liblinear import fit_liblinear, objective_and_gap
from fne_cli.numerics.svm.remote import Remote, solve_dual_remotely
from fne_cli.numerics.svm.solver import signs_of
from fne_cli.numerics.svm.ways import Path

BLOCK = 2048  # rows whose decision values are computed at a time
SHARING = ("gram", "rows")
"""Paths whose fits with other C, or on folds of the same rows, go over the Gram matrix: one starts from another."""
Solver = Literal["certified", "liblinear"]

CHOOSING = 1e-4
"""The least relative duality gap at which values of C are compared."""


@dataclass(frozen=True)
class SolverOptions:
    """How problems are solved. tolerance: relative duality gap of every class. memory: bytes besides the rows.

    planned_threads: threads that the choice of the path counts on, by default as many as there are processors.
    """

    solver: Solver = "certified"
    tolerance: float = 1e-5
    memory: int = svm.MEMORY
    seed: int = 0
    planned_threads: int | None = None


@dataclass(frozen=True)
class Fit:
    """Hyperplanes and what is known of them. support_vectors counts training rows that any class leans on, or None."""

    model: svm.LinearModel
    objective: float
    gap: float
    converged: bool
    path: str
    support_vectors: int | None


class Deciding(Protocol):
    """A trained classifier."""

    def decisions(self, rows: Rows) -> np.ndarray:
        """(rows, classes) float64: the more, the more a row looks like one of the class."""


class Problem:
    """rows (n, features) and their labels, as in `svm.solve`, of which subsets are trained on.

    The Gram matrix of the rows `shared`, ascending numbers, is computed once, if two of them fit into half of the
    memory, and fits need it or can start from others (`several`: with other C, or folds of the same rows). remote:
    solves blocks of classes, with the same results.
    """

    def __init__(
        self,
        rows: Rows,
        labels: np.ndarray,
        options: SolverOptions = SolverOptions(),  # frozen
        *,
        shared: np.ndarray | None = None,
        several: bool = True,
        remote: Remote | None = None,
    ) -> None:
        self.rows, self.labels, self.options, self.remote = rows, labels, options, remote
        self._gram: np.ndarray | None = None
        self._shared = np.empty(0, np.int64) if shared is None else shared
        each, count = 2 if self._counted else 12, len(self._shared)
        fits = 2 * each * count**2 <= options.memory // 2
        sharing = SHARING if several else SHARING[:1]
        if count and options.solver == "certified" and fits and self._path(count) in sharing:
            self._gram = self._products(self._shared)

    def known_products(self, numbers: np.ndarray) -> np.ndarray | None:
        """The Gram matrix of some rows, ascending numbers, if that of all that are shared has been computed."""
        return None if self._gram is None else self._products(numbers)

    @property
    def _counted(self) -> bool:
        return is_ternary(self.rows) and self.rows.shape[1] < np.iinfo(np.int16).max

    def _products(self, numbers: np.ndarray) -> np.ndarray:
        """The Gram matrix of some rows, ascending numbers."""
        if self._gram is not None and np.isin(numbers, self._shared, assume_unique=True).all():
            places = np.searchsorted(self._shared, numbers)
            return np.ascontiguousarray(self._gram[np.ix_(places, places)])
        return gram_of(self.rows[numbers], np.int16 if self._counted else None)

    def fit(self, train: np.ndarray, cost: float) -> Fit:
        """Train on the rows of these numbers."""
        options = self.options
        if options.solver == "liblinear":
            rows, labels = self.rows[train], self.labels[train]
            model, converged = fit_liblinear(rows, labels, cost, options.seed)
            objective, gap = objective_and_gap(model, rows, labels, cost)
            return Fit(model, objective, gap, converged, "liblinear", None)
        solve = partial(
            svm.solve,
            cost=cost,
            tolerance=options.tolerance,
            memory=options.memory,
            seed=options.seed,
            remote=self.remote,
            planned_threads=options.planned_threads,
        )
        if self._gram is None and self._path(len(train), options.memory) == "direct":
            solution = solve(self.rows, self.labels, path="direct", subset=train)  # the rows may stay in a file
        else:
            products = None if self._gram is None else self._products(train)
            solution = solve(self.rows[train], self.labels[train], gram=products)
        return Fit(
            model=solution.model,
            objective=solution.total_objective,
            gap=solution.total_gap,
            converged=bool(solution.gap.max() <= options.tolerance),
            path=solution.path,
            support_vectors=int((solution.alpha > 0).any(axis=0).sum()),
        )

    def grid(self, splits: Sequence[tuple[np.ndarray, np.ndarray]], costs: Sequence[float]) -> list[list[HeldOut]]:
        """For each cost, for each (training rows, held-out rows), what the classifier says of the held-out rows."""
        numbers = np.unique(np.concatenate([np.concatenate(split) for split in splits]))
        gram = self.options.solver == "certified" and self._path(len(numbers)) in SHARING
        if gram and self._fits(len(numbers), len(splits)):
            places = [(np.searchsorted(numbers, train), np.searchsorted(numbers, held)) for train, held in splits]
            return held_out(
                self._products(numbers),
                self.labels[numbers],
                costs,
                places,
                max(self.options.tolerance, CHOOSING),
                seed=self.options.seed,
                remote=self.remote,
            )
        found = []
        for cost in costs:
            parts = []
            for train, held in splits:
                fit = self.fit(train, cost)
                parts.append(HeldOut(fit.model.classes, self.decisions(fit.model, held), fit.gap))
            found.append(parts)
        return found

    def decisions(self, model: Deciding, numbers: np.ndarray) -> np.ndarray:
        """(rows, classes) of the rows of these numbers, a block of them at a time."""
        parts = [model.decisions(self.rows[numbers[span]]) for span in spans(len(numbers), BLOCK)]
        return np.concatenate(parts)

    def _path(self, rows: int, memory: int = 1 << 62) -> Path:
        """The path for so many rows; without `memory` the cheapest."""
        classes = self.labels.shape[1] if self.labels.ndim == 2 else int(self.labels.max()) + 1
        itemsize = 2 if self._counted else 8
        threads = self.options.planned_threads
        return svm.estimate(rows, self.rows.shape[1], classes, memory, itemsize, threads=threads).path

    def _fits(self, rows: int, splits: int) -> bool:
        classes = self.labels.shape[1] if self.labels.ndim == 2 else int(self.labels.max()) + 1
        return rows * (rows * (2 if self._counted else 12) + 5 * 8 * classes * splits) <= self.options.memory


@dataclass(frozen=True)
class HeldOut:
    """decisions (held-out rows, classes) of the classes (classes,), the largest relative duality gap behind them."""

    classes: np.ndarray
    decisions: np.ndarray
    gap: float


def held_out(
    gram: np.ndarray,
    labels: np.ndarray,
    costs: Sequence[float],
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    tolerance: float = 1e-2,
    *,
    seed: int = 0,
    threads: int | None = None,
    remote: Remote | None = None,
) -> list[list[HeldOut]]:
    """For each cost, for each (training rows, held-out rows), what the classifier says of the held-out rows.

    labels as in `svm.solve`. The decision values fall out of the solution: they are its products with the Gram matrix.
    Costs are solved in rising order, each from the solution of the one before, all splits at once; blocks of the
    problems `remote` if it is given, with the same result.
    """
    problems = [signs_of(labels, train) for train, _ in splits]
    signs = np.concatenate([signs for _, signs in problems])
    edges = np.cumsum([len(signs) for _, signs in problems])[:-1]
    found: dict[int, list[HeldOut]] = {}
    start: Dual | None = None
    for place in np.argsort(costs, kind="stable").tolist():
        if remote is None:
            start = solve_dual(gram, signs, costs[place], tolerance, start=start, seed=seed, threads=threads)
        else:
            start = solve_dual_remotely(remote, gram, signs, costs[place], tolerance, start=start, seed=seed)
        found[place] = [
            HeldOut(classes, products[:, held].T, float(gap.max()))
            for (classes, _), products, gap, (_, held) in zip(
                problems, np.split(start.products, edges), np.split(start.gap, edges), splits, strict=True
            )
        ]
    return [found[place] for place in range(len(costs))]


def cross_validate(
    gram: np.ndarray,
    labels: np.ndarray,
    costs: Sequence[float],
    folds: np.ndarray,
    tolerance: float = 1e-2,
    *,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy on the held-out rows and largest relative duality gap, both (costs, folds).

    labels (n,) are classes, folds (n,) the fold of every row.
    """
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    found = held_out(gram, labels, costs, splits, tolerance, seed=seed, threads=threads)
    accuracy = [
        [
            (part.classes[part.decisions.argmax(axis=1)] == labels[held]).mean()
            for part, (_, held) in zip(parts, splits, strict=True)
        ]
        for parts in found
    ]
    return np.array(accuracy), np.array([[part.gap for part in parts] for parts in found])
