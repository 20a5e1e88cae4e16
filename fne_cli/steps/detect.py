"""a saved classifier + features of regions -> boxes with scores, and how well they find objects."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, DoesNotFit, WrongFile
from fne_cli.images.lists.annotated.annotations import Objects, read_annotations
from fne_cli.machine import free_memory
from fne_cli.numerics.evaluation.metrics import average_precision, json_number, mean_of
from fne_cli.numerics.localization.detections import precisions, suppressed, voc_precision
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.cells import as_cell, name_in
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.unprintable import plain
from fne_cli.vectors.classified import SavedClassifier
from fne_cli.vectors.items import box_of, picture_of

COLUMNS = ("path", "class", "score", "x0", "y0", "x1", "y1")
BLOCK = 1024  # regions at a time


@dataclass(frozen=True)
class Detected:
    """The file, its pictures and boxes; measured: how well these find annotated objects, if there are annotations."""

    path: Path
    pictures: int
    boxes: int
    measured: dict[str, Any] | None
    up_to_date: bool = False


def detect(
    model: Path,
    features: Path,
    output: Path,
    *,
    rows: str | None = None,
    overlap: float = 0.3,
    boxes: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Detected:
    """Write the boxes of every class and picture with decision values, without those that overlap with better ones.

    features: rows of regions, as fne split --regions and fne extract make them. rows: a split, or all (default: test,
    or all without splits). overlap: intersection over union above which the box with the lower score goes. boxes:
    annotations, to measure average precision. Raises the errors of fne_cli.errors.
    """
    saved = SavedClassifier.of(model)
    with open_file(features, saved.takes) as source:
        layers = saved.layers_of(source)
        rows = rows or ("test" if "test" in source.images.splits else "all")
        _, chosen = source.images.chosen(rows)
        regions = _Regions.of(source, np.flatnonzero(chosen))
        settings = {"rows": rows, "overlap": overlap}
        origin = Origin(
            "detections",
            settings,
            saved.origin_sources(source),
            {"classifier": (model,), "features": (features,)},
            network=source.settings,
        )
        digest = fingerprint("detections", {**settings, "model": saved.head}, saved.sources(source))
        what = "of this classifier and these regions"
        there = is_recorded(output, digest, origin, overwrite, what, progress, ours=is_detections)
        if not there:
            _check_memory(len(regions.numbers), len(saved.classes))
            decisions = np.empty((len(regions.numbers), len(saved.classes)))
            with progress.track(len(regions.numbers), "regions") as advance:
                for start in range(0, len(decisions), BLOCK):
                    part = regions.numbers[start : start + BLOCK]
                    decisions[start : start + BLOCK] = saved.judged(source, layers, part).decisions
                    advance(len(part))
            with Output(output) as target:
                with open(target.into, "w", newline="", encoding="utf-8") as file:
                    lines = csv.writer(file, lineterminator="\n")
                    lines.writerow(COLUMNS)
                    lines.writerows(_lines(regions, decisions, saved.classes, overlap))
                target.accept_noted({"fingerprint": digest, **origin.noted_whole(output)})
        found = list(read_detections(output))
        measured = None if boxes is None else _measured(found, boxes, list(regions.places), saved.classes)
        return Detected(output, len(regions.places), len(found), measured, up_to_date=there)


@dataclass(frozen=True)
class _Regions:
    """numbers: of the rows, ascending. boxes: (rows, 4). places: of each picture, among them, in their order."""

    numbers: np.ndarray
    boxes: np.ndarray
    places: dict[str, list[int]]

    @classmethod
    def of(cls, source: Reader, numbers: np.ndarray) -> _Regions:
        """Raises WrongFile for a row that is no region."""
        places: dict[str, list[int]] = {}
        boxes = []
        for place, number in enumerate(numbers.tolist()):
            name = source.images.path[number]
            box = box_of(name)
            if box is None:
                raise WrongFile(
                    f"{source.path} should have regions of images, path#x0,y0,x1,y1. Found: {plain(name)}.\n"
                    "Make them: fne split IMAGES regions.csv --regions sliding:3, and extract that."
                )
            boxes.append(box)
            places.setdefault(picture_of(name), []).append(place)
        return cls(numbers, np.array(boxes), places)


def _check_memory(regions: int, classes: int) -> None:
    needed, free = 8 * regions * classes, free_memory() // 2
    if needed > free:
        raise DoesNotFit(
            f"The decision values of {regions:,} regions and {classes:,} classes take {needed:,} bytes. Found: {free:,}"
            " that may be used.\nDetect in fewer at a time: --rows SPLIT"
        )


def _lines(
    regions: _Regions, decisions: np.ndarray, classes: Sequence[str], overlap: float
) -> Iterator[tuple[Any, ...]]:
    """The boxes that stay, the best of each picture and class first."""
    for picture, places in regions.places.items():
        boxes, values = regions.boxes[places], decisions[places]
        for number, name in enumerate(classes):
            for place in suppressed(boxes, values[:, number], overlap).tolist():
                yield (as_cell(picture), as_cell(name), float(values[place, number]), *boxes[place].tolist())


@dataclass(frozen=True)
class Detection:
    """A line of such a file."""

    path: str
    class_name: str
    score: float
    box: tuple[float, ...]


def is_detections(path: Path) -> bool:
    """Whether the first line of a file is that of a table of detections."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.readline(200).rstrip("\n") == ",".join(COLUMNS)
    except (OSError, ValueError):
        return False


def read_detections(path: Path) -> Iterator[Detection]:
    """The lines of what `detect` wrote. Raises DamagedFile."""
    with open(path, encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines, None)
        try:
            for name, class_name, score, *box in lines:
                yield Detection(name_in(name), name_in(class_name), float(score), tuple(map(float, box)))
        except (ValueError, csv.Error) as error:
            raise DamagedFile(f"{path}, line {lines.line_num}, should be a detection. Found: {error}.") from error


def _measured(
    found: Sequence[Detection], boxes: str, pictures: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
    """Average precision of boxes, and of pictures by the score of their best box, of those that are annotated."""
    annotations = read_annotations(boxes)
    objects = dict(zip(pictures, annotations.of(pictures), strict=True))
    known: dict[str, Objects] = {name: own for name, own in objects.items() if own is not None}
    by_class: dict[str, list[Detection]] = {name: [] for name in classes}
    for one in found:
        if one.path in known:
            by_class[one.class_name].append(one)
    results, of_pictures = {}, {}
    for name in sorted({*classes, *annotations.classes}):
        own = by_class.get(name, [])
        places = np.array([one.box for one in own]).reshape(-1, 4)
        scores = np.array([one.score for one in own], np.float64)
        truth = {image: one.of(name) for image, one in known.items()}
        results[name] = voc_precision([one.path for one in own], places, scores, truth)
        of_pictures[name] = _of_pictures(own, truth)
    document = precisions(results)
    for row in document["per_class"]:
        row["average_precision_of_images"] = json_number(of_pictures[row["class"]])
    mean = json_number(mean_of(list(of_pictures.values())))
    return {"images": len(known), "mean_average_precision_of_images": mean, **document}


def _of_pictures(own: Sequence[Detection], truth: dict[str, tuple[np.ndarray, np.ndarray]]) -> float:
    """Of pictures by their best box; those of difficult objects alone are left out. NaN for a class without boxes."""
    if not own:
        return float("nan")
    best = dict.fromkeys(truth, -np.inf)
    for one in own:
        best[one.path] = max(best[one.path], one.score)
    present = [1 if (~hard).any() else -1 if len(hard) else 0 for _, hard in truth.values()]
    return average_precision(np.array(list(best.values())), np.array(present))
