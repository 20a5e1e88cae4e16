"""How good rankings are: average precision in its several forms, precision and recall at a rank, and others.

A ranking is what is left of all images when the query itself and junk are taken out; the relevant ones stand at ranks
from 1. A ranking without relevant images has no measures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVELS = 11
"""Recalls at which precision is interpolated, as PASCAL VOC did it until 2009."""
FOUR = 4
"""Images of each group of UKBench."""


def ranks_of(distances: np.ndarray, relevant: np.ndarray, junk: np.ndarray) -> np.ndarray:
    """The ranks, from 1 and ascending, of the relevant ones of (images,) distances; equal distances rank by place.

    relevant, junk: (images,) bool; junk is taken out first. Returns (relevant ones,) int64.
    """
    order = np.argsort(distances, kind="stable")
    order = order[~junk[order]]
    return np.flatnonzero(relevant[order]) + 1


def rectangular(ranks: np.ndarray) -> float:
    """Average precision as the mean precision at the relevant ranks (scikit-learn's, where no distances are equal)."""
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def trapezoidal(ranks: np.ndarray) -> float:
    """Average precision as the area under a line through the points, as Holidays and (revisited) Oxford, Paris have it.

    H. Jegou et al., "Hamming embedding and weak geometric consistency", ECCV 2008, and the code published with it.
    """
    found = np.arange(1, len(ranks) + 1)
    before = np.where(ranks == 1, 1.0, (found - 1) / np.maximum(ranks - 1, 1))
    return float(np.mean((before + found / ranks) / 2))


def interpolated(ranks: np.ndarray) -> float:
    """Average precision as the mean, over the recalls 0, 0.1 ... 1, of the best precision at that recall or above."""
    precision = np.arange(1, len(ranks) + 1) / ranks
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # recall is at least k / 10 from the relevant image of this number on: in whole numbers, so that nothing rounds
    needed = -(-np.arange(LEVELS) * len(ranks) // (LEVELS - 1))
    return float(np.mean(best[np.maximum(needed, 1) - 1]))


def precision_at(ranks: np.ndarray, count: int) -> float:
    """How many of the first `count` are relevant, of `count`, or of the last relevant rank if that comes earlier.

    As revisited Oxford and Paris have it: a query is not blamed for having few relevant images.
    """
    return float((ranks <= count).sum() / min(count, ranks[-1]))


def recall_at(ranks: np.ndarray, count: int) -> float:
    """How many of the relevant ones are among the first `count`."""
    return float(np.mean(ranks <= count))


def r_precision(ranks: np.ndarray) -> float:
    """The precision at the rank which is the number of relevant ones."""
    return float(np.mean(ranks <= len(ranks)))


def reciprocal_rank(ranks: np.ndarray) -> float:
    """1 / the rank of the first relevant one."""
    return float(1 / ranks[0])


def ns_score(ranks: np.ndarray) -> float:
    """How many of the first four, of which the query itself is the first, are of its group: 4 at best.

    H. Stewenius and D. Nister, "Scalable recognition with a vocabulary tree", CVPR 2006 (UKBench: groups of four).
    """
    return float(1 + (ranks < FOUR).sum())


def measures(ranks: np.ndarray, at: Sequence[int], own: bool) -> dict[str, float]:
    """All of them for one query. own: whether the query stands among the images, which the N-S score counts with."""
    found = {
        "average_precision_trapezoidal": trapezoidal(ranks),
        "average_precision_rectangular": rectangular(ranks),
        "average_precision_interpolated": interpolated(ranks),
        "r_precision": r_precision(ranks),
        "reciprocal_rank": reciprocal_rank(ranks),
        **{f"precision_at_{count}": precision_at(ranks, count) for count in at},
        **{f"recall_at_{count}": recall_at(ranks, count) for count in at},
    }
    return found | ({"ns_score": ns_score(ranks)} if own else {})
