"""Ternary codes: -1 where a standardised feature is low, +1 where it is high, 0 between (Garcia-Gasulla et al.)."""

from __future__ import annotations

import numpy as np

LOW, HIGH = -0.25, 0.15


def standardize(rows: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(rows - mean) / std in float64, (rows, features); a feature with std 0 becomes 0."""
    constant = std == 0
    scores = (rows - mean.astype(np.float64)) / np.where(constant, 1.0, std)
    scores[:, constant] = 0.0
    return scores


def encode(scores: np.ndarray, low: float = LOW, high: float = HIGH) -> np.ndarray:
    """Codes of z-scores, int8 of the same shape: z > high is +1, z < low is -1, both strict; NaN is 0."""
    return (scores > high).astype(np.int8) - (scores < low).astype(np.int8)
