"""Classes joined into a tree by their distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ORDERED = 300  # items up to which the best order of the leaves is worth its time


@dataclass(frozen=True)
class Tree:
    """leaves: the items of each leaf, from top to bottom, one each unless the tree was cut.

    lines: (leaves - 1, 4, 2) corners of the brackets that join them: distance, and place among the leaves.
    """

    leaves: list[list[int]]
    lines: np.ndarray


def average_linkage(distances: np.ndarray, most: int = 120) -> Tree:
    """The tree of (n, n) distances by average linkage, cut so that it has at most `most` leaves."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    count = len(distances)
    if count < 2:
        return Tree([[number] for number in range(count)], np.zeros((0, 4, 2)))
    merges = linkage(squareform(distances, checks=False), "average", optimal_ordering=count <= _ORDERED)
    drawn = dendrogram(merges, p=most, truncate_mode="lastp", no_plot=True)
    members = {number: [number] for number in range(count)}
    for number, (one, other) in enumerate(merges[:, :2].astype(int).tolist()):
        members[count + number] = members[one] + members[other]
    places = (np.array(drawn["icoord"]) - 5) / 10
    lines = np.stack([np.array(drawn["dcoord"]), places], axis=-1)
    return Tree([members[leaf] for leaf in drawn["leaves"]], lines)
