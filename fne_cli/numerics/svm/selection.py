"""Choosing C by cross-validation on one Gram matrix: all folds at once, from one C to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.svm.dual import Dual, solve_dual
from fne_cli.numerics.svm.solver import signs_of
from fne_cli.numerics.svm.spread import Elsewhere, solve_dual_elsewhere


def stratified_folds(labels: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """(n,): the fold 0 ... folds - 1 of every row; each class is spread over the folds as evenly as it can be."""
    generator = np.random.default_rng(seed)
    assigned = np.empty(len(labels), np.int64)
    offset = 0
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        # goes on where the last class stopped, so that the folds are of one size, too
        assigned[rows] = (np.arange(len(rows)) + offset) % folds
        offset += len(rows)
    return assigned


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
    elsewhere: Elsewhere | None = None,
) -> list[list[HeldOut]]:
    """For each cost, for each (training rows, held-out rows), what the classifier says of the held-out rows.

    labels as in `svm.solve`. The decision values fall out of the solution: they are its products with the Gram matrix.
    Costs are solved in rising order, each from the solution of the one before, all splits at once; blocks of the
    problems `elsewhere` if it is given, with the same result.
    """
    problems = [signs_of(labels, train) for train, _ in splits]
    signs = np.concatenate([signs for _, signs in problems])
    edges = np.cumsum([len(signs) for _, signs in problems])[:-1]
    found: dict[int, list[HeldOut]] = {}
    start: Dual | None = None
    for place in np.argsort(costs, kind="stable").tolist():
        if elsewhere is None:
            start = solve_dual(gram, signs, costs[place], tolerance, start=start, seed=seed, threads=threads)
        else:
            start = solve_dual_elsewhere(elsewhere, gram, signs, costs[place], tolerance, start=start, seed=seed)
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
