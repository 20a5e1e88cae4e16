"""The ranking as CSV files: one of all figures, and beside it, if it was asked for, the matrix of likeness."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fne_cli.errors import WrongOptions
from fne_cli.progress import Progress
from fne_cli.steps.rank.likeness import Likeness
from fne_cli.steps.rank.measure import Fit
from fne_cli.steps.rank.sources import Source
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.cells import as_cell, name_in
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded

COLUMNS = (
    "file", "network", "layer", "images", "rows", "classes", "features", "log_me", "evidence", "h_score", "shrinkage",
    "neighbours_accuracy",
)  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """A file: its network, the images that were looked at and their rows and classes, and how every part of it fits.

    fits: that of all layers side by side, if there are several, and of each layer in the order of the network.
    """

    file: Path
    network: str
    images: int
    rows: int
    classes: int
    fits: list[Fit]

    @property
    def whole(self) -> Fit:
        """Of all its layers."""
        return self.fits[0]


def beside(path: Path) -> Path:
    """Where the matrix stands."""
    return path.with_name(f"{path.stem}.cka{path.suffix}")


class Tables:
    """The files that were asked for, none if `path` is None. Use as a context manager to write them."""

    def __init__(self, path: Path | None, sources: Sequence[Source], settings: Mapping[str, Any]) -> None:
        if path is not None and path.suffix.lower() != ".csv":
            found = path.suffix or "no ending"
            raise WrongOptions(f"--csv {path} should be a file to write that ends in .csv. Found: {found}.")
        self._paths = [] if path is None else [path, *([beside(path)] if settings["cka"] else [])]
        made_from = [part for source in sources for part in source.file.sources()]
        self._origin = Origin(
            "ranking",
            {"rows": sources[0].rows, **settings},
            made_from,
            {"files": tuple(source.path for source in sources)},
            network=sources[0].file.settings,
        )
        self._digest = fingerprint("ranking", self._origin.settings, made_from)
        self._stack = ExitStack()
        self._open: list[Output] = []

    def drawing(self, folder: Path) -> Drawings:
        """The figure of the matrix, as files of a folder."""
        return Drawings(folder, "rank", ["cka"], self._digest, self._origin)

    def are_there(self, overwrite: bool, progress: Progress) -> bool:
        """Whether all are. Raises DifferentOutput if others are."""
        what = "the ranking of these files"
        there = [is_recorded(path, self._of(path), self._origin, overwrite, what, progress) for path in self._paths]
        return bool(there) and all(there)

    def _of(self, path: Path) -> str:
        return hashlib.sha256(f"{self._paths.index(path)} {self._digest}".encode()).hexdigest()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._open = [stack.enter_context(Output(path)) for path in self._paths]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, found: Sequence[Ranked], alike: Likeness | None) -> None:
        """Fill them, and give them their names."""
        contents = [_figures(found), *([_matrix(alike)] if alike is not None else [])]
        for output, lines in zip(self._open, contents, strict=False):
            with open(output.into, "w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(lines)
        for output in self._open:
            output.accept_noted({"fingerprint": self._of(output.path), **self._origin.noted_whole(output.path)})

    def read_back(self) -> tuple[list[Ranked], Likeness | None]:
        """What they say, where they are as they were written."""
        files: dict[str, Ranked] = {}
        figures, *matrices = (_lines(path) for path in self._paths)
        for file, network, layer, *numbers in figures[1:]:
            images, rows, classes, features = map(int, numbers[:4])
            one = Ranked(Path(name_in(file)), name_in(network), images, rows, classes, [])
            fit = Fit(name_in(layer), features, *map(float, numbers[4:]))
            files.setdefault(file, one).fits.append(fit)
        for matrix in matrices:
            names = [(name_in(row[0]), name_in(row[1])) for row in matrix[1:]]
            values = [[float(value) if value else None for value in row[2:]] for row in matrix[1:]]
            return list(files.values()), Likeness([file for file, _ in names], [name for _, name in names], values)
        return list(files.values()), None


def draw(into: Drawings, alike: Likeness) -> None:
    """Write the figure of the matrix."""
    from fne_cli.figures.drawn.alike import cka  # needs matplotlib

    matrix = np.array(alike.matrix, np.float64)  # None becomes NaN
    with into:
        into.draw("cka", cka, files=alike.files, names=alike.names, matrix=matrix)


def _figures(found: Sequence[Ranked]) -> Iterable[Sequence[Any]]:
    yield COLUMNS
    for one in found:
        for fit in one.fits:
            names = (as_cell(str(one.file)), as_cell(one.network), as_cell(fit.name))
            counts = (one.images, one.rows, one.classes, fit.features)
            yield (*names, *counts, fit.log_me, fit.evidence, fit.h_score, fit.shrinkage, fit.neighbours_accuracy)


def _matrix(alike: Likeness) -> Iterable[Sequence[Any]]:
    """A line for each member, and behind its file and name a column for each, called FILE:NAME."""
    names = [(as_cell(file), as_cell(name)) for file, name in zip(alike.files, alike.names, strict=True)]
    columns = (as_cell(f"{file}:{name}") for file, name in zip(alike.files, alike.names, strict=True))
    yield ("file", "layer", *columns)
    for name, row in zip(names, alike.matrix, strict=True):
        yield (*name, *("" if value is None else value for value in row))


def _lines(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))
