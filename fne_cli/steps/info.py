"""What a file is, how it was made, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, WrongFile
from fne_cli.networks.saved.lineage import lineage_of
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import SETS
from fne_cli.store.other.objects import Claim
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.sealed import is_intact


@dataclass(frozen=True)
class Info:
    """Everything `fne info --json` prints."""

    path: str
    kind: str
    version: int
    fingerprint: str
    settings: dict[str, Any]
    sources: list[Any]
    software: dict[str, str]
    bytes: int
    images: dict[str, Any] | None
    behavior: dict[str, Any] | None
    projection: dict[str, Any] | None
    vocabulary: dict[str, Any] | None
    layers: list[dict[str, Any]]
    run: dict[str, Any]


def info(file: Path, *, progress: Progress = SILENT) -> Info:
    """Describe a file without reading its rows. Of a network of `fne train`, what it says of itself.

    Raises WrongFile for results, which are JSON that describes itself, and for what fne has not made.
    """
    if file.suffix == ".json" and file.is_file():
        raise WrongFile(
            f"{file} should be an HDF5 file of fne. Found: JSON by its name. Results of fne evaluate and fne run are "
            "text; fne report shows them."
        )
    if (lineage := lineage_of(str(file))) is not None:
        return _network(file, lineage)
    tables = {"moments": _moments, "behavior": _shares, "projection": _taken, "vocabulary": _none}
    with open_file(file) as reader:
        return Info(
            path=str(file),
            kind=reader.kind,
            version=reader.version,
            fingerprint=reader.fingerprint,
            settings=reader.settings,
            sources=reader.sources,
            software=reader.software,
            bytes=file.stat().st_size,
            images=None if reader.kind in tables else _images(reader),
            behavior=_behavior(reader) if reader.kind == "behavior" else None,
            projection=_projection(reader) if reader.kind == "projection" else None,
            vocabulary=_vocabulary(reader) if reader.kind == "vocabulary" else None,
            layers=tables.get(reader.kind, _layers)(reader),
            run=read_record(file),
        )


_OF_NETWORK = (
    "preprocess", "image_size", "classes", "images", "parent", "frozen", "epochs", "kept_epoch", "weights_sha256",
)  # fmt: skip


def _network(file: Path, lineage: dict[str, Any]) -> Info:
    """What a trained network says. Raises DamagedFile if it is not as it was written."""
    if not is_intact(lineage):
        raise DamagedFile(
            f"{file} should say how it was trained as it was written. Found: text that has changed since."
        )
    said = Claim(file, "lineage", lineage)
    return Info(
        path=str(file),
        kind="network",
        version=said.count("version"),
        fingerprint=said.text("fingerprint"),
        settings=said.table("settings") | {name: lineage.get(name) for name in _OF_NETWORK},
        sources=said.listed("sources"),
        software=said.texts("software"),
        bytes=file.stat().st_size,
        images=None,
        behavior=None,
        projection=None,
        vocabulary=None,
        layers=[],
        run=read_record(file),
    )


def _images(reader: Reader) -> dict[str, Any]:
    images = reader.images
    splits = {split: int((np.asarray(images.split) == split).sum()) for split in images.splits}
    bad = np.flatnonzero(~images.good).tolist()
    labels = images.label
    return {
        "count": len(images),
        "crops": reader.settings["crops"],
        "splits": splits,
        "classes": len(images.classes),
        "several_labels": labels.ndim == 2,
        "unlabelled": int((labels < 0).sum() if labels.ndim == 1 else (labels != 1).all(axis=1).sum()),
        "bad": [{"path": images.path[n], "status": int(images.status[n]), "message": images.message[n]} for n in bad],
    }


def _layers(reader: Reader) -> list[dict[str, Any]]:
    return [
        {
            "layer": name,
            "row_shape": list(layer.shape[1:]),
            "dtype": str(layer.dtype),
            **({"form": "packed" if layer.packed else "plain"} if reader.kind == "codes" else {}),
            "chunk_rows": layer.chunk_rows,
            **{key: np.asarray(value).tolist() for key, value in layer.attrs.items()},
        }
        for name, layer in reader.layers.items()
    ]


def _moments(reader: Reader) -> list[dict[str, Any]]:
    rows = []
    for name, part in reader.moments().items():
        count = reader.moments_rows(name)
        row: dict[str, Any] = {
            "layer": name,
            "features": len(part["mean"]),
            "rows": count,
            "constant": int((part["std"] == 0).sum()),
            "mean": float(part["mean"].mean()),
            "std": float(part["std"].mean()),
        }
        if {"minimum", "maximum", "zeros"} <= set(part):
            row["minimum"], row["maximum"] = float(part["minimum"].min()), float(part["maximum"].max())
            row["zeros"] = float(part["zeros"].sum() / max(1, count * len(part["zeros"])))
        rows.append(row)
    return rows


def _behavior(reader: Reader) -> dict[str, Any]:
    found = reader.behavior()
    low, high = (None if np.isnan(value) else value for value in (found.low, found.high))
    return {
        "classes": len(found.classes),
        "compared": int(found.compared.sum()),
        "low": low,
        "high": high,
        "class_sizes": found.random.sizes.tolist(),
    }


def _projection(reader: Reader) -> dict[str, Any]:
    found = reader.projection()
    return {
        "components": len(found.explained),
        "columns": found.columns,
        "rows": found.count,
        "explained": float(found.explained.sum()),
    }


def _none(reader: Reader) -> list[dict[str, Any]]:
    """A vocabulary has no layers."""
    return []


def _vocabulary(reader: Reader) -> dict[str, Any]:
    found = reader.vocabulary()
    return {"model": found.model, "words": found.words, "arrays": {n: list(v.shape) for n, v in found.arrays.items()}}


def _taken(reader: Reader) -> list[dict[str, Any]]:
    """The share of a layer: of the squared lengths of all axes that part which lies in its features."""
    found, rows, start = reader.projection(), [], 0
    total = float((found.state["axes"] ** 2).sum())
    for name, features in found.layers.items():
        part = found.state["axes"][:, start : start + features]
        start += features
        rows.append({"layer": name, "features": features, "share": float((part**2).sum()) / total if total else 0.0})
    return rows


def _shares(reader: Reader) -> list[dict[str, Any]]:
    found = reader.behavior()
    rows = []
    for name, layer in found.layers.items():
        label = layer.label()[:, found.compared]
        shares = {part: float((label == code).mean()) for part, code in zip(SETS, (-1, 0, 1), strict=True)}
        rows.append({"layer": name, "features": layer.features, **shares})
    return rows
