"""What a classifier says of every image, as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from fne_cli.errors import BadInput, DamagedFile
from fne_cli.store.other.cells import as_cell, name_in

_FIELD_CHARACTERS = 1 << 20


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
    """A line per image: columns, path, truth, prediction, and a column `decision:CLASS` each, with all digits.

    Names stand in it as `cells.as_cell` has them.
    """
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow((*columns, "path", "truth", "prediction", *(as_cell(f"decision:{name}") for name in classes)))
    for part in parts:
        for path, truth, prediction, decisions in zip(
            part.path, part.truth, part.prediction, part.decisions.tolist(), strict=True
        ):
            values = ("" if value == -np.inf else repr(value) for value in decisions)
            lines.writerow((*map(as_cell, (*part.columns, path, truth, prediction)), *values))


def is_predictions(path: Path) -> bool:
    """Whether the first line of a file is that of a table which `write_predictions` wrote."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            head = next(csv.reader([file.readline(_FIELD_CHARACTERS)]), [])
    except (OSError, ValueError, csv.Error):
        return False
    names = [name_in(text) for text in head]
    while names and names[0] in ("embedding", "trial"):
        names.pop(0)
    return names[:3] == ["path", "truth", "prediction"] and all(name.startswith("decision:") for name in names[3:])


@dataclass(frozen=True)
class Prediction:
    """A line of such a file: decisions (classes,) float64, -inf for a class without training images."""

    embedding: str
    path: str
    truth: str
    prediction: str
    decisions: np.ndarray


@contextmanager
def _long_fields() -> Iterator[None]:
    """While it is open, a field may have as many characters as the names of all classes; the limit is the process's."""
    before = csv.field_size_limit(_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_predictions(path: Path, classes: Sequence[str]) -> Iterator[Prediction]:
    """The lines of a file of fne evaluate, whose classes should be these. Raises BadInput or DamagedFile."""
    head = ["path", "truth", "prediction", *(f"decision:{name}" for name in classes)]
    try:
        with _long_fields(), open(path, encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            found = [name_in(text) for text in next(lines, [])]
            before = len(found) - len(head)
            if found[before:] != head or found[:1] != ["embedding"] or before not in (1, 2):
                raise DamagedFile(
                    f"{path} should have the columns embedding, path, truth, prediction and a decision for each of "
                    f"{len(classes):,} classes. Found: other columns.\nfne evaluate --predictions writes them."
                )
            for line in lines:
                if len(line) != len(found):
                    raise ValueError(f"line {lines.line_num} has {len(line)} columns")
                values = np.array([float(value) if value else -np.inf for value in line[before + 3 :]])
                if np.isnan(values).any() or (values == np.inf).any():
                    raise ValueError(f"line {lines.line_num} has decisions that are no numbers")
                embedding, image, truth, prediction = map(name_in, (line[0], *line[before : before + 3]))
                yield Prediction(embedding, image, truth, prediction, values)
    except OSError as error:
        raise BadInput(f"{path} should be predictions that can be read. Found: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise DamagedFile(f"{path} should be predictions of fne evaluate. Found: {error}.") from error


def label_names(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The class of every image, "" for none; several with semicolons between them."""
    names = np.array(list(classes), object)
    if labels.ndim == 1:
        return [names[label] if label >= 0 else "" for label in labels.tolist()]
    return [";".join(names[row == 1].tolist()) for row in labels]


def read_said(path: Path) -> dict[str, str]:
    """What is predicted of images, by their paths: any CSV with the columns path and prediction.

    Of an image with several lines (embeddings, trials) the first counts. Raises BadInput or DamagedFile.
    """
    said: dict[str, str] = {}
    try:
        with _long_fields(), open(path, encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            head = next(lines, [])
            if "path" not in head or "prediction" not in head:
                raise BadInput(
                    f"{path} should be CSV with the columns path and prediction. Found: no such columns.\n"
                    "fne predict writes it, and fne evaluate --predictions."
                )
            name, prediction = head.index("path"), head.index("prediction")
            for line in lines:
                if len(line) != len(head):
                    raise ValueError(f"line {lines.line_num} has {len(line)} columns")
                said.setdefault(name_in(line[name]), name_in(line[prediction]))
    except OSError as error:
        raise BadInput(f"{path} should be predictions that can be read. Found: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise DamagedFile(f"{path} should be CSV with predictions. Found: {error}.") from error
    return said


def is_right(truth: str, prediction: str) -> bool:
    """Whether names of classes, several with semicolons between them, are the same."""
    return set(truth.split(";")) == set(prediction.split(";"))
