"""Averages over whole maps from those over the cells of a grid: what a file pooled by avg:2 says of avg."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.store.many.gather import JoinedLayer
from fne_cli.store.many.joined import JoinedFiles

AVERAGE = "avg"


@dataclass(frozen=True)
class AveragedLayer:
    """A layer whose rows have `cells` averages of each filter, cell by cell, with their mean in their place.

    That is the average over the map, but for rounding, if the cells are of one size.
    """

    layer: JoinedLayer
    cells: int

    @property
    def files(self) -> JoinedFiles:
        """Of the layer."""
        return self.layer.files

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.layer.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """As RowReader has it."""
        return self.layer.dtype

    @property
    def features(self) -> int:
        """As RowReader has it."""
        return self.layer.features // self.cells

    def read(self, start: int, stop: int) -> np.ndarray:
        """As RowReader has it."""
        rows = self.layer.read(start, stop).reshape(stop - start, self.cells, self.features)
        return rows.mean(axis=1, dtype=np.float64).astype(self.dtype)


Layer = JoinedLayer | AveragedLayer


def averaged(layer: JoinedLayer) -> Layer:
    """A layer as --pool avg would have it. Raises BadInput if its cells do not say that exactly."""
    (reason, cells) = _cells(*(_text(layer, name) for name in ("pooling", "output_shape")))
    if reason or layer.features % cells:
        raise BadInput(
            f"{layer.files.name}: the layer {layer.name} should be pooled to cells of one size for --pool avg. Found: "
            f"{reason or 'another number of features'}. Extract it with --pool avg."
        )
    return layer if cells == 1 else AveragedLayer(layer, cells)


def is_average(pooling: str, output_shape: str) -> bool:
    """Whether averages over cells say those over the map: cells of one size, or no map at all."""
    return not _cells(pooling, output_shape)[0]


def _cells(pooling: str, output_shape: str) -> tuple[str, int]:
    """Why a layer does not say the average over its map ("" if it does), and how many cells it has."""
    shape = [int(size) for size in re.findall(r"\d{1,9}", output_shape)[:8]]
    if len(shape) == 1:
        return "", 1  # a dense layer
    match = re.fullmatch(r"avg(?::([1-9][0-9]?))?", pooling)
    if match is None:
        return f"{pooling or 'no pooling'}", 1
    grid = int(match[1] or 1)
    sides = shape[:-1]
    if not sides and grid > 1:
        return "a map of unknown size", 1
    if any(side % grid for side in sides):
        return f"a grid of {grid} x {grid} over a map of {' x '.join(map(str, sides))}", 1
    return "", grid ** len(sides)


def _text(layer: JoinedLayer, name: str) -> str:
    """What the files say of the layer; they are of one network."""
    return str(layer.files.layers[layer.name][0].attrs.get(name, ""))
