"""a saved classifier + codes (or activations) -> the class of every image."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.regions import Together, shown, together
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.predictions import Predicted, is_predictions, label_names, write_predictions
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.vectors.classified import SavedClassifier
from fne_cli.vectors.items import picture_of

BLOCK = 1024  # images at a time


@dataclass(frozen=True)
class Prediction:
    """How many images have got a class, how many of them have a label, and how many of those are right.

    The last is None with several labels per image; `path` is None if the lines went to standard output.
    """

    path: Path | None
    images: int
    labelled: int
    right: int | None
    up_to_date: bool = False


def predict(
    model: Path,
    features: Path,
    output: Path | None = None,
    *,
    rows: str = "all",
    regions: Together | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Prediction:
    """Write path, truth, prediction and decision values of every good image (of a split) as CSV.

    regions: a line for each picture instead, with the largest decision values of its regions, or their sums.
    Raises WrongFile if the features were not made as those that the classifier was trained on.
    """
    classifier = SavedClassifier.of(model)
    with open_file(features, classifier.takes) as source:
        layers = classifier.layers_of(source)
        settings = {"rows": rows} | ({} if regions is None else {"regions": regions})
        digest = fingerprint("predictions", {**settings, "model": classifier.head}, classifier.sources(source))
        origin = Origin(
            "predictions",
            settings,
            classifier.origin_sources(source),
            {"classifier": (model,), "features": (features,)},
            network=source.settings,
        )
        what = "of this classifier and these images"
        if output is not None and is_recorded(output, digest, origin, overwrite, what, progress, ours=is_predictions):
            return Prediction(output, 0, 0, None, up_to_date=True)
        images = source.images
        _, chosen = images.chosen(rows)
        numbers = np.flatnonzero(chosen)
        classes = classifier.classes
        known = {name: number for number, name in enumerate(classes)}
        counts = {"images": 0, "labelled": 0, "right": 0}

        def parts() -> Iterator[Predicted]:
            with progress.track(len(numbers), "images") as advance:
                blocks = _blocks(numbers) if regions is None else _pictures(numbers, images.path)
                for block, groups in blocks:
                    judged = classifier.judged(source, layers, block)
                    paths, labels = [images.path[number] for number in block.tolist()], images.label[block]
                    if regions is not None:
                        paths = [picture_of(paths[group[0]]) for group in groups]
                        judged, labels = together(judged, groups, regions), shown(labels, groups)
                    prediction = label_names(classifier.said(judged), classes)
                    truth = label_names(labels, images.classes)
                    counts["images"] += len(paths)
                    if not classifier.several and images.label.ndim == 1:
                        labelled = [name for name in truth if name in known]
                        counts["labelled"] += len(labelled)
                        counts["right"] += sum(a == b for a, b in zip(truth, prediction, strict=True))
                    yield Predicted(paths, truth, prediction, judged.decisions)
                    advance(len(block))

        if output is None:
            if sys.stdout is None:
                raise BadInput("Standard output should be open for the predictions. Found: closed. Name an OUTPUT.")
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8", newline="")  # CSV is the same bytes everywhere
            write_predictions(sys.stdout, classes, parts())
        else:
            with Output(output) as target:
                with open(target.into, "w", newline="", encoding="utf-8") as file:
                    write_predictions(file, classes, parts())
                target.accept_noted({"fingerprint": digest, **origin.noted_whole(output)})
        right = None if classifier.several else counts["right"]
        return Prediction(output, counts["images"], counts["labelled"], right)


def _blocks(numbers: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    for start in range(0, len(numbers), BLOCK):
        yield numbers[start : start + BLOCK], []


def _pictures(numbers: np.ndarray, paths: Sequence[str]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Ascending numbers of whole pictures, and where the regions of each stand among them."""
    members: dict[str, list[int]] = {}
    for number in numbers.tolist():
        members.setdefault(picture_of(paths[number]), []).append(number)
    waiting: list[list[int]] = []
    for own in members.values():
        waiting.append(own)
        if sum(map(len, waiting)) >= BLOCK:
            yield _block(waiting)
            waiting = []
    if waiting:
        yield _block(waiting)


def _block(pictures: list[list[int]]) -> tuple[np.ndarray, list[np.ndarray]]:
    block = np.sort(np.concatenate([np.array(own, np.int64) for own in pictures]))
    return block, [np.searchsorted(block, own) for own in pictures]
