"""How surely decision values name the right class: smoother than counting, where there are few images to count."""

from __future__ import annotations

import numpy as np

TEMPERATURES = tuple(2.0**power for power in range(8))
"""Decision values are multiplied by each; they are no logarithms of probabilities, and who is surer is not better."""


def log_likelihoods(decisions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The log-probability of the true class of each image, (images,): softmax of decision values (images, classes).

    At the one of TEMPERATURES with the largest mean. truth: (images,), columns of the decision values. Each image is
    weighted so that the mean over images is that over classes of the mean over their images.
    """
    from scipy.special import logsumexp

    _, own, counts = np.unique(truth, return_inverse=True, return_counts=True)
    shares = len(truth) / (len(counts) * counts[own])
    found = [
        shares * (times * decisions[np.arange(len(truth)), truth] - logsumexp(times * decisions, axis=1))
        for times in TEMPERATURES
    ]
    return max(found, key=lambda values: float(values.mean()))
