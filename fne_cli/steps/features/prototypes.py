"""Prototypes of the classes of a codes file: the features that most of a class's images have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes.prototypes import Counts, differing
from fne_cli.progress import Progress
from fne_cli.store.format.reader import Reader
from fne_cli.unprintable import plain

BATCH_BYTES = 1 << 25


@dataclass(frozen=True)
class LayerPart:
    """A layer's part of a prototype: how many features are +1 and -1, and which."""

    layer: str
    features: int
    high: int
    low: int
    high_features: list[int] | None
    low_features: list[int] | None


@dataclass(frozen=True)
class Prototype:
    """Of a class with so many images; high and low count the features of all layers."""

    class_name: str
    images: int
    high: int
    low: int
    layers: list[LayerPart]


@dataclass(frozen=True)
class Prototypes:
    """Of the classes that have images. distances: the share of features in which each two differ, in their order."""

    rows: str
    share: float
    features: int
    prototypes: list[Prototype]
    distances: list[list[float]] | None


def find_prototypes(
    source: Reader, rows: str | None, share: float, only: int | None, distances: bool, progress: Progress
) -> Prototypes:
    """Codes that more than a share of the rows of a class's images have; the features' numbers for class `only`."""
    images, crops = source.images, int(source.settings["crops"])
    name, chosen = images.chosen(rows)
    labels = images.label
    members = (labels >= 0) & chosen if labels.ndim == 1 else (labels == 1) & chosen[:, None]
    used = np.where(members, labels, -1)
    counts = np.bincount(labels[members], minlength=len(images.classes)) if labels.ndim == 1 else members.sum(axis=0)
    present = np.flatnonzero(counts)
    if not len(present):
        raise BadInput(f"{source.path} should have labelled images among the rows {name}. Found: none.")
    if only is not None and not counts[only]:
        raise BadInput(
            f"{source.path} should have images of class {plain(images.classes[only])} among the rows {name}. "
            "Found: none."
        )
    parts: dict[int, list[LayerPart]] = {number: [] for number in present.tolist()}
    apart = np.zeros((len(present), len(present)), np.int64)
    total = 0
    with progress.track(sum(layer.shape[0] for layer in source.layers.values()), "rows") as advance:
        for layer in source.layers.values():
            table = Counts(len(images.classes), layer.features)
            for span, codes in layer.batches(max(1, BATCH_BYTES // max(1, layer.features))):
                table.add(codes, used[np.arange(span.start, span.stop) // crops])
                advance(len(codes))
            found = table.prototypes(counts * crops, share)
            for number, own in parts.items():
                high, low = (np.flatnonzero(found[number] == code).tolist() for code in (1, -1))
                lists = (high, low) if number == only else (None, None)
                own.append(LayerPart(layer.name, layer.features, len(high), len(low), *lists))
            if distances:
                apart += differing(found[present])
            total += layer.features
    prototypes = [
        Prototype(
            class_name=images.classes[number],
            images=int(counts[number]),
            high=sum(part.high for part in own),
            low=sum(part.low for part in own),
            layers=own,
        )
        for number, own in parts.items()
    ]
    return Prototypes(name, share, total, prototypes, (apart / total).tolist() if distances else None)
