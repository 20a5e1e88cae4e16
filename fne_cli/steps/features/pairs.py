"""The strongest pairs of a feature and a class in a behavior file, and the images that excite a feature most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput, WrongFile
from fne_cli.numerics.statistics.strongest import largest
from fne_cli.options import meant
from fne_cli.store.format.kinds.behavior import Behavior
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import BOTH, differences, without_shard
from fne_cli.store.other.predictions import label_names

BATCH_BYTES = 1 << 26


@dataclass(frozen=True)
class Pair:
    """A feature, by layer and number, and a class. characteristic: whether |s| is above what random classes reach."""

    layer: str
    feature: int
    class_name: str
    s: float
    z: float
    characteristic: bool


@dataclass(frozen=True)
class Exciting:
    """An image and its value of a feature (the mean of its crops)."""

    layer: str
    feature: int
    path: str
    split: str
    label: str
    value: float


@dataclass(frozen=True)
class Pairs:
    """The strongest by presence (s > 0) and by absence (s < 0), each strongest first; images of the same features."""

    presence: list[Pair]
    absence: list[Pair]
    images: list[Exciting] = field(default_factory=list)


def strongest_pairs(source: Reader, class_name: str | None, layer: str | None, feature: str | None, top: int) -> Pairs:
    """Of those that class, layer (name or glob) and feature (LAYER:NUMBER) leave."""
    found = source.behavior()
    columns = np.arange(len(found.classes))
    if class_name is not None:
        columns = columns[[known(source.path, found.classes, class_name)]]
    chosen = _chosen(found, layer, feature)
    sides: dict[int, list[Pair]] = {1: [], -1: []}
    for name, numbers in chosen.items():
        own = found.layers[name]
        s, z, label = (part[np.ix_(numbers, columns)] for part in (own.s(), own.z(), own.label()))
        for sign, pairs in sides.items():
            rows, places = largest(sign * s, top)
            pairs += [
                Pair(
                    layer=name,
                    feature=int(numbers[row]),
                    class_name=found.classes[columns[place]],
                    s=float(s[row, place]),
                    z=float(z[row, place]),
                    characteristic=bool(label[row, place]),
                )
                for row, place in zip(rows, places, strict=True)
                if 0 < sign * s[row, place] <= 1 and np.isfinite(z[row, place])
            ]
            pairs.sort(key=lambda pair: -abs(pair.s))
            del pairs[top:]
    return Pairs(sides[1], sides[-1])


def known(path: Path, classes: Sequence[str], name: str) -> int:
    """The number of a class. Raises BadInput if there is none of the name."""
    if name not in classes:
        shown = ", ".join(classes[:5]) + (f" and {len(classes) - 5} more" if len(classes) > 5 else "")
        raise BadInput(f"{path} should have a class {name!r}. Found: {shown}.")
    return list(classes).index(name)


def _chosen(found: Behavior, layer: str | None, feature: str | None) -> dict[str, np.ndarray]:
    """The features to look at, by layer."""
    if feature is not None:
        name, number = feature_of(found, feature)
        return {name: np.array([number])}
    names = set(found.layers) if layer is None else meant(layer, found.layers)
    chosen = {name: np.arange(own.features) for name, own in found.layers.items() if name in names}
    if not chosen:
        raise BadInput(f"{found.path} has no layer {layer!r}. It has: {', '.join(found.layers)}.")
    return chosen


def feature_of(found: Behavior, text: str) -> tuple[str, int]:
    """Layer and number of LAYER:NUMBER. Raises BadInput if there is none such."""
    name, _, digits = text.rpartition(":")
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else -1
    if name not in found.layers or not 0 <= number < found.layers[name].features:
        layers = ", ".join(f"{name} (0 ... {layer.features - 1})" for name, layer in found.layers.items())
        raise BadInput(f"--feature should be LAYER:NUMBER. Found: {text!r}. {found.path} has: {layers}.")
    return name, number


def exciting_images(behavior: Reader, activations: Path, features: dict[str, list[int]], top: int) -> list[Exciting]:
    """The `top` good images of an activations file with the largest values of each feature; of equal ones the first.

    Raises WrongFile if the activations are of another network than those that were analysed.
    """
    with open_file(activations, "activations") as source:
        apart = differences(without_shard(source.settings), without_shard(behavior.settings["activations"]), BOTH)
        missing = [name for name in features if name not in source.layers]
        if apart or missing:
            raise WrongFile(
                f"{activations} (here) should be made like the activations of {behavior.path} (there). Found:\n  "
                + "\n  ".join(apart or [f"no layer {missing[0]}"])
            )
        images, crops = source.images, int(source.settings["crops"])
        good = np.flatnonzero(images.good)
        found = []
        for name, numbers in features.items():
            layer = source.layers[name]
            step = max(1, BATCH_BYTES // max(1, layer.features * layer.dtype.itemsize))
            columns = np.empty((layer.shape[0], len(numbers)))
            for span, rows in layer.batches(step):
                columns[span] = rows[:, numbers]
            values = columns.reshape(len(images), crops, len(numbers)).mean(axis=1)[good]
            for column, number in enumerate(numbers):
                first = good[largest(values[:, [column]], top)[0]]
                labels = label_names(images.label[first], images.classes)
                for image, label in zip(first.tolist(), labels, strict=True):
                    value = float(values[np.searchsorted(good, image), column])
                    if np.isfinite(value):
                        found.append(Exciting(name, number, images.path[image], images.split[image], label, value))
    return found
