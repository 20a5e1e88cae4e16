"""What the decision values of a classifier say about how good it is: every figure that a result has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fne_cli.measures import MEASURES
from fne_cli.numerics.evaluation import metrics

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
    mean = decisions.reshape(-1, crops, decisions.shape[1]).mean(axis=1)
    everyone = np.full((len(mean), classes), -np.inf)
    everyone[:, trained] = mean
    winner = metrics.majority_vote(decisions, crops) if aggregate == "vote" else mean.argmax(axis=1)
    return Judged(everyone, trained[winner])


def score(judged: Judged, truth: np.ndarray) -> float:
    """The figure that C is chosen by: mean per-class accuracy, or with several labels per image the mean AP."""
    if truth.ndim == 2:
        return mean_of([metrics.average_precision(judged.decisions[:, k], truth[:, k]) for k in range(truth.shape[1])])
    return metrics.mean_per_class_accuracy(metrics.confusion(truth, judged.predicted, judged.decisions.shape[1]))


def one_label(
    judged: Judged, truth: np.ndarray, trained: np.ndarray, names: Sequence[str], seed: int
) -> dict[str, Any]:
    """The figures of images with one class each: truth (images,). trained: training images per class, (classes,)."""
    table = metrics.confusion(truth, judged.predicted, len(names))
    low, high = metrics.bootstrap_interval(truth, judged.predicted, len(names), seed=seed)
    figures: dict[str, Any] = {
        "mean_per_class_accuracy": metrics.mean_per_class_accuracy(table),
        "mean_per_class_accuracy_95": [low, high],
        "accuracy": metrics.accuracy(table),
        "macro_f1": metrics.macro_f1(table),
    }
    if len(names) > TOP:
        figures["top_5_accuracy"] = metrics.top_accuracy(judged.decisions, truth, TOP)
    return figures | of_confusion(table, trained, names)


def of_confusion(table: np.ndarray, trained: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """What a result says class by class, from its confusion matrix."""
    accuracy, share = metrics.per_class_accuracy(table), metrics.balanced(table)
    return {
        "per_class": [
            {
                "class": name,
                "accuracy": _number(accuracy[number]),
                "training_images": round(float(trained[number])),
                "test_images": int(table[number].sum()),
            }
            for number, name in enumerate(names)
        ],
        "classes": list(names),
        "confusion": table.tolist(),
        "balanced_confusion": [[_number(value) for value in row] for row in share],
    }


def several_labels(judged: Judged, present: np.ndarray, trained: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The figures of images with several labels: present (images, classes) with 1, 0, or -1 for images to ignore."""
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        scores, truth = judged.decisions[:, number], present[:, number]
        rows.append(
            {
                "class": name,
                "average_precision": _number(metrics.average_precision(scores, truth)),
                "average_precision_11_point": _number(metrics.average_precision(scores, truth, 11)),
                "training_images": int(trained[number]),
                "test_images": int((truth == 1).sum()),
                "ignored_test_images": int((truth == -1).sum()),
            }
        )
    return {
        "mean_average_precision": _number(mean_of([row["average_precision"] for row in rows])),
        "mean_average_precision_11_point": _number(mean_of([row["average_precision_11_point"] for row in rows])),
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
            row[key] = _number(mean_of([part[key] for part in parts]))
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


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
