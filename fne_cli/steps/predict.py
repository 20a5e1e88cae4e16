"""a saved classifier + codes (or activations) -> the class of every image."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongFile
from fne_cli.numerics.embedding import Embedding, arrays_of, embedding
from fne_cli.numerics.evaluation.metrics import judge
from fne_cli.numerics.models import model_of
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import comparable, differences, fingerprint, moments_of
from fne_cli.store.many.gather import gathered
from fne_cli.store.other.classifiers import load_model
from fne_cli.store.other.predictions import Predicted, is_predictions, label_names, write_predictions
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded

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
    head, arrays = load_model(model, arrays_of)
    fitted = None
    if head["embedding"] != "codes":
        fitted = embedding(head["embedding"]).of_state(arrays, head["layer_features"], tuple(head["thresholds"]))
    with open_file(features, "codes" if head["embedding"] == "codes" else "activations") as source:
        layers = _layers(model, head, source)
        made_from = _sources(source, arrays)
        digest = fingerprint("predictions", {"rows": rows, "model": head}, made_from)
        origin = Origin(
            "predictions",
            {"rows": rows},
            [made_from[0], {"kind": "classifier", "fingerprint": fingerprint("classifier", head, made_from[1])}],
            {"classifier": (model,), "features": (features,)},
            network=source.settings,
        )
        what = "of this classifier and these images"
        if output is not None and is_recorded(output, digest, origin, overwrite, what, progress, ours=is_predictions):
            return Prediction(output, 0, 0, None, up_to_date=True)
        images = source.images
        _, chosen = images.chosen(rows)
        numbers = np.flatnonzero(chosen)
        classes: list[str] = head["classes"]
        known = {name: number for number, name in enumerate(classes)}
        counts = {"labelled": 0, "right": 0}

        def parts() -> Iterator[Predicted]:
            with progress.track(len(numbers), "images") as advance:
                for start in range(0, len(numbers), BLOCK):
                    block = numbers[start : start + BLOCK]
                    decisions, prediction = _decided(head, arrays, fitted, source, layers, block)
                    truth = label_names(images.label[block], images.classes)
                    if not head["several_labels"] and images.label.ndim == 1:
                        labelled = [name for name in truth if name in known]
                        counts["labelled"] += len(labelled)
                        counts["right"] += sum(a == b for a, b in zip(truth, prediction, strict=True))
                    paths = [images.path[number] for number in block.tolist()]
                    yield Predicted(paths, truth, prediction, decisions)
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
        right = None if head["several_labels"] else counts["right"]
        return Prediction(output, len(numbers), counts["labelled"], right)


def _decided(
    head: dict[str, Any],
    arrays: dict[str, np.ndarray],
    fitted: Embedding | None,
    source: Reader,
    layers: list[LayerReader],
    block: np.ndarray,
) -> tuple[np.ndarray, list[str]]:
    """Decision values (images, classes) and the classes of some images."""
    classes, crops = head["classes"], int(source.settings["crops"])
    temperature = None if "temperature" not in head else float(head["temperature"])
    model = model_of(
        head.get("classifier", "svm"), np.arange(len(classes)), sum(head["layer_features"]), arrays, temperature
    )
    rows = (values for _, values in gathered(layers, crops, block))
    decisions = np.concatenate(
        [model.decisions(values if fitted is None else fitted.encode(values)) for values in rows]
    )
    judged = judge(model.classes, decisions, len(classes), crops, head["aggregate"])
    said = (judged.decisions > 0).astype(np.int8) if head["several_labels"] else judged.predicted
    return judged.decisions, label_names(said, classes)


def _layers(model: Path, head: dict[str, Any], source: Reader) -> list[LayerReader]:
    """The layers that the classifier was trained on. Raises WrongFile if these are not the same features."""
    missing = [name for name in head["layers"] if name not in source.layers]
    if missing:
        raise WrongFile(f"{source.path} should have the layers of {model}. Found: no layer {missing[0]}.")
    layers = [source.layers[name] for name in head["layers"]]
    widths = [layer.features for layer in layers]
    words = ("here", "there")
    apart = differences(comparable(head["made_from"]), comparable(source.settings), words)
    if head["embedding"] == "codes" and not apart:
        apart += differences(moments_of(head["sources"]), moments_of(source.sources), words)
    if widths != head["layer_features"] or apart:
        raise WrongFile(
            f"{source.path} should have features made like those that {model} was trained on. Found:\n  "
            + "\n  ".join(apart or [f"{sum(widths):,} features instead of {sum(head['layer_features']):,}"])
            + (
                "\nMake the codes with the moments of the training images."
                if apart and apart[0].startswith("moments")
                else ""
            )
        )
    return layers


def _sources(source: Reader, arrays: dict[str, np.ndarray]) -> list[dict[str, str]]:
    import hashlib

    content = hashlib.sha256()
    for name in sorted(arrays):
        content.update(arrays[name].tobytes())
    return [
        {"kind": source.kind, "fingerprint": source.fingerprint},
        {"kind": "model", "fingerprint": content.hexdigest()},
    ]
