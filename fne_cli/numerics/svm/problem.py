"""Many fits on subsets of the same rows: folds, draws and values of C, on one Gram matrix if it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fne_cli.numerics.codes.packed import Rows, spans
from fne_cli.numerics.codes.words import is_ternary
from fne_cli.numerics.svm import solver as svm
from fne_cli.numerics.svm.gram import gram as gram_of
from fne_cli.numerics.svm.liblinear import fit_liblinear, objective_and_gap
from fne_cli.numerics.svm.selection import HeldOut, held_out
from fne_cli.numerics.svm.spread import Elsewhere

BLOCK = 2048  # rows whose decision values are computed at a time
Solver = Literal["certified", "liblinear"]


@dataclass(frozen=True)
class Fit:
    """Hyperplanes and what is known of them. support_vectors counts training rows that any class leans on, or None."""

    model: svm.LinearModel
    objective: float
    gap: float
    converged: bool
    path: str
    support_vectors: int | None


CHOOSING = 1e-4
"""The least relative duality gap at which values of C are compared."""


class Problem:
    """rows (n, features) and their labels, as in `svm.solve`, of which subsets are trained on.

    The Gram matrix of the rows `shared`, ascending numbers, is computed once, if two of them fit into half of `memory`.
    elsewhere: solves blocks of classes, with the same results. reckoned: threads that the choice of the path reckons
    with, by default as many as there are processors.
    """

    def __init__(
        self,
        rows: Rows,
        labels: np.ndarray,
        *,
        solver: Solver = "certified",
        tolerance: float = 1e-5,
        memory: int = svm.MEMORY,
        seed: int = 0,
        shared: np.ndarray | None = None,
        elsewhere: Elsewhere | None = None,
        reckoned: int | None = None,
    ) -> None:
        self.rows, self.labels, self.elsewhere, self.reckoned = rows, labels, elsewhere, reckoned
        self.solver, self.tolerance, self.memory, self.seed = solver, tolerance, memory, seed
        self._gram: np.ndarray | None = None
        self._shared = np.empty(0, np.int64) if shared is None else shared
        each, count = 2 if self._counted else 8, len(self._shared)
        if count and solver == "certified" and 2 * each * count**2 <= memory // 2 and self._path(count) == "gram":
            self._gram = self._products(self._shared)

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
        if self.solver == "certified" and self._gram is None and self._path(len(train), self.memory) == "direct":
            return self._fit(svm.solve(  # the rows stay where they are, which may be a file
                self.rows, self.labels, cost, self.tolerance, memory=self.memory, path="direct", subset=train,
                seed=self.seed, elsewhere=self.elsewhere, reckoned=self.reckoned,
            ))  # fmt: skip
        rows, labels = self.rows[train], self.labels[train]
        if self.solver == "liblinear":
            model, converged = fit_liblinear(rows, labels, cost, self.seed)
            objective, gap = objective_and_gap(model, rows, labels, cost)
            return Fit(model, objective, gap, converged, "liblinear", None)
        products = None if self._gram is None else self._products(train)
        return self._fit(svm.solve(
            rows, labels, cost, self.tolerance, memory=self.memory, gram=products, seed=self.seed,
            elsewhere=self.elsewhere, reckoned=self.reckoned,
        ))  # fmt: skip

    def _fit(self, solution: svm.Solution) -> Fit:
        return Fit(
            model=solution.model,
            objective=solution.total_objective,
            gap=solution.total_gap,
            converged=bool(solution.gap.max() <= self.tolerance),
            path=solution.path,
            support_vectors=int((solution.alpha > 0).any(axis=0).sum()),
        )

    def grid(self, splits: Sequence[tuple[np.ndarray, np.ndarray]], costs: Sequence[float]) -> list[list[HeldOut]]:
        """For each cost, for each (training rows, held-out rows), what the classifier says of the held-out rows."""
        numbers = np.unique(np.concatenate([np.concatenate(split) for split in splits]))
        gram = self.solver == "certified" and self._path(len(numbers)) == "gram"
        if gram and self._fits(len(numbers), len(splits)):
            places = [(np.searchsorted(numbers, train), np.searchsorted(numbers, held)) for train, held in splits]
            return held_out(
                self._products(numbers),
                self.labels[numbers],
                costs,
                places,
                max(self.tolerance, CHOOSING),
                seed=self.seed,
                elsewhere=self.elsewhere,
            )
        found = []
        for cost in costs:
            parts = []
            for train, held in splits:
                fit = self.fit(train, cost)
                parts.append(HeldOut(fit.model.classes, self.decisions(fit.model, held), fit.gap))
            found.append(parts)
        return found

    def decisions(self, model: svm.LinearModel, numbers: np.ndarray) -> np.ndarray:
        """(rows, classes) of the rows of these numbers, a block of them at a time."""
        parts = [model.decisions(self.rows[numbers[span]]) for span in spans(len(numbers), BLOCK)]
        return np.concatenate(parts)

    def _path(self, rows: int, memory: int = 1 << 62) -> svm.Path:
        """The path for so many rows; without `memory` the cheapest."""
        classes = self.labels.shape[1] if self.labels.ndim == 2 else int(self.labels.max()) + 1
        itemsize = 2 if self._counted else 8
        return svm.estimate(rows, self.rows.shape[1], classes, memory, itemsize, threads=self.reckoned).path

    def _fits(self, rows: int, splits: int) -> bool:
        classes = self.labels.shape[1] if self.labels.ndim == 2 else int(self.labels.max()) + 1
        return rows * (rows * (2 if self._counted else 8) + 5 * 8 * classes * splits) <= self.memory
