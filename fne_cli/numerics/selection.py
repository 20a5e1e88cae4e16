"""Choosing C by cross-validation on one Gram matrix: all folds at once, from one C to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fne_cli.numerics.dual import Dual, one_vs_rest, solve_dual


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

    folds (n,) is the fold of every row. The decision values of the held-out rows fall out of the solution: they are its
    products with the Gram matrix. Costs are solved in rising order, each from the solution of the one before.
    """
    names, numbers = np.unique(labels), np.unique(folds)
    signs = np.concatenate([one_vs_rest(labels, names, np.flatnonzero(folds != fold)) for fold in numbers])
    accuracy, gap = np.empty((len(costs), len(numbers))), np.empty((len(costs), len(numbers)))
    start: Dual | None = None
    for place in np.argsort(costs):
        start = solve_dual(gram, signs, costs[place], tolerance, start=start, seed=seed, threads=threads)
        decisions = start.products.reshape(len(numbers), len(names), len(labels))
        for number, fold in enumerate(numbers):
            held = folds == fold
            accuracy[place, number] = (names[decisions[number][:, held].argmax(axis=0)] == labels[held]).mean()
        gap[place] = start.gap.reshape(len(numbers), -1).max(axis=1)
    return accuracy, gap
