"""Which images of a list are learned from, which validate, which judge, and their classes."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing
from fne_cli.progress import Progress, counted
from fne_cli.steps.train.options import Selection
from fne_cli.unprintable import plain

ROLES = ("train", "val", "test")
"""What an image is there for: to learn from, to validate, to judge."""


@dataclass(frozen=True)
class ChosenImages:
    """The training images of a list, then its validation images, then those that judge.

    labels: (n,) int32, the place of each image's class among `classes`. roles: (n,) int8, the place of each image's
    part among ROLES.
    """

    listing: Listing
    classes: Sequence[str]
    labels: np.ndarray
    roles: np.ndarray

    def numbers(self, role: str, good: np.ndarray) -> np.ndarray:
        """Those of the images that are `good`, (n,) bool, and have a role."""
        return np.flatnonzero(good & (self.roles == ROLES.index(role)))


def choose(
    listing: Listing,
    images: str,
    patience: bool,
    progress: Progress,
    selection: Selection = Selection(),  # noqa: B008  # frozen
    judges: Listing | None = None,
) -> ChosenImages:
    """Training images are those of split train, or all if there are no splits; validation images those of split val.

    Or as the selection has it. judges: a list whose images of split test judge. Images without a label, and those of
    classes that nothing is learned of, are left out, and `progress` is told. Raises BadInput where there are no labels,
    fewer than two classes, no training split, several labels each, or too few images of a class.
    """
    if listing.several:
        raise BadInput(f"{images} should have one label for each image, to train on. Found: several labels per image.")
    splits = Counter(listing.splits)
    if any(splits) and "train" not in splits:
        raise BadInput(
            f"{images} should have a split train. Found: {', '.join(sorted(name or 'none' for name in splits))}.\n"
            "fne split makes a manifest with splits."
        )
    if patience and "val" not in splits and selection.val is None:
        found = ", ".join(sorted(filter(None, splits))) or "no splits"
        raise BadInput(
            f"--patience looks at validation images, so {images} should have a split val. Found: {found}.\n"
            "Give --val 10%, or put them into class folders below val/, or name split val in a manifest, or leave "
            "--patience out."
        )
    if selection.val is not None and "val" in splits:
        raise BadInput(f"--val draws validation images where there is no split val. Found: {images} has one.")
    wanted = "train" if any(splits) else ""
    learned = [n for n, split in enumerate(listing.splits) if split == wanted and listing.labels[n]]
    if not learned:
        raise BadInput(
            f"{images} should have training images with labels. Found: none of them has one.\n"
            "Put them into a folder for each class, or name a column label in a manifest."
        )
    classes = _classes({listing.labels[number][0] for number in learned}, images, selection)
    place = {name: number for number, name in enumerate(classes)}
    rest = splits[wanted] - len(learned)
    if rest:
        progress.note(f"{counted(rest, 'training image')} without a label left out")
    learned = [number for number in learned if listing.labels[number][0] in place]
    validating = _labelled(listing, "val", place)
    if (unusable := splits["val"] - len(validating)) and not selection.classes:
        progress.note(f"{counted(unusable, 'validation image')} without a label, or of classes not trained, left out")
    learned, drawn = _drawn(listing, learned, images, selection)
    validating = validating + drawn
    if patience and not validating:
        raise BadInput(f"{images}: split val should have images of the training classes. Found: none.")
    judging = [] if judges is None else _labelled(judges, "test", place)
    if judges is not None and not judging:
        raise BadInput(
            f"--judge {selection.judge} should have images of split test, of the training classes. Found: none."
        )
    numbers = [*learned, *validating]
    part = listing.part(numbers)
    names = [part.labels[number][0] for number in range(len(numbers))]
    if judging:
        assert judges is not None
        part = part.joined(judges.part(judging), f"{images} and --judge {selection.judge}")
        names += [judges.labels[number][0] for number in judging]
    roles = np.repeat(np.arange(3, dtype=np.int8), (len(learned), len(validating), len(judging)))
    if drawn:
        part = replace(part, splits=[ROLES[role] for role in roles.tolist()])
    return ChosenImages(part, classes, np.array([place[name] for name in names], np.int32), roles)


def _classes(found: set[str], images: str, selection: Selection) -> list[str]:
    """The classes to learn."""
    if unknown := [name for name in selection.classes if name not in found]:
        near = difflib.get_close_matches(unknown[0], found, n=1)
        raise BadInput(
            f"--classes should name classes of the training images of {images}. Found: {plain(unknown[0])}."
            + (f" Did you mean {plain(near[0])}?" if near else "")
        )
    classes = sorted(set(selection.classes) or found)
    if len(classes) < 2:
        raise BadInput(
            f"{images} should have at least two classes among its training images. Found: {classes[0]!r} alone."
        )
    return classes


def _labelled(listing: Listing, split: str, classes: Mapping[str, int]) -> list[int]:
    """The images of a split that have one of the classes."""
    return [
        number
        for number, (name, labels) in enumerate(zip(listing.splits, listing.labels, strict=True))
        if name == split and labels and labels[0] in classes
    ]


def _drawn(listing: Listing, learned: Sequence[int], images: str, selection: Selection) -> tuple[list[int], list[int]]:
    """Which images are learned from, and which are drawn to validate.

    Those of a class depend on its images, its name and the seed alone; fewer per class are some of more.
    """
    if selection.val is None and selection.per_class is None:
        return list(learned), []
    members: dict[str, list[int]] = {}
    for number in learned:
        members.setdefault(listing.labels[number][0], []).append(number)
    left: list[int] = []
    validating: list[int] = []
    for name, own in members.items():
        seed = [selection.draw, *hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()[:8]]
        order = np.random.default_rng(seed).permutation(own).tolist()
        held = 0 if selection.val is None else max(1, round(selection.val * len(own)))
        wanted = len(own) - held if selection.per_class is None else selection.per_class
        if not 1 <= wanted <= len(own) - held:
            held_out = f", of which {held:,} validate" if held else ""
            raise BadInput(
                f"{images}: class {plain(name)} should have {max(wanted, 1):,} images to learn from. "
                f"Found: {len(own):,}{held_out}. Give a smaller --per-class{' or --val' if held else ''}."
            )
        validating += order[:held]
        left += order[held : held + wanted]
    return sorted(left), sorted(validating)


def without(chosen: ChosenImages, good: np.ndarray, images: str) -> np.ndarray:
    """Which images are left without the bad ones. Raises BadInput if a class has no training images then."""
    left = np.bincount(chosen.labels[chosen.numbers(ROLES[0], good)], minlength=len(chosen.classes))
    if not left.all():
        name = chosen.classes[int(np.flatnonzero(left == 0)[0])]
        raise BadInput(f"{images} should have a readable training image of every class. Found: none of {name!r}.")
    return good
