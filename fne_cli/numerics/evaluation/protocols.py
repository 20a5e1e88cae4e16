"""Which images are trained on and which are measured: splits, cross-validation, a few images per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, TooFewImages

NOBODY = np.empty(0, np.int64)


@dataclass(frozen=True)
class Trial:
    """One training and its measurement. train, test, validation: ascending image numbers, (m,) int64.

    `of` names what is repeated (images per class, draw, fold); the trials of one `group` are averaged.
    """

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray = field(default_factory=lambda: NOBODY)
    group: tuple[tuple[str, Any], ...] = ()
    of: tuple[tuple[str, Any], ...] = ()

    @property
    def images(self) -> np.ndarray:
        """All images that take part, ascending."""
        return np.unique(np.concatenate([self.train, self.test, self.validation]))

    @property
    def name(self) -> str:
        """What distinguishes it: "training images per class 5, draw 2"; "" if it is alone."""
        return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in (*self.group, *self.of))


def folds(labels: np.ndarray, images: np.ndarray, count: int, seed: int) -> list[Trial]:
    """Cross-validation over `images`: every image is measured once. labels: of all images, as in `svm.solve`."""
    if not 2 <= count <= len(images):
        raise BadInput(f"There should be 2 to {len(images):,} folds, one image at least in each. Found: {count}.")
    fold = stratified_folds(strata(labels[images]), count, seed)
    return [
        Trial(images[fold != number], images[fold == number], group=(("folds", count),), of=(("fold", number + 1),))
        for number in range(count)
    ]


def draws(
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    sizes: Sequence[int],
    count: int,
    seed: int,
    validation: np.ndarray = NOBODY,
) -> list[Trial]:
    """For a learning curve: `count` times n training images of each class, for each n of `sizes`.

    The smaller sets of a draw are parts of its larger ones, so that the curve shows the number of images and not the
    luck of the draw. Where n is all images of every class, there is one draw. Raises TooFewImages for the class with
    the fewest.
    """
    present, available = np.unique(labels[train], return_counts=True)
    for size in sizes:
        if size > available.min():
            raise TooFewImages(int(present[available.argmin()]), size, int(available.min()))
    trials = []
    for size in dict.fromkeys(sizes):
        for draw in range(count if size < available.max() else 1):  # else every draw is the same
            generator = np.random.default_rng([seed, draw])
            chosen = [generator.permutation(train[labels[train] == label])[:size] for label in present]
            trials.append(
                Trial(
                    np.sort(np.concatenate(chosen)),
                    test,
                    validation,
                    group=(("training_images_per_class", int(size)),),
                    of=(("draw", draw + 1),),
                )
            )
    return trials


def held_out(labels: np.ndarray, images: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(images to train on, images held out), both ascending: a share of each class, drawn by the seed.

    labels: of all images, (n,). Of a class with several images one at least is held out, and one is left.
    """
    generator = np.random.default_rng(seed)
    kept, held = [NOBODY], [NOBODY]
    for label in np.unique(labels[images]):
        own = generator.permutation(images[labels[images] == label])
        count = min(max(1, round(share * len(own))), len(own) - 1)
        held.append(own[:count])
        kept.append(own[count:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def strata(labels: np.ndarray) -> np.ndarray:
    """(n,): what folds are balanced by: the class, or with several labels the rarest that an image has (-1: none)."""
    if labels.ndim == 1:
        return labels
    present = labels == 1
    frequency = np.where(present, present.sum(axis=0), np.iinfo(np.int64).max)
    return np.where(present.any(axis=1), frequency.argmin(axis=1), -1)


def stratified_folds(labels: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """(n,): the fold 0 ... folds - 1 of every row; each class is spread over the folds as evenly as it can be."""
    generator = np.random.default_rng(seed)
    assigned = np.empty(len(labels), np.int64)
    offset = 0
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        # goes on where the last class stopped, so that the folds are of one size, too
        assigned[rows] = (np.arange(len(rows)) + offset) % folds
        offset += len(rows)
    return assigned
