"""Boxes with scores: their overlap, the best of those that overlap, and average precision as PASCAL VOC measures it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.numerics.evaluation.metrics import json_number, mean_of


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) float64: intersection over union of boxes (n, 4) and (m, 4), x0, y0, x1, y1 with x1, y1 outside."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=2)
    sizes = [np.prod(part[:, 2:] - part[:, :2], axis=1) for part in (boxes, others)]
    union = sizes[0][:, None] + sizes[1][None, :] - both
    return np.where(union > 0, both / np.where(union > 0, union, 1), 0.0)


def suppressed(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """The places of the boxes (n, 4) that stay, the highest score first; of equal scores the first.

    Each removes those after it that overlap with it by more than `overlap`, unless it has been removed itself.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    alive = np.ones(len(boxes), bool)
    for place in order.tolist():
        if alive[place]:
            kept.append(place)
            alive &= overlaps(boxes[[place]], boxes)[0] <= overlap
    return np.array(kept, np.int64)


@dataclass(frozen=True)
class Precision:
    """Average precision of a class: under the curve (2010 on), by 11 points (2007); of so many objects and boxes.

    NaN without an object that counts.
    """

    area: float
    points: float
    objects: int
    detections: int


def voc_precision(
    images: Sequence[str],
    boxes: np.ndarray,
    scores: np.ndarray,
    truth: Mapping[str, tuple[np.ndarray, np.ndarray]],
    overlap: float = 0.5,
) -> Precision:
    """By the protocol of PASCAL VOC: detections of one class, boxes (n, 4) with scores (n,) in images.

    truth: by image its boxes (m, 4) and (m,) bool, which of them are difficult: they count neither as found nor as
    missed. The highest score goes first, to the box that it overlaps most; another one there is wrong. (M. Everingham
    et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010, and its development kit.)
    """
    objects = int(sum((~difficult).sum() for _, difficult in truth.values()))
    taken = {image: np.zeros(len(own), bool) for image, (own, _) in truth.items()}
    right, wrong = np.zeros(len(scores)), np.zeros(len(scores))
    for place, number in enumerate(np.argsort(-scores, kind="stable").tolist()):
        own, difficult = truth.get(images[number], (np.zeros((0, 4)), np.zeros(0, bool)))
        found = overlaps(boxes[[number]], own)[0]
        best = int(found.argmax()) if len(found) else -1
        if best < 0 or found[best] < overlap:
            wrong[place] = 1
        elif not difficult[best]:
            (wrong if taken[images[number]][best] else right)[place] = 1
            taken[images[number]][best] = True
    if not objects:
        return Precision(float("nan"), float("nan"), 0, len(scores))
    recall, precision = _curve(right, wrong, objects)
    return Precision(_area(recall, precision), _points(recall, precision), objects, len(scores))


def _curve(right: np.ndarray, wrong: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    found, said = np.cumsum(right), np.cumsum(right + wrong)
    return found / objects, found / np.maximum(said, 1)


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    """Under the curve whose precision at a recall is the largest at that recall or beyond."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _points(recall: np.ndarray, precision: np.ndarray) -> float:
    """The mean of that precision at recall 0, 0.1 ... 1; 0.3 is not 3 / 10 in binary."""
    reached = recall >= np.arange(11)[:, None] / 10 - 1e-12
    return float(np.where(reached, precision, 0.0).max(axis=1, initial=0.0).mean())


def precisions(found: Mapping[str, Precision]) -> dict[str, Any]:
    """For JSON: the mean over classes that have objects, and each class."""
    return {
        "mean_average_precision": json_number(mean_of([one.area for one in found.values()])),
        "mean_average_precision_11_point": json_number(mean_of([one.points for one in found.values()])),
        "per_class": [
            {
                "class": name,
                "average_precision": json_number(one.area),
                "average_precision_11_point": json_number(one.points),
                "objects": one.objects,
                "detections": one.detections,
            }
            for name, one in found.items()
        ],
    }
