"""How surely decision values name the right class: smoother than counting, where there are few images to count."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

TEMPERATURES = tuple(2.0**power for power in range(8))
"""Decision values are multiplied by each; they are no logarithms of probabilities, and who is surer is not better."""


def log_likelihood(decisions: np.ndarray, truth: np.ndarray) -> float:
    """Mean over classes of the mean log-probability of the true class, softmax of decision values (images, classes).

    At the best of TEMPERATURES. truth: (images,), columns of the decision values. NaN without images.
    """
    if not len(truth):
        return float("nan")
    places = np.arange(len(truth))
    _, own, counts = np.unique(truth, return_inverse=True, return_counts=True)
    shares = 1 / (len(counts) * counts[own])
    return max(
        float(shares @ (times * decisions[places, truth] - logsumexp(times * decisions, axis=1)))
        for times in TEMPERATURES
    )
