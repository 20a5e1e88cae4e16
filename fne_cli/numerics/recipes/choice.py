"""How candidates are compared, and the choice among those of rows that are in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.machine import free_memory
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation.likelihood import log_likelihoods
from fne_cli.numerics.evaluation.metrics import json_number
from fne_cli.numerics.evaluation.protocols import folds
from fne_cli.numerics.recipes.candidates import (
    BUDGET,
    CANDIDATES,
    CAUTIOUS,
    FEWEST,
    FOLDS,
    LATE,
    PENALTIES,
    ROOTS,
    fits_of,
)
from fne_cli.numerics.ridge import solver as ridge

Said = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""said(known, images): (penalties, rows of the images, classes), what ridge says of each image without it, of an
embedding that was fitted to those that are known."""


@dataclass(frozen=True)
class Tried:
    """A candidate at its best penalty. score: mean log-likelihood of left-out images (several labels: their mAP).

    each: (images,), of which the score is the mean; accuracy: of the left-out images. None with several labels.
    """

    name: str
    penalty: float
    score: float
    each: np.ndarray | None = None
    accuracy: float | None = None

    def beats(self, other: Tried) -> bool:
        """Whether it is better by more than a standard error of the difference."""
        if self.each is None or other.each is None:
            return self.score > other.score
        apart = self.each - other.each
        return float(apart.mean()) > float(apart.std(ddof=1)) / np.sqrt(len(apart))

    def described(self) -> dict[str, Any]:
        """As results have it."""
        own = {"recipe": self.name, "score": json_number(self.score), "penalty": self.penalty}
        return own if self.accuracy is None else own | {"mean_per_class_accuracy": self.accuracy}


def prior_of(images: int) -> str:
    """What is taken where candidates cannot be compared."""
    return CAUTIOUS if images < FEWEST else LATE


def affordable(fitting: Sequence[str], seconds: float, budget: float) -> tuple[str, ...]:
    """Those that a budget allows, the first always; seconds: of one decomposition."""
    spent = np.cumsum([fits_of(name) * seconds for name in fitting])
    return tuple(fitting[: max(1, int((spent <= budget).sum()))])


def best_of(tried: Sequence[Tried]) -> Tried:
    """The first, or the best of ROOTS if it beats that, or the best of the others if it beats both."""
    found = tried[0]
    for own in (True, False):
        family = [one for one in tried if one.name.startswith(ROOTS) is own]
        best = max(family, key=lambda one: one.score, default=found)
        found = best if best.beats(found) else found
    return found


def left_out(
    said: Said,
    labels: np.ndarray,
    images: np.ndarray,
    fewest: int,
    seed: int,
    labelled: bool,
    own: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """What is said of images without them. labels: of all; fewest: images of the smallest class among them.

    labelled: whether the embedding looks at labels, which then are those of other parts of the images. own: the rows of
    some of the images, among all of theirs.
    """
    if not labelled:
        return said(images, images)
    found: np.ndarray | None = None
    for part in folds(labels, images, min(FOLDS, max(2, fewest), len(images)), seed):
        now = said(part.train, images)
        found = now if found is None else found
        found[:, own(part.test)] = now[:, own(part.test)]
    return said(images, images) if found is None else found


def likelihoods(predictions: np.ndarray, labels: np.ndarray) -> tuple[int, np.ndarray]:
    """The place of the best penalty, and of each image that has others of its class the log-likelihood.

    predictions: (penalties, rows, classes), as many rows for each image.
    """
    _, truth, counts = np.unique(labels, return_inverse=True, return_counts=True)
    known = counts[truth] > 1  # nothing of a class is known when its only image is left out
    rows = predictions.shape[1] // len(labels)
    each = [
        log_likelihoods(part.reshape(len(labels), rows, -1).mean(axis=1)[known], truth[known]) for part in predictions
    ]
    place = int(np.argmax([values.mean() for values in each]))
    return place, each[place]


def choose(rows: np.ndarray, widths: Sequence[int], labels: np.ndarray) -> str:
    """The embedding that `fne evaluate --recipe auto` chooses for training rows (n, features) float32, a label each.

    Raises DoesNotFit where memory is too small for any.
    """
    _, truth, counts = np.unique(labels, return_inverse=True, return_counts=True)
    count, features = rows.shape
    if count < FEWEST or counts.max() < 2:
        return prior_of(count)
    memory = free_memory() // 2
    seconds = ridge.estimate(count, features, len(counts), len(PENALTIES), memory).seconds()
    fitting = [name for name in CANDIDATES if embedding(name).fit_bytes(count, features, max(widths)) <= memory]
    tried = []
    for name in affordable(fitting, seconds, BUDGET):
        kind, every = embedding(name), np.arange(count)

        def said(known: np.ndarray, images: np.ndarray, kind: Any = kind) -> np.ndarray:
            fitted = kind.fit([rows[known]], widths, labels=truth[known])
            return ridge.left_out(fitted.encode(rows[images]), truth[images], PENALTIES, memory=memory)

        found = left_out(said, truth, every, int(counts.min()), 0, fits_of(name) > 1, lambda numbers: numbers)
        place, each = likelihoods(found, truth)
        tried.append(Tried(name, PENALTIES[place], float(each.mean()), each))
    return best_of(tried).name if tried else prior_of(count)
