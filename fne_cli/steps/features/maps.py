"""Activations of a grid + images -> what a single feature is in every cell of the images that excite it most."""

from __future__ import annotations

import hashlib
import heapq
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.images.views import Seen, View, geometry_of
from fne_cli.numerics.localization import places
from fne_cli.numerics.localization.grids import Grid
from fne_cli.progress import Progress
from fne_cli.steps.features.pairs import BATCH_BYTES, known
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.other.predictions import label_names
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.vectors.grids import check_single, grid_in

MOST = 96  # panels of a figure
_LONGEST = 320  # pixels of an image in it


@dataclass(frozen=True)
class FeatureMap:
    """An image, its value of the feature, and the map (rows, columns). x, y: the peak in pixels, None without images.

    value: the mean of the cells, or the largest of those that are largest values (--pool max).
    """

    path: str
    split: str
    label: str
    value: float
    peak: float
    x: float | None
    y: float | None
    map: list[list[float]]


@dataclass(frozen=True)
class FeatureMaps:
    """Of one feature, the images with the largest values first. figure: the .png; beside it are .svg and .json."""

    layer: str
    feature: int
    figure: Path
    images: list[FeatureMap]
    up_to_date: bool = False


@dataclass(frozen=True)
class MapOptions:
    """What determines the maps, as fne features describes the options of these names."""

    feature: str
    rows: str
    class_name: str | None
    top: int


def feature_maps(
    file: Path,
    folder: Path,
    options: MapOptions,
    images: str | None,
    root: str | None,
    overwrite: bool,
    progress: Progress,
) -> FeatureMaps:
    """Draw the maps of a feature, over the images if these are there, and write them as numbers.

    Raises the errors of fne_cli.errors; WrongFile if the layer has no cells.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise BadInput("--maps needs matplotlib, which is not installed. pip install 'fne-cli[report]'")
    if options.top > MOST:
        raise WrongOptions(f"--top should be at most {MOST} with --maps. Found: {options.top:,}.")
    with open_file(file, "activations") as source:
        layer, grid, number = _feature(source, options.feature)
        chosen = _chosen(source, options)
        name = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', layer.name).lstrip('.-') or 'layer'}-{number}"
        settings = {"feature": options.feature, "rows": options.rows, "class": options.class_name, "top": options.top}
        settings |= {"over_images": images is not None}
        made_of = [{"kind": source.kind, "fingerprint": source.fingerprint}]
        origin = Origin("maps", settings, made_of, {"activations": (file,)}, network=source.settings)
        digest = fingerprint("feature maps", settings, made_of)
        drawings = Drawings(folder, name, [name], digest, origin)
        numbers, figure = folder / f"{name}.json", folder / f"{name}.png"
        of_numbers = hashlib.sha256(f"numbers {digest}".encode()).hexdigest()
        there = drawings.are_there(overwrite, "this file", progress)
        there &= is_recorded(numbers, of_numbers, origin, overwrite, "the maps of this feature")
        seen = Seen(images, root, source.images.path, geometry_of(source.settings, str(file)))
        found = _largest(source, layer, grid, number, chosen, options.top, progress)
        views = seen.views([image for image, _ in found], _LONGEST, [source.images.sha256[image] for image, _ in found])
        if images is not None and not any(view.part for view in views):
            raise BadInput(
                f"--images {images} should have the images of the file. Found: none of {len(found)}, such as "
                f"{source.images.path[found[0][0]]}."
            )
        shown = [_described(source, grid, one, view) for one, view in zip(found, views, strict=True)]
        done = FeatureMaps(layer.name, number, figure, shown, up_to_date=there)
        if not there:
            with drawings, Output(numbers) as output:
                _draw(drawings, name, done, views)
                output.write_json(_for_json(done, grid))
                output.accept_noted({"fingerprint": of_numbers, **origin.noted_whole(numbers)})
    return done


def _feature(source: Reader, text: str) -> tuple[LayerReader, Grid, int]:
    """The layer, its grid, and the number of the channel of LAYER:NUMBER. Raises BadInput, WrongFile."""
    check_single(source)
    name, _, digits = text.rpartition(":")
    if name not in source.layers:
        raise BadInput(
            f"--feature should be LAYER:NUMBER. Found: {text!r}. {source.path} has the layers: "
            f"{', '.join(source.layers)}."
        )
    layer = source.layers[name]
    grid = grid_in(source, layer, dense=False)
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else -1
    if not 0 <= number < grid.channels:
        raise BadInput(
            f"--feature should be LAYER:NUMBER, with a number below {grid.channels:,} for {name}. Found: {text!r}."
        )
    return layer, grid, number


def _chosen(source: Reader, options: MapOptions) -> np.ndarray:
    """Ascending numbers of the good images that may be shown."""
    images = source.images
    _, chosen = images.chosen(options.rows)
    if options.class_name is not None:
        own = known(source.path, images.classes, options.class_name)
        chosen = chosen & (images.label == own if images.label.ndim == 1 else images.label[:, own] == 1)
        if not chosen.any():
            raise BadInput(
                f"{source.path} should have good images of class {options.class_name!r} among the rows "
                f"{options.rows}. Found: none."
            )
    return np.flatnonzero(chosen)


def _largest(
    source: Reader, layer: LayerReader, grid: Grid, number: int, chosen: np.ndarray, top: int, progress: Progress
) -> list[tuple[int, np.ndarray]]:
    """The images with the largest values, the largest first, of equal ones the first; each with its map."""
    step = max(1, BATCH_BYTES // max(1, layer.features * layer.dtype.itemsize))
    best: list[tuple[float, int, np.ndarray]] = []
    with progress.track(layer.shape[0], "images") as advance:
        for span, rows in layer.batches(step):
            own = chosen[(chosen >= span.start) & (chosen < span.stop)]
            cells = rows[own - span.start].reshape(len(own), grid.cells, grid.channels)[:, :, number]
            maps = cells.astype(np.float64).reshape(len(own), grid.rows, grid.columns)
            more = [(_value(one, grid), image, one) for image, one in zip(own.tolist(), maps, strict=True)]
            best = heapq.nsmallest(top, [*best, *(each for each in more if np.isfinite(each[2]).all())], key=_order)
            advance(len(rows))
    if not best:
        raise BadInput(f"{source.path} should have numbers in the layer {layer.name}. Found: none that are finite.")
    return [(image, one) for _, image, one in best]


def _order(one: tuple[float, int, np.ndarray]) -> tuple[float, int]:
    return -one[0], one[1]


def _value(cells: np.ndarray, grid: Grid) -> float:
    return float(cells.max() if grid.kind == "max" else cells.mean())


def _described(source: Reader, grid: Grid, found: tuple[int, np.ndarray], view: View) -> FeatureMap:
    image, cells = found
    labels = source.images.label[[image]]
    (label,) = label_names(labels, source.images.classes)
    x = y = None
    if view.part is not None:
        x, y = places.within(places.peak(cells), view.part).tolist()
    path, split = source.images.path[image], source.images.split[image]
    return FeatureMap(path, split, label, _value(cells, grid), float(cells.max()), x, y, cells.tolist())


def _for_json(done: FeatureMaps, grid: Grid) -> dict[str, Any]:
    images = [
        {"path": one.path, "split": one.split, "label": one.label, "value": one.value, "x": one.x, "y": one.y,
         "map": one.map}
        for one in done.images
    ]  # fmt: skip
    cells = {"rows": grid.rows, "columns": grid.columns, "pooling": grid.kind}
    return {"layer": done.layer, "feature": done.feature, "cells": cells, "images": images}


def _draw(drawings: Drawings, name: str, done: FeatureMaps, views: Sequence[View]) -> None:
    from fne_cli.figures.drawn.maps import Panel, maps  # needs matplotlib

    cells = [np.array(one.map) for one in done.images]
    signed = min(float(one.min()) for one in cells) < 0
    largest = max(float(np.abs(one).max() if signed else one.max()) for one in cells)
    panels = [
        Panel((f"{one.value:.4g}   {one.label}", one.path), view.pixels, view.wrong, own, places.peak(own))
        for one, own, view in zip(done.images, cells, views, strict=True)
    ]
    meaning = f"{done.layer}:{done.feature} in the cell, in shares of the largest of all ({largest:.4g}). + the largest"
    drawings.draw(name, maps, panels=panels, signed=signed, meaning=meaning, largest=largest)
