#!/usr/bin/env python
"""How often 95 % intervals of mean per-class accuracy miss the true one, and how wide they are.

A line for each combination of classes, test images of each, and how often a class is right; for each way to make an
interval the percentage below which and above which the true mean lies, and the mean width in points.

    python scripts/measure_intervals.py
"""

from __future__ import annotations

import argparse

import numpy as np

from fne_cli.numerics.evaluation.intervals import wilson, wilson_of_mean
from fne_cli.numerics.evaluation.metrics import bootstrap_interval

Ends = tuple[float, float]


def averaged(right: np.ndarray, images: np.ndarray) -> Ends:
    """Means of the ends of the classes' intervals, at the level that gives the sum of so many 95 % (Yan, Su 2010)."""
    share, square = right / images, 1.959963984540054**2
    spread = (share * (1 - share) / images + square / (4 * images**2)) / (1 + square / images) ** 2
    level = np.sqrt(square * spread.sum()) / np.sqrt(spread).sum()
    square = level**2
    centre = (share + square / (2 * images)) / (1 + square / images)
    half = level * np.sqrt(share * (1 - share) / images + square / (4 * images**2)) / (1 + square / images)
    return float((centre - half).mean()), float((centre + half).mean())


def added_up(right: np.ndarray, images: np.ndarray) -> Ends:
    """The root of the summed squares of the distances to the ends, to each side (Zou, Huang, Zhang 2009)."""
    share = right / images
    low, high = wilson(share, images)
    below, above = (np.sqrt(((share - end) ** 2).sum()) / len(share) for end in (low, high))
    return float(share.mean() - below), float(share.mean() + above)


def bootstrap(right: np.ndarray, images: np.ndarray) -> Ends:
    """Drawn again within each class."""
    truth = np.repeat(np.arange(len(images)), images)
    first = np.concatenate([np.arange(count) < good for count, good in zip(images, right, strict=True)])
    return bootstrap_interval(truth, np.where(first, truth, (truth + 1) % len(images)), len(images), 500)


def effective(right: np.ndarray, images: np.ndarray) -> Ends:
    """Ours."""
    table = np.diag(right)
    table[np.arange(len(images)), (np.arange(len(images)) + 1) % len(images)] += images - right
    return wilson_of_mean(table)


WAYS = {"bootstrap": bootstrap, "ends averaged": averaged, "distances added up": added_up, "fne": effective}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generator = np.random.default_rng(given.seed)
    print(f"{'classes':>8}{'images':>8}{'rate':>14}", *(f"{way:>22}" for way in WAYS), sep="")
    for classes in (5, 20, 101):
        for count in (1, 2, 5, 20):
            for name, rate in rates(classes, generator).items():
                images = np.full(classes, count)
                right = generator.binomial(images, rate, (given.trials, classes))
                told = [summed(way, right, images, rate.mean()) for way in WAYS.values()]
                print(f"{classes:>8}{count:>8}{name:>14}", *(f"{text:>22}" for text in told), sep="")


def rates(classes: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """How often each class is right, (classes,), by name."""
    alike = {str(rate): np.full(classes, rate) for rate in (0.5, 0.9, 0.99)}
    return alike | {"beta(3, 0.5)": generator.beta(3, 0.5, classes)}


def summed(way: object, right: np.ndarray, images: np.ndarray, true: float) -> str:
    """Misses to both sides in percent, and the width in points."""
    assert callable(way)
    ends = np.array([way(one, images) for one in right])
    below, above = (100 * np.mean(misses) for misses in (true < ends[:, 0] - 1e-12, true > ends[:, 1] + 1e-12))
    return f"{below:.0f} + {above:.0f} ({100 * (ends[:, 1] - ends[:, 0]).mean():.1f})"


if __name__ == "__main__":
    main()
