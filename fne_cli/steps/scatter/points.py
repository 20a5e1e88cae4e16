"""The images that are shown: what is known of each, and where it lies."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.cells import as_cell
from fne_cli.store.other.predictions import is_right, label_names


@dataclass(frozen=True)
class Shown:
    """Some images: their numbers, ascending, and of each path, label, split and prediction, "" for none.

    predicted: whether there are predictions. right: of each, None where label or prediction is not known.
    """

    numbers: np.ndarray
    path: list[str]
    label: list[str]
    split: list[str]
    prediction: list[str]
    predicted: bool
    right: list[bool | None]

    @property
    def wrong(self) -> int | None:
        """How many are predicted wrong; None without predictions."""
        return self.right.count(False) if self.predicted else None


@dataclass(frozen=True)
class Points:
    """Images, and (n, 2) where each lies."""

    shown: Shown
    places: np.ndarray


def shown_images(
    files: JoinedFiles, numbers: np.ndarray, said: Mapping[str, str] | None, predictions: Path | None
) -> Shown:
    """What is known of images, by their ascending numbers. Raises BadInput if no prediction is of one of them."""
    images = files.images
    path, split = ([column[number] for number in numbers.tolist()] for column in (images.path, images.split))
    label = label_names(images.label[numbers], images.classes)
    prediction = [(said or {}).get(name, "") for name in path]
    if said is not None and not any(prediction):
        raise BadInput(
            f"--predictions {predictions} should be of the images of {files.name}. Found: {len(said):,} paths, none "
            f"of them here, where the first is {path[0]}."
        )
    right = [
        is_right(truth, guess) if truth and guess else None for truth, guess in zip(label, prediction, strict=True)
    ]
    return Shown(numbers, path, label, split, prediction, said is not None, right)


def write_table(path: Path, points: Points) -> None:
    """A line for each image; names stand in it as `cells.as_cell` has them, coordinates with all their digits."""
    shown = points.shown
    columns = [shown.path, shown.split, shown.label] + ([shown.prediction] if shown.predicted else [])
    head = ["path", "split", "label"] + (["prediction"] if shown.predicted else [])
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([*head, "x", "y"])
        for *names, place in zip(*columns, points.places.tolist(), strict=True):
            lines.writerow([*map(as_cell, names), *map(repr, place)])
