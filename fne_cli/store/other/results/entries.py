"""An entry of results, one embedding or layer that was measured, looked at before it is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fne_cli.measures import MEASURES
from fne_cli.store.other.objects import Claim, is_share
from fne_cli.store.other.results.tested import Right, Tested, read_right

_MOST_CLASSES = 1 << 14


@dataclass(frozen=True)
class ClassResult:
    """One class of an entry: its accuracy or average precision (None without test images), and numbers of images."""

    name: str
    value: float | None
    training: int
    test: int


@dataclass(frozen=True)
class Entry:
    """One embedding or layer, measured. Fractions; a figure that was not measured is missing from `figures`.

    spreads: standard deviations over `trials`. interval: 95 % of the mean per-class accuracy. per_class: training
    images per class of a learning curve. confusion: (k, k) int64, rows are true classes; None with several labels per
    image (`several`). costs: the values of C, of ridge the penalties, by which it was trained. right: which test images
    are; None before version 3, and with several labels. recipes: what the recipe auto chose, with its classifier.
    seconds: of a training and its measurement on average, which only the run record beside the file may say.
    """

    name: str
    figures: Mapping[str, float]
    spreads: Mapping[str, float]
    interval: tuple[float, float] | None
    per_class: int | None
    folds: int | None
    trials: int
    features: int
    costs: Sequence[float]
    classes: Sequence[str]
    each_class: Sequence[ClassResult]
    confusion: np.ndarray | None
    several: bool
    right: Right | None = None
    recipes: Sequence[str] = ()
    seconds: float | None = None


def read_entry(part: Claim, tested: Tested | None) -> Entry:
    """What the file says of an entry. Raises DamagedFile."""
    several = "mean_average_precision" in part.value
    figures = {key: value for key in MEASURES if (value := part.share(key)) is not None}
    spreads = {key: value for key in MEASURES if (value := part.number(f"{key}_std")) is not None}
    classes = part.listed("classes")
    if not all(isinstance(name, str) for name in classes) or not 0 < len(set(classes)) == len(classes) < _MOST_CLASSES:
        raise part.wrong("classes", "distinct names", classes)
    rows = []
    for one in part.parts("per_class"):
        value = one.share("average_precision" if several else "accuracy")
        rows.append(ClassResult(one.text("class"), value, one.count("training_images"), one.count("test_images")))
    if [row.name for row in rows] != classes:
        raise part.wrong("per_class", "the classes, in their order", [row.name for row in rows])
    key = next((key for key in ("penalty", "shrinkage") if key in part.value), "C")
    cost = [] if "recipe" in part.value else part.value.get(key, [])  # a recipe chooses more than one number
    costs = cost if isinstance(cost, list) else [cost]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in costs):
        raise part.wrong(key, "numbers", cost)
    repeated = "trials" in part.value
    return Entry(
        name=part.text("name"),
        figures=figures,
        spreads=spreads,
        interval=_interval(part, "mean_per_class_accuracy_wilson_95") or _interval(part, "mean_per_class_accuracy_95"),
        per_class=part.count("training_images_per_class") if "training_images_per_class" in part.value else None,
        folds=part.count("folds") if "folds" in part.value else None,
        trials=part.count("trials") if repeated else 1,
        features=part.count("features"),
        costs=tuple(float(one) for one in costs),
        classes=classes,
        each_class=rows,
        confusion=None if several or part.value.get("confusion") is None else _confusion(part, len(classes)),
        several=several,
        right=None if several else read_right(part, tested),
        recipes=_recipes(part),
    )


def _recipes(part: Claim) -> list[str]:
    """Embedding and penalty, in words."""
    found = []
    for key, words in (("recipe", "{}"), ("classifier", "{}"), ("penalty", "penalty {}")):
        said = part.value.get(key, [])
        each = said if isinstance(said, list) else [said]
        if not all(isinstance(one, str | int | float) for one in each):
            raise part.wrong(key, "text, or a number", said)
        found += [words.format(" or ".join(map(str, each)))] if each else []
    return found if "recipe" in part.value else []


def _interval(part: Claim, key: str) -> tuple[float, float] | None:
    found = part.value.get(key)
    if found is None:
        return None
    if not (isinstance(found, list) and len(found) == 2 and all(map(is_share, found))):
        raise part.wrong(key, "two fractions", found)
    return float(found[0]), float(found[1])


def _confusion(part: Claim, classes: int) -> np.ndarray:
    """(classes, classes) int64."""
    rows, expected = part.listed("confusion"), f"{classes} rows of {classes} counts"
    if len(rows) != classes:
        raise part.wrong("confusion", expected, rows)
    for number, row in enumerate(rows):
        place = f"confusion[{number}]"
        if not isinstance(row, list) or len(row) != classes:
            raise part.wrong(place, f"{classes} counts", row)
        for column, value in enumerate(row):
            if type(value) is not int or not 0 <= value < 1 << 31:
                raise part.wrong(f"{place}[{column}]", "a count, a whole number of 0 or more", value)
    return np.array(rows, np.int64).reshape(classes, classes)
