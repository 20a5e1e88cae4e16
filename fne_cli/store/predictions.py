"""What a classifier says of every image, as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np


@dataclass(frozen=True)
class Predicted:
    """Of some images: path, truth ("" if unknown) and prediction, names; decisions (images, classes) float64.

    `columns` stand before them, the same for all: the embedding, the trial. -inf is a class without training images.
    """

    path: Sequence[str]
    truth: Sequence[str]
    prediction: Sequence[str]
    decisions: np.ndarray
    columns: tuple[str, ...] = ()


def write_predictions(
    file: TextIO, classes: Sequence[str], parts: Iterable[Predicted], columns: Sequence[str] = ()
) -> None:
    """A line per image: columns, path, truth, prediction, and a column `decision:CLASS` each, with all digits."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow((*columns, "path", "truth", "prediction", *(f"decision:{name}" for name in classes)))
    for part in parts:
        for path, truth, prediction, decisions in zip(
            part.path, part.truth, part.prediction, part.decisions.tolist(), strict=True
        ):
            values = ("" if value == -np.inf else repr(value) for value in decisions)
            lines.writerow((*part.columns, path, truth, prediction, *values))


def label_names(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The class of every image, "" for none; several with semicolons between them."""
    names = np.array(list(classes), object)
    if labels.ndim == 1:
        return [names[label] if label >= 0 else "" for label in labels.tolist()]
    return [";".join(names[row == 1].tolist()) for row in labels]
