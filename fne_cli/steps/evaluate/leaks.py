"""Images that are measured, or choose a setting, and are trained on as well: found by their bytes, and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.progress import Progress
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.leaks import first_of_same
from fne_cli.unprintable import plain

PARTS = ("test", "validation")


def looked_through(
    source: JoinedFiles, trials: list[Trial], known: Sequence[np.ndarray], leave_out: bool, progress: Progress
) -> tuple[list[Trial], dict[str, Any]]:
    """The trials, without the leaks if they are to be left out, and what the results say of that then.

    A leak is an image of which another one with the same bytes, and the same box, is among the training images.
    known: of each trial, the images that it counts as trained on. Raises BadInput if a trial has no test image left.
    """
    first = first_of_same(source)
    counts: dict[str, int] = {}
    kept = trials
    for part in PARTS:
        given = [getattr(trial, part) for trial in trials]
        leaks = [images[np.isin(first[images], first[trained])] for images, trained in zip(given, known, strict=True)]
        found = np.unique(np.concatenate(leaks))
        counts[part] = len(found)
        if not len(found):
            continue
        said = _told(source, part, len(np.unique(np.concatenate(given))), found, _alike(first, leaks, known))
        if not leave_out:
            progress.once(f"{said}: --without-leaks leaves {'it' if len(found) == 1 else 'them'} out")
            continue
        progress.once(f"{said}; left out")
        changes: list[dict[str, Any]] = [
            {part: np.setdiff1d(images, leak)} for images, leak in zip(given, leaks, strict=True)
        ]
        kept = [replace(trial, **change) for trial, change in zip(kept, changes, strict=True)]
        if part == "test" and not all(len(trial.test) for trial in kept):
            raise BadInput(
                f"{source.name} should have test images that are no training images, for --without-leaks. Found: "
                f"{'a trial with none' if len(trials) > 1 else 'none'}.\nMake another split, or leave the option out."
            )
    if not leave_out:
        return trials, {}
    some = any(len(trial.validation) for trial in trials)
    return kept, {"leaks_left_out": counts["test"]} | (
        {"validation_leaks_left_out": counts["validation"]} if some else {}
    )


def _alike(first: np.ndarray, leaks: list[np.ndarray], known: Sequence[np.ndarray]) -> dict[int, int]:
    """Of every leak a training image that is the same; numbers."""
    pairs: dict[int, int] = {}
    for own, trained in zip(leaks, known, strict=True):
        new = [image for image in own.tolist() if image not in pairs]
        if new:
            of_first = {int(first[image]): image for image in trained[np.isin(first[trained], first[new])].tolist()}
            pairs |= {image: of_first[int(first[image])] for image in new}
    return pairs


def _told(source: JoinedFiles, part: str, count: int, found: np.ndarray, alike: dict[int, int]) -> str:
    """How many images of a part are leaks, with an example, and how many of them are labelled otherwise."""
    path, label = source.images.path, source.images.label
    one = int(found[0])
    twins = np.array([alike[image] for image in found.tolist()])
    differing = label[found] != label[twins]
    others = int(np.count_nonzero(differing if differing.ndim == 1 else differing.any(axis=1)))
    labelled = f", {others:,} of them with another label" if others else ""
    return (
        f"{len(found):,} of {count:,} {part} images {'is' if len(found) == 1 else 'are'} byte for byte training images"
        f"{labelled}, such as {plain(path[one])}, which is {plain(path[alike[one]])}"
    )
