"""How good a classification is. Labels are class indices 0 ... k - 1."""

from __future__ import annotations

from typing import Literal

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


def macro_f1(table: np.ndarray) -> float:
    """Mean F1 of the classes that have test images or predictions, from a confusion matrix."""
    total = table.sum(axis=0) + table.sum(axis=1)
    return float((2 * np.diag(table)[total > 0] / total[total > 0]).mean())


def balanced(table: np.ndarray) -> np.ndarray:
    """The confusion matrix in fractions of each true class, (classes, classes); NaN for a class without test images."""
    total = table.sum(axis=1, keepdims=True)
    return np.where(total > 0, table / np.maximum(total, 1), np.nan)


def top_accuracy(decisions: np.ndarray, truth: np.ndarray, top: int = 5) -> float:
    """Fraction of images whose true class is among the `top` largest decision values, (images, classes).

    A tie at the edge counts as the class order has it, the larger index first, as in scikit-learn. A class with -inf,
    which nobody was trained on, is never among them.
    """
    largest = np.argsort(decisions, axis=1, kind="stable")[:, -top:]
    hit = (largest == truth[:, None]).any(axis=1) & (decisions[np.arange(len(truth)), truth] > -np.inf)
    return float(hit.mean())


def bootstrap_interval(
    truth: np.ndarray, predicted: np.ndarray, classes: int, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean per-class accuracy over draws of test images, with replacement in each class.

    Resampling within classes keeps their sizes, as the fixed test sets of the benchmarks have them (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Within a class the number of right images is
    then binomial. It says nothing about other training sets.
    """
    table = confusion(truth, predicted, classes)
    total = table.sum(axis=1)
    kept = total > 0
    rate = np.diag(table)[kept] / total[kept]
    right = np.random.default_rng(seed).binomial(total[kept], rate, (draws, int(kept.sum())))
    means = (right / total[kept]).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def average_precision(scores: np.ndarray, present: np.ndarray, points: Literal["all", 11] = "all") -> float:
    """Average precision of one class: scores (images,), present (images,) with 1, 0, or -1 for images to ignore.

    "all": the sum over recall steps of precision, as in scikit-learn. 11: the mean over recall 0, 0.1 ... 1 of the
    largest precision at that recall or beyond (Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge",
    2010). Images of one score stand or fall together. NaN without a present image.
    """
    counted = present >= 0
    scores, truth = scores[counted], present[counted] > 0
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(truth[order])[last]
    precision, recall = found / (np.flatnonzero(last) + 1), found / found[-1]
    if points == "all":
        return float((np.diff(recall, prepend=0.0) * precision).sum())
    # 0.3 is not 3 / 10 in binary: a recall that is exactly a tenth must count
    reached = recall >= np.arange(11)[:, None] / 10 - 1e-12
    return float(np.where(reached, precision, 0.0).max(axis=1).mean())
