"""Small classification problems over ternary codes, and the objective as the method states it."""

import numpy as np


def problem(rows=150, features=60, classes=5, seed=0, spread=0.4):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    scores = spread * generator.standard_normal((classes, features))[labels] + generator.standard_normal(
        (rows, features)
    )
    return (scores > 0.15).astype(np.int8) - (scores < -0.25).astype(np.int8), labels


def primal(codes, signs, found, cost):
    """The objective as the method states it, in the weights, not in the products."""
    wide = np.hstack([codes, np.ones((len(codes), 1))])
    hinge = np.maximum(0, 1 - signs * (found @ wide.T)) * (signs != 0)
    return 0.5 * (found**2).sum(axis=1) + cost * (hinge**2).sum(axis=1)
