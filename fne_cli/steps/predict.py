"""a saved classifier + codes (or activations) -> the class of every image."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.predictions import Predicted, is_predictions, label_names, write_predictions
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.vectors.classified import SavedClassifier

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
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Prediction:
    """Write path, truth, prediction and decision values of every good image (of a split) as CSV.

    Raises WrongFile if the features were not made as those that the classifier was trained on.
    """
    classifier = SavedClassifier.of(model)
    with open_file(features, classifier.takes) as source:
        layers = classifier.layers_of(source)
        digest = fingerprint("predictions", {"rows": rows, "model": classifier.head}, classifier.sources(source))
        origin = Origin(
            "predictions",
            {"rows": rows},
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
        counts = {"labelled": 0, "right": 0}

        def parts() -> Iterator[Predicted]:
            with progress.track(len(numbers), "images") as advance:
                for start in range(0, len(numbers), BLOCK):
                    block = numbers[start : start + BLOCK]
                    judged = classifier.judged(source, layers, block)
                    prediction = label_names(classifier.said(judged), classes)
                    truth = label_names(images.label[block], images.classes)
                    if not classifier.several and images.label.ndim == 1:
                        labelled = [name for name in truth if name in known]
                        counts["labelled"] += len(labelled)
                        counts["right"] += sum(a == b for a, b in zip(truth, prediction, strict=True))
                    paths = [images.path[number] for number in block.tolist()]
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
        return Prediction(output, len(numbers), counts["labelled"], right)
