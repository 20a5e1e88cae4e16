"""How good a classification is. Labels are class indices 0 ... k - 1."""

from __future__ import annotations

import numpy as np


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64: rows are true classes, columns predicted ones."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def accuracy(table: np.ndarray) -> float:
    """Fraction of all test images on the diagonal of a confusion matrix."""
    return float(np.trace(table) / table.sum())


def per_class_accuracy(table: np.ndarray) -> np.ndarray:
    """(classes,) float64: the fraction of each class that is right, NaN for a class without test images."""
    total = table.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, np.diag(table) / total, np.nan)


def mean_per_class_accuracy(table: np.ndarray) -> float:
    """Mean of the per-class accuracies of the classes that have test images."""
    return float(np.nanmean(per_class_accuracy(table)))


def majority_vote(decisions: np.ndarray, crops: int) -> np.ndarray:
    """Class of each image from the decision values of its rows, (images * crops, classes) -> (images,).

    Every row votes for its largest decision value; among the classes with most votes the larger summed decision wins.
    """
    grouped = decisions.reshape(-1, crops, decisions.shape[1])
    votes = (grouped.argmax(axis=2)[..., None] == np.arange(decisions.shape[1])).sum(axis=1)
    tied = votes == votes.max(axis=1, keepdims=True)
    return np.where(tied, grouped.sum(axis=1), -np.inf).argmax(axis=1)
