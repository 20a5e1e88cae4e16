"""Two images that are the same picture, and their line in a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from fne_cli.steps.search.sides import Listed
from fne_cli.store.other.cells import as_cell

KIND_NAMES = ("bytes", "pixels", "near")
COLUMNS = ("kind", "across", "metric", "distance", "first", "first_label", "first_split", "second", "second_label",
           "second_split")  # fmt: skip


@dataclass(frozen=True)
class Twins:
    """Two images, by their places in a list, how they are the same, how far apart, and whether their splits differ."""

    kind: str
    first: int
    second: int
    distance: float
    across: bool


def order(one: Twins) -> tuple[bool, int, float, int, int]:
    """Across splits first; a distance that is beyond what was looked for is the last of its kind."""
    distance = np.inf if np.isnan(one.distance) else one.distance
    return not one.across, KIND_NAMES.index(one.kind), distance, one.first, one.second


def line_of(one: Twins, images: Listed, metric: str) -> dict[str, Any]:
    """A pair as JSON lines have it; the distance is null where it is beyond what was looked for."""
    told: dict[str, Any] = {"kind": one.kind, "across": one.across, "metric": metric}
    told["distance"] = None if np.isnan(one.distance) else one.distance
    for name, place in (("first", one.first), ("second", one.second)):
        told |= {name: images.path[place], f"{name}_label": images.label[place], f"{name}_split": images.split[place]}
    return told


def write_pairs(file: TextIO, lines: Iterable[Mapping[str, Any]]) -> None:
    """A line for each pair; names stand in it as `cells.as_cell` has them."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow([_cell(line[name]) for name in COLUMNS])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return as_cell(value)
    return "" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else repr(value)
