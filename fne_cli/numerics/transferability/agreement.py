"""Whether two figures put things into the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import weightedtau

FEWEST = 3  # things that have an order


def weighted_tau(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Kendall's tau in which the first places count most, -1 ... 1; None where one of them makes no order.

    An exchange of the places r and s weighs 1 / (r + 1) + 1 / (s + 1), places as either has them, the mean of both
    (S. Vigna, "A weighted correlation index for rankings with ties", WWW 2015; scipy.stats.weightedtau).
    """
    if len(ours) < FEWEST or len(set(ours)) == 1 or len(set(theirs)) == 1:
        return None
    tau = float(weightedtau(ours, theirs).statistic)
    return tau if math.isfinite(tau) else None
