"""Which images of a list are learned from, which validate, and their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing
from fne_cli.progress import Progress, counted


@dataclass(frozen=True)
class ChosenImages:
    """The training images of a list, then its validation images.

    labels: (n,) int32, the place of each image's class among `classes`. training: (n,) whether it is learned from.
    """

    listing: Listing
    classes: Sequence[str]
    labels: np.ndarray
    training: np.ndarray

    def told(self) -> dict[str, Any]:
        """Numbers of images by split, for people."""
        return {"train": int(self.training.sum()), "val": int((~self.training).sum())}


def choose(listing: Listing, images: str, patience: bool, progress: Progress) -> ChosenImages:
    """Training images are those of split train, or all if there are no splits; validation images those of split val.

    Images without a label, and validation images of classes that nothing is learned of, are left out, and `progress` is
    told. Raises BadInput where there are no labels, fewer than two classes, no training split, or several labels each.
    """
    if listing.several:
        raise BadInput(f"{images} should have one label for each image, to train on. Found: several labels per image.")
    splits = Counter(listing.splits)
    if any(splits) and "train" not in splits:
        raise BadInput(
            f"{images} should have a split train. Found: {', '.join(sorted(name or 'none' for name in splits))}.\n"
            "fne split makes a manifest with splits."
        )
    if patience and "val" not in splits:
        found = ", ".join(sorted(filter(None, splits))) or "no splits"
        raise BadInput(
            f"--patience looks at validation images, so {images} should have a split val. Found: {found}.\n"
            "Put them into class folders below val/, or name split val in a manifest, or leave --patience out."
        )
    wanted = "train" if any(splits) else ""
    learned = [n for n, split in enumerate(listing.splits) if split == wanted and listing.labels[n]]
    if not learned:
        raise BadInput(
            f"{images} should have training images with labels. Found: none of them has one.\n"
            "Put them into a folder for each class, or name a column label in a manifest."
        )
    classes = sorted({listing.labels[number][0] for number in learned})
    if len(classes) < 2:
        raise BadInput(
            f"{images} should have at least two classes among its training images. Found: {classes[0]!r} alone."
        )
    place = {name: number for number, name in enumerate(classes)}
    validating = [
        n for n, split in enumerate(listing.splits) if split == "val" and listing.labels[n] and
        listing.labels[n][0] in place
    ]  # fmt: skip
    rest = splits[wanted] - len(learned)
    if rest:
        progress.note(f"{counted(rest, 'training image')} without a label left out")
    if unusable := splits["val"] - len(validating):
        progress.note(f"{counted(unusable, 'validation image')} without a label, or of classes not trained, left out")
    if patience and not validating:
        raise BadInput(f"{images}: split val should have images of the training classes. Found: none.")
    numbers = [*learned, *validating]
    labels = np.array([place[listing.labels[number][0]] for number in numbers], np.int32)
    training = np.arange(len(numbers)) < len(learned)
    return ChosenImages(listing.part(numbers), classes, labels, training)


def without(chosen: ChosenImages, good: np.ndarray, images: str) -> np.ndarray:
    """Which images are left without the bad ones. Raises BadInput if a class has no training images then."""
    left = np.bincount(chosen.labels[good & chosen.training], minlength=len(chosen.classes))
    if not left.all():
        name = chosen.classes[int(np.flatnonzero(left == 0)[0])]
        raise BadInput(f"{images} should have a readable training image of every class. Found: none of {name!r}.")
    return good
