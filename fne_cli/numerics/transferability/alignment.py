"""Linear centred kernel alignment: how alike two kinds of rows of the same images are, whatever their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np


def dependence(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """|X^T Y|^2 (Frobenius) of centred X (n, d) and Y (n, e), from batches of their rows, which stand side by side.

    Memory holds d * e numbers and a batch.
    """
    batches = iter(pairs)
    first, second = next(batches)
    # less the first row, so that what does not vary is exactly 0
    origin, other = first[0].astype(np.float64), second[0].astype(np.float64)
    product = np.zeros((len(origin), len(other)))
    left, right, count = np.zeros(len(origin)), np.zeros(len(other)), 0
    for ours, theirs in chain([(first, second)], batches):
        one, two = ours - origin, theirs - other
        product += one.T @ two
        left += one.sum(axis=0)
        right += two.sum(axis=0)
        count += len(one)
    product -= np.outer(left, right) / count
    return float((product**2).sum())


def aligned(dependences: np.ndarray, groups: Sequence[np.ndarray] = ()) -> np.ndarray:
    """CKA of every pair, from the matrix of their dependences (k, k): 1 if equal but for turning and scaling.

    groups: sets of members whose features, side by side, are a member of their own each; these stand behind the others.
    NaN where nothing varies. S. Kornblith, M. Norouzi, H. Lee and G. Hinton, "Similarity of neural network
    representations revisited", ICML 2019.
    """
    members = np.concatenate([np.eye(len(dependences)), np.zeros((len(groups), len(dependences)))])
    for number, group in enumerate(groups, len(dependences)):
        members[number, group] = 1
    whole = members @ dependences @ members.T
    scale = np.sqrt(whole.diagonal())
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(np.outer(scale, scale) > 0, whole / np.outer(scale, scale), np.nan)
    return found
