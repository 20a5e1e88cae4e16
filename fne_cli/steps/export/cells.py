"""The cells of maps as rows: layers on one grid, and where each cell lies in its image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.images.views import Part, Seen, geometry_of
from fne_cli.numerics.localization.grids import Grid, cell_boxes, enlarged, finest
from fne_cli.progress import Progress
from fne_cli.steps.export.rows import Exportable
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.other.matrix import Boxes
from fne_cli.vectors.grids import check_single, grid_in
from fne_cli.vectors.options import VectorOptions


@dataclass(frozen=True)
class Cells:
    """Asks for cells. images, root: where the images are, for boxes in their pixels; else in those of the network's."""

    images: str | None = None
    root: str | None = None


@dataclass(frozen=True)
class CellRows:
    """A layer on a grid of rows x columns cells, one row each."""

    layer: LayerReader
    grid: Grid
    rows: int
    columns: int

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.layer.name

    @property
    def features(self) -> int:
        """Channels."""
        return self.grid.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """As RowReader has it."""
        return self.layer.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """As RowReader has it: rows of whole images."""
        cells = self.rows * self.columns
        maps = self.layer.read(start // cells, stop // cells)
        maps = maps.reshape(-1, self.grid.rows, self.grid.columns, self.grid.channels)
        if (self.grid.rows, self.grid.columns) != (self.rows, self.columns):
            maps = enlarged(maps, self.rows, self.columns).astype(self.dtype)
        return maps.reshape(-1, self.features)


@dataclass(frozen=True)
class ExportedCells:
    """What is exported of a file: boxes of the cells of an image by its number; how many cells an image has."""

    exportable: Exportable
    boxes: Boxes
    cells: int


def exportable_cells(
    file: Path, layers: Sequence[str], cells: Cells, opened: ExitStack, progress: Progress
) -> ExportedCells:
    """The cells of some layers, on the grid of the finest. Raises the errors of fne_cli.errors."""
    source = opened.enter_context(open_file(file, "activations"))
    check_single(source)
    chosen = list((source.select(layers) if layers else source.layers).values())
    grids = [grid_in(source, layer) for layer in chosen]
    rows, columns = finest(grids)
    parts, digest = _parts(source, cells, progress)

    def boxes(number: int) -> np.ndarray:
        return cell_boxes(parts(number), rows, columns)

    described: dict[str, Any] = {"cells": f"{rows} x {columns}"}
    described |= {"pixels": "of the images"} if cells.images is not None else {}
    sources = [{"kind": source.kind, "fingerprint": source.fingerprint}]
    sources += [{"kind": "parts of images", "fingerprint": digest}] if digest else []
    named = [CellRows(layer, grid, rows, columns) for layer, grid in zip(chosen, grids, strict=True)]
    found = Exportable(source, list(named), [layer.name for layer in chosen], described, sources, {"file": (file,)})
    return ExportedCells(found, boxes, rows * columns)


def _parts(source: Reader, cells: Cells, progress: Progress) -> tuple[Callable[[int], Part], str]:
    """Which part of each image was seen, in pixels, NaN for one that is missing; and a digest of them, "" for none."""
    geometry = geometry_of(source.settings, str(source.path))
    if cells.images is None:
        whole = (0.0, 0.0, float(geometry.width), float(geometry.height))
        return lambda _: whole, ""
    seen = Seen(cells.images, cells.root, source.images.path, geometry)
    nowhere = (np.nan,) * 4
    with progress.track(len(source.images), "images") as advance:
        found = np.empty((len(source.images), 4))
        for number in range(len(found)):
            found[number] = seen.part(number) or nowhere
            advance(1)
    missing = int(np.isnan(found[source.images.good, 0]).sum())
    if missing and missing == int(source.images.good.sum()):
        raise BadInput(f"--images {cells.images} should have the images of {source.path}. Found: none.")
    if missing:
        progress.note(f"{missing:,} images are missing or cannot be opened, and have no place in pixels")
    return lambda number: tuple(found[number].tolist()), hashlib.sha256(found.tobytes()).hexdigest()


def check_cells(chosen: VectorOptions, kind: str, compared: Sequence[str]) -> None:
    """Raises WrongOptions for options that do not go with cells, and for indexes of search engines."""
    if kind in compared:
        raise WrongOptions(f"--cells are for .npy, .npz, .csv, .parquet and .svm. Found: {kind}.")
    for name in ("embedding", "projection", "pool", "rows"):
        if getattr(chosen, name) is not None:
            raise WrongOptions(f"--cells are activations as they are. Leave --{name} out.")
