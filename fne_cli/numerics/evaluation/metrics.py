"""How well a classifier does: single figures, and all those that a result has, from its decision values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fne_cli.measures import MEASURES
from fne_cli.numerics.evaluation.intervals import wilson, wilson_of_mean


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
    if crops == 1:  # nothing to count, and most have it
        return decisions.argmax(axis=1)
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
    own = decisions[np.arange(len(truth)), truth]
    behind = np.arange(decisions.shape[1]) > truth[:, None]
    before = (decisions > own[:, None]).sum(axis=1) + ((decisions == own[:, None]) & behind).sum(axis=1)
    return float(((before < top) & (own > -np.inf)).mean())


def bootstrap_interval(
    truth: np.ndarray, predicted: np.ndarray, classes: int, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean per-class accuracy over draws of test images, with replacement in each class.

    Resampling within classes keeps their sizes, as the fixed test sets of the benchmarks have them (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Within a class the number of right images is
    then binomial. It says nothing about other training sets. Too narrow for classes with few test images, and without
    a width where all are right; `intervals.wilson_of_mean` is neither.
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


Aggregate = Literal["vote", "sum"]
TOP = 5


@dataclass(frozen=True)
class Judged:
    """Per image: decisions (images, classes) float64, the mean over its crops; predicted (images,), the class.

    A class that the classifier was not trained on has -inf.
    """

    decisions: np.ndarray
    predicted: np.ndarray


def judge(trained: np.ndarray, decisions: np.ndarray, classes: int, crops: int, aggregate: Aggregate) -> Judged:
    """From decision values (images * crops, trained classes) of the classes `trained`, numbers below `classes`.

    vote: every crop has a vote, ties go to the larger sum. sum: the largest sum of decision values.
    """
    mean = decisions if crops == 1 else decisions.reshape(-1, crops, decisions.shape[1]).mean(axis=1)
    everyone = np.full((len(mean), classes), -np.inf)
    everyone[:, trained] = mean
    winner = majority_vote(decisions, crops) if aggregate == "vote" else mean.argmax(axis=1)
    return Judged(everyone, trained[winner])


def score(judged: Judged, truth: np.ndarray) -> float:
    """What C, or a penalty, is chosen by: mean per-class accuracy, or with several labels per image the mean AP."""
    if truth.ndim == 2:
        return mean_of([average_precision(judged.decisions[:, k], truth[:, k]) for k in range(truth.shape[1])])
    return mean_per_class_accuracy(confusion(truth, judged.predicted, judged.decisions.shape[1]))


def one_label(
    judged: Judged, truth: np.ndarray, trained: np.ndarray, names: Sequence[str], seed: int
) -> dict[str, Any]:
    """The figures of images with one class each: truth (images,). trained: training images per class, (classes,)."""
    table = confusion(truth, judged.predicted, len(names))
    low, high = bootstrap_interval(truth, judged.predicted, len(names), seed=seed)
    figures: dict[str, Any] = {
        "mean_per_class_accuracy": mean_per_class_accuracy(table),
        "mean_per_class_accuracy_95": [low, high],
        "mean_per_class_accuracy_wilson_95": list(wilson_of_mean(table)),
        "accuracy": accuracy(table),
        "macro_f1": macro_f1(table),
    }
    if len(names) > TOP:
        figures["top_5_accuracy"] = top_accuracy(judged.decisions, truth, TOP)
    return figures | of_confusion(table, trained, names)


def of_confusion(table: np.ndarray, trained: np.ndarray, names: Sequence[str], *, once: bool = True) -> dict[str, Any]:
    """What a result says class by class, from its confusion matrix. once: every image is in it once at most.

    Only then do the numbers of a class have an interval: images that were measured again are no others.
    """
    right, share = per_class_accuracy(table), balanced(table)
    low, high = wilson(np.nan_to_num(right), table.sum(axis=1))
    return {
        "per_class": [
            {
                "class": name,
                "accuracy": json_number(right[number]),
                **({"accuracy_95": _interval(right[number], low[number], high[number])} if once else {}),
                "training_images": round(float(trained[number])),
                "test_images": int(table[number].sum()),
            }
            for number, name in enumerate(names)
        ],
        "classes": list(names),
        "confusion": table.tolist(),
        "balanced_confusion": [[None] * len(row) if np.isnan(row[0]) else row.tolist() for row in share],
    }


def several_labels(judged: Judged, present: np.ndarray, trained: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The figures of images with several labels: present (images, classes) with 1, 0, or -1 for images to ignore."""
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        scores, truth = judged.decisions[:, number], present[:, number]
        rows.append(
            {
                "class": name,
                "average_precision": json_number(average_precision(scores, truth)),
                "average_precision_11_point": json_number(average_precision(scores, truth, 11)),
                "training_images": int(trained[number]),
                "test_images": int((truth == 1).sum()),
                "ignored_test_images": int((truth == -1).sum()),
            }
        )
    return {
        "mean_average_precision": json_number(mean_of([row["average_precision"] for row in rows])),
        "mean_average_precision_11_point": json_number(mean_of([row["average_precision_11_point"] for row in rows])),
        "per_class": rows,
        "classes": list(names),
    }


def mean_per_class(trials: Sequence[list[dict[str, Any]]], names: Sequence[str]) -> dict[str, Any]:
    """The rows per class of several trials as one: means of precisions and of training images."""
    rows = []
    for number, name in enumerate(names):
        parts = [trial[number] for trial in trials]
        row: dict[str, Any] = {"class": name}
        for key in ("average_precision", "average_precision_11_point"):
            row[key] = json_number(mean_of([part[key] for part in parts]))
        row["training_images"] = round(float(np.mean([part["training_images"] for part in parts])))
        for key in ("test_images", "ignored_test_images"):
            row[key] = sum(part[key] for part in parts)
        rows.append(row)
    return {"per_class": rows, "classes": list(names)}


def spread(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation (n - 1) of the scalar figures of several trials, `name` and `name_std`."""
    found: dict[str, Any] = {}
    for name in MEASURES:
        values = [figure[name] for figure in figures if figure.get(name) is not None]
        if values:
            found[name] = float(np.mean(values))
            found[f"{name}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return found


def mean_of(values: Sequence[float | None]) -> float:
    """The mean of those that are numbers, NaN if there are none."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _interval(value: float, low: float, high: float) -> list[float] | None:
    return None if np.isnan(value) else [float(low), float(high)]


def json_number(value: float) -> float | None:
    """As JSON has it: None for not a number."""
    return None if np.isnan(value) else float(value)
