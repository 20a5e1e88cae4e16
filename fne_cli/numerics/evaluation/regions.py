"""What the regions of a picture say, and show, together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fne_cli.numerics.evaluation.metrics import Judged

Together = Literal["max", "sum"]


def together(judged: Judged, groups: Sequence[np.ndarray], how: Together) -> Judged:
    """By picture, whose regions are at the places of a group: the largest decision values, or their sums."""
    pooled = np.max if how == "max" else np.sum
    decisions = np.stack([pooled(judged.decisions[group], axis=0) for group in groups])
    return Judged(decisions, decisions.argmax(axis=1))


def shown(labels: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """What some region of each picture shows; of one label what all of them show, -1 where they differ.

    labels: (n,), or (n, classes) int8 with 1, 0 and -1.
    """
    if labels.ndim == 2:
        return np.stack([(labels[group] == 1).any(axis=0).astype(np.int8) for group in groups])
    return np.array([labels[group[0]] if (labels[group] == labels[group[0]]).all() else -1 for group in groups])
