"""Intervals of accuracies that hold for few test images, and where all of them are right or all wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEVEL = 0.95


def wilson(
    share: np.ndarray | float, images: np.ndarray | float, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of Wilson's score interval of fractions `share` of so many images; (0, 1) of no images.

    The number of images need not be whole. E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22, 1927. It has a width at 0 and at 1, too.
    """
    from scipy.special import ndtri

    share, images = np.broadcast_arrays(np.asarray(share, float), np.asarray(images, float))
    square = float(ndtri((1 + level) / 2)) ** 2
    known = np.where(images > 0, images, 1.0)
    centre = (share + square / (2 * known)) / (1 + square / known)
    half = np.sqrt(square * (share * (1 - share) / known + square / (4 * known**2))) / (1 + square / known)
    # exactly 0 and 1 where rounding would leave the fractions
    low = np.where((images > 0) & (share > 0), np.clip(centre - half, 0, 1), 0.0)
    high = np.where((images > 0) & (share < 1), np.clip(centre + half, 0, 1), 1.0)
    return low, high


def wilson_of_mean(table: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of the mean per-class accuracy, from a confusion matrix (k, k), rows being true classes.

    The mean of the classes' accuracies varies as the fraction of some number of images would: of the effective number
    theta (1 - theta) / v, theta being the mean and v its variance (Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data", Survey Methodology 24, 1998).
    v is estimated without bias from what the classes show, but is never below what the classes' own Wilson intervals
    allow, as long as that is less than if all classes were alike: few images of a class that are all right, or all
    wrong, do not say that they always are. A class of one image counts as being like all others. Where everything is
    right, or nothing, all classes count as being alike, too. Classes without test images are left out.
    """
    from scipy.special import ndtri

    total = table.sum(axis=1)
    kept = total > 0
    images, share = total[kept].astype(float), np.diag(table)[kept] / total[kept]
    classes, mean = len(images), float(share.mean())
    alike = mean * (1 - mean) / images
    own = np.where(images > 1, share * (1 - share) / np.maximum(images - 1, 1), alike)
    low, high = wilson(share, images, level)
    of_intervals = ((high - low) / (2 * float(ndtri((1 + level) / 2)))) ** 2
    variance = max(own.sum(), min(of_intervals.sum(), alike.sum())) / classes**2
    effective = mean * (1 - mean) / variance if variance > 0 else classes**2 / (1 / images).sum()
    ends = wilson(mean, effective, level)
    return float(ends[0]), float(ends[1])


def of_mean(values: Sequence[float], level: float = LEVEL) -> tuple[float | None, float | None]:
    """Lower and upper end of Student's interval of the mean of some numbers; None of fewer than two."""
    from scipy.special import stdtrit

    count = len(values)
    if count < 2:
        return None, None
    array = np.asarray(values, float)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * float(array.std(ddof=1)) / math.sqrt(count)
    return float(array.mean()) - half, float(array.mean()) + half
