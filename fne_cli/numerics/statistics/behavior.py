"""How a feature behaves on a class: the signed two-sample Kolmogorov-Smirnov statistic and the mean z-score.

After Garcia-Gasulla et al., "On the Behavior of Convolutional Nets for Feature Extraction" (arXiv 1703.01127). For the
values I of a class and O of the other images: D+ = max(F_O - F_I) says how much larger the class is (presence), D- =
max(F_I - F_O) how much smaller (absence); s is D+ if D+ >= D-, else -D-. |s| is SciPy's ks_2samp statistic.

A feature is sorted once for all classes. F_I - F_O falls between two members of the class and jumps at a member, so its
extremes lie at, and just before, the ends of the runs of ties that hold a member: n steps for all classes together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from fne_cli.compiled import compiled

_SHIFT, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Groups:
    """k classes of n images.

    labels: (n,) int32, the class or -1 for none (then one of the others of every class); or (k, n) int8 with 1 for a
    member, 0 for one of the others, -1 for neither. inside, others: (k,) int64, how many of each.
    """

    labels: np.ndarray
    inside: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, classes: int) -> Self:
        """From (n,) int32, or (n, classes) int8, as a file has them."""
        if labels.ndim == 1:
            inside = np.bincount(labels[labels >= 0], minlength=classes).astype(np.int64)
            return cls(np.ascontiguousarray(labels, np.int32), inside, len(labels) - inside)
        columns = np.ascontiguousarray(labels.T, np.int8)
        return cls(columns, (columns == 1).sum(axis=1), (columns == 0).sum(axis=1))

    @property
    def tested(self) -> np.ndarray:
        """(k,) bool: the classes that have images, and others to compare them with."""
        return (self.inside > 0) & (self.others > 0)


def sorted_keys(values: np.ndarray) -> np.ndarray:
    """The order of each feature, (features, n) uint64: rank << 32 | image, ascending; equal values have equal ranks.

    values: (features, n) float32 or float64, finite.
    """
    images = np.arange(values.shape[1], dtype=np.uint64)
    if values.dtype == np.float32:
        bits = (values + np.float32(0)).view(np.uint32)  # + 0 makes -0 a 0
        ranks = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000)).astype(np.uint64)
        keys: np.ndarray = (ranks << _SHIFT) | images
        keys.sort(axis=1)
        return keys
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    ranks = np.zeros(values.shape, np.uint64)
    np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1, out=ranks[:, 1:])
    return (ranks << _SHIFT) | order.astype(np.uint64)


def signed_ks(keys: np.ndarray, groups: Groups) -> np.ndarray:
    """The s of every feature and class, (features, k) float64, from `sorted_keys`; NaN for classes not tested."""
    s = np.empty((len(keys), len(groups.inside)))
    # the kernels divide by these; what they make of classes that are not tested is thrown away
    inside, others = (np.maximum(number, 1).astype(np.float64) for number in (groups.inside, groups.others))
    kernel = _of_partition if groups.labels.ndim == 1 else _of_sets
    kernel(keys, groups.labels, inside, others, s)
    s[:, ~groups.tested] = np.nan
    return s


def mean_scores(values: np.ndarray, groups: Groups, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """The mean z-score of every feature over every class, (features, k) float64; 0 where std is 0, NaN without images.

    values: (features, n); mean, std: (features,) float64.
    """
    sums = np.zeros((len(values), len(groups.inside)))
    kernel = _sum_partition if groups.labels.ndim == 1 else _sum_sets
    kernel(values, groups.labels, mean, sums)
    sums /= np.maximum(groups.inside, 1)
    scores: np.ndarray = sums / np.where(std == 0, 1.0, std)[:, None]
    scores[std == 0] = 0.0
    scores[:, groups.inside == 0] = np.nan
    return scores


@compiled()
def _of_partition(keys: np.ndarray, labels: np.ndarray, inside: np.ndarray, others: np.ndarray, s: np.ndarray) -> None:
    """For classes without a common image: one walk along each feature."""
    images, classes = keys.shape[1], len(inside)
    count = np.zeros(classes, np.int64)
    lowest, highest = np.zeros(classes), np.zeros(classes)  # of F_I - F_O
    seen = np.zeros(classes, np.int64)
    for j in range(len(keys)):
        row = keys[j]
        count[:], lowest[:], highest[:], seen[:] = 0, 0.0, 0.0, -1
        start = 0
        while start < images:
            rank, stop = row[start] >> _SHIFT, start + 1
            while stop < images and row[stop] >> _SHIFT == rank:
                stop += 1
            for i in range(start, stop):
                c = labels[np.int64(row[i] & _LOW)]
                if c >= 0:
                    if seen[c] != start:  # the first of its class in this run
                        seen[c] = start
                        before = count[c] / inside[c] - (start - count[c]) / others[c]
                        lowest[c] = min(lowest[c], before)
                    count[c] += 1
            for i in range(start, stop):
                c = labels[np.int64(row[i] & _LOW)]
                if c >= 0 and seen[c] == start:
                    seen[c] = -1
                    after = count[c] / inside[c] - (stop - count[c]) / others[c]
                    highest[c] = max(highest[c], after)
            start = stop
        for c in range(classes):
            s[j, c] = -lowest[c] if -lowest[c] >= highest[c] else -highest[c]


@compiled()
def _of_sets(keys: np.ndarray, labels: np.ndarray, inside: np.ndarray, others: np.ndarray, s: np.ndarray) -> None:
    """For classes that may share images, and leave some out: a walk for each class."""
    images = keys.shape[1]
    ends = np.empty(images, np.bool_)
    for j in range(len(keys)):
        row = keys[j]
        for i in range(images):
            ends[i] = i + 1 == images or row[i] >> _SHIFT != row[i + 1] >> _SHIFT
        for c in range(len(inside)):
            member, other, lowest, highest = 0, 0, 0.0, 0.0
            own = labels[c]
            for i in range(images):
                label = own[np.int64(row[i] & _LOW)]
                member += label == 1
                other += label == 0
                if ends[i]:
                    difference = member / inside[c] - other / others[c]
                    lowest, highest = min(lowest, difference), max(highest, difference)
            s[j, c] = -lowest if -lowest >= highest else -highest


@compiled()
def _sum_partition(values: np.ndarray, labels: np.ndarray, mean: np.ndarray, sums: np.ndarray) -> None:
    for j in range(values.shape[0]):
        for i in range(values.shape[1]):
            if labels[i] >= 0:
                sums[j, labels[i]] += np.float64(values[j, i]) - mean[j]


@compiled()
def _sum_sets(values: np.ndarray, labels: np.ndarray, mean: np.ndarray, sums: np.ndarray) -> None:
    for j in range(values.shape[0]):
        for c in range(len(labels)):
            for i in range(values.shape[1]):
                if labels[c, i] == 1:
                    sums[j, c] += np.float64(values[j, i]) - mean[j]
