"""Test images that are training images by their bytes: said, and left out if so asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.progress import Progress
from fne_cli.store.many.leaks import first_of_same
from fne_cli.trials.labelled import Labelled
from fne_cli.unprintable import plain


def apart(
    source: Labelled, trials: list[Trial], known: Sequence[np.ndarray], without: bool, progress: Progress
) -> tuple[list[Trial], dict[str, int]]:
    """The trials, without copies of training images among their test images if so asked; what to say of these.

    Copies are images of the same bytes, and the same box. known: of each trial, the images that count as trained on.
    Raises BadInput if nothing is left to be measured.
    """
    first = first_of_same(source)
    leaks = [_copies(first, trial.test, trained) for trial, trained in zip(trials, known, strict=True)]
    leaked = np.unique(np.concatenate(leaks))
    if len(leaked):
        measured = len(np.unique(np.concatenate([trial.test for trial in trials])))
        where = " of the same trial" if any(dict(trial.of).get("fold") for trial in trials) else ""
        are, they, them = ("is", "it is", "it") if len(leaked) == 1 else ("are", "they are", "them")
        what = f"{they} left out" if without else f"{they} measured all the same; --without-leaks leaves {them} out"
        progress.once(
            f"{len(leaked):,} of {measured:,} test images {are} byte for byte training images{where}"
            f"{_pair(source, leaked, _originals(first, leaks, known))}: {what}"
        )
    validated = _copies(first, trials[0].validation, known[0])
    if len(validated):
        progress.once(
            f"{len(validated):,} of {len(trials[0].validation):,} validation images "
            f"{'is' if len(validated) == 1 else 'are'} byte for byte training images"
        )
    if not without:
        return trials, {}
    kept = [replace(trial, test=np.setdiff1d(trial.test, own)) for trial, own in zip(trials, leaks, strict=True)]
    if empty := next((trial for trial in kept if not len(trial.test)), None):
        raise BadInput(
            "--without-leaks should leave test images to be measured. Found: all of them are byte for byte training "
            f"images{f' ({empty.name})' if empty.name else ''}. Make another split."
        )
    return kept, {"test_images_left_out_as_copies": len(leaked)}


def _copies(first: np.ndarray, images: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Those of `images` that are the same as some that are trained on."""
    return images[np.isin(first[images], first[trained])]


def _originals(first: np.ndarray, leaks: list[np.ndarray], known: Sequence[np.ndarray]) -> dict[int, int]:
    """Of every copy, by its number, the first training image that is the same."""
    found: dict[int, int] = {}
    for own, trained in zip(leaks, known, strict=True):
        twins = trained[np.isin(first[trained], first[own])]
        of_first = dict(zip(first[twins][::-1].tolist(), twins[::-1].tolist(), strict=True))
        for image in own.tolist():
            found.setdefault(image, of_first[int(first[image])])
    return found


def _pair(source: Labelled, leaked: np.ndarray, originals: dict[int, int]) -> str:
    """How many copies are labelled otherwise than their originals, and an example."""
    path, label = source.images.path, source.images.label
    differing = label[leaked] != label[[originals[image] for image in leaked.tolist()]]
    others = int(np.count_nonzero(differing if differing.ndim == 1 else differing.any(axis=1)))
    labelled = f", {others:,} of them under another label" if others else ""
    copy = int(leaked[0])
    return f"{labelled}, such as {plain(path[copy])} and {plain(path[originals[copy]])}"
