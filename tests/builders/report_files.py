"""Results, predictions, images and whole experiments for the tests of fne report, made by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from activations import table
from activations import write as write_activations
from pictures import write_image

from fne_cli.store.other.predictions import Predicted, write_predictions
from fne_cli.store.other.results.tested import bits
from fne_cli.store.output.notes import record_path
from fne_cli.store.output.sealed import with_digest

ATTACK = "window.attacked=1"
HOSTILE = [
    f"</script><script>{ATTACK}</script>",
    f'"><img src=x onerror="{ATTACK}">',
    f"'-{ATTACK}-'",
    "{{ 7 * 7 }} {% raw %} ${1+1}",
    "gpj\u202eexe\u2066.\u0000\u001b[31mred\u0007",
    "long " * 2000,
    "__proto__",
    "constructor",
    "שלום עולם",
    "<!--<script>",
    "",
]
FNE, L2 = "fne", "l2"


def entry(
    name: str, classes: Sequence[str], right: float = 0.8, *, seed: int = 0, each: int = 20, **more: Any
) -> dict[str, Any]:
    """One result of fne evaluate: about `right` of `each` test images of every class are right."""
    rng = np.random.default_rng(seed)
    count = len(classes)
    confusion = np.zeros((count, count), int)
    for number in range(count):
        for predicted in np.where(rng.random(each) < right, number, rng.integers(0, count, each)).tolist():
            confusion[number, predicted] += 1
    shares = np.diag(confusion) / each
    return {
        "name": name,
        "mean_per_class_accuracy": float(shares.mean()),
        "accuracy": float(shares.mean()),
        "features": 10 + len(name) % 5,
        "training_rows": 3 * count,
        "test_rows": each * count,
        "C": 1.0,
        "per_class": [
            {"class": name, "accuracy": float(share), "training_images": 3, "test_images": each}
            for name, share in zip(classes, shares, strict=True)
        ],
        "classes": list(classes),
        "confusion": confusion.tolist(),
    } | more


def measured(name: str, right: np.ndarray, truth: Sequence[int], classes: Sequence[str], **more: Any) -> dict[str, Any]:
    """One result that says which test images are right, (n,) bool; wrong ones are taken for the next class."""
    label = np.asarray(truth)
    table = np.zeros((len(classes), len(classes)), int)
    np.add.at(table, (label, np.where(right, label, (label + 1) % len(classes))), 1)
    total = table.sum(axis=1)
    shares = np.diag(table) / total
    found = entry(name, classes) | {
        "mean_per_class_accuracy": float(shares.mean()),
        "accuracy": float(np.mean(right)),
        "test_rows": len(label),
        "per_class": [
            {"class": one, "accuracy": float(share), "training_images": 3, "test_images": int(count)}
            for one, share, count in zip(classes, shares, total, strict=True)
        ],
        "confusion": table.tolist(),
        "right": bits(np.asarray(right)),
    }
    return found | more


def with_test_images(truth: Sequence[int], digest: str = "1" * 64) -> dict[str, Any]:
    """What a results file says of its test images: for `document(..., version=3, **with_test_images(truth))`."""
    return {"version": 3, "tested": {"images": len(truth), "sha256": digest, "truth": list(truth)}}


def document(entries: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A results file with these entries; made from an activations file of the network `net`."""
    settings = {"C": 1.0, "seed": 0, "embedding": FNE, "parts": "embedding", "protocol": {}, "solver": "certified"}
    made_from = {"network": "net", "weights": "file", "weights_sha256": "ab" * 32, "crops": 1, "resize": "squash",
                 "layers": {"conv1": "avg", "conv2": "avg"}, "image_size": [32, 32]}  # fmt: skip
    names = [part["name"] for part in entries if part["name"] != "embedding"]
    found = {
        "format": "fne",
        "version": 2,
        "kind": "results",
        "settings": settings | {"layers": names or ["conv1", "conv2"]} | more.pop("settings", {}),
        "sources": [{"kind": "activations", "fingerprint": "cd" * 32}],
        "software": {"fne": "0.1.0", "numpy": "2.0"},
        "images": {"training": 30, "test": 200, "bad": 0},
        "made_from": made_from | more.pop("made_from", {}),
        "results": list(entries),
    } | more
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode("utf-8", "backslashreplace")).hexdigest()
    return {"fingerprint": digest} | found


def layers_document(entries: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A results file of single layers."""
    settings = {"embedding": L2, "parts": "each layer"} | more.pop("settings", {})
    return document(entries, settings=settings, **more)


def save(path: Path, content: dict[str, Any], command: Sequence[str] = ("/usr/bin/fne", "evaluate", "a b.h5")) -> Path:
    """Write results and their run record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(with_digest(content)))
    run = {"started": "2026-01-02T03:04:05+00:00", "command": list(command), "seconds": 1.5, "images": 0,
           "device": None, "software": {"scipy": "1.0"}}  # fmt: skip
    record_path(path).write_text(json.dumps({"fingerprint": content["fingerprint"], "runs": [run]}))
    return path


def pair(folder: Path, classes: Sequence[str], layers: Sequence[str] = ("conv1", "conv2")) -> list[Path]:
    """Results of an embedding, and of single layers, of which the last is the best."""
    whole = document([entry("embedding", classes, 0.9)])
    rights = np.linspace(0.3, 0.7, len(layers)).tolist()
    alone = layers_document([entry(name, classes, right) for name, right in zip(layers, rights, strict=True)])
    return [save(folder / "embedding.json", whole), save(folder / "layers.json", alone)]


def curve(folder: Path, classes: Sequence[str], sizes: Sequence[int] = (1, 5, 10)) -> list[Path]:
    """Learning curves of an embedding, which begins below the layers and ends above them."""

    def points(name: str, rights: Sequence[float]) -> list[dict[str, Any]]:
        return [
            entry(name, classes, right, training_images_per_class=size, trials=5, mean_per_class_accuracy_std=0.02)
            for size, right in zip(sizes, rights, strict=True)
        ]

    protocol = {"protocol": {"per_class": list(sizes), "draws": 5}}
    whole = document(points("embedding", [0.2, 0.7, 0.95]), settings=protocol)
    alone = layers_document(points("conv1", [0.3, 0.4, 0.5]) + points("conv2", [0.5, 0.6, 0.7]), settings=protocol)
    return [save(folder / "curve.json", whole), save(folder / "curve-layers.json", alone)]


def predictions(path: Path, results: Path, lines: Sequence[tuple[str, str, str, Sequence[float]]]) -> Path:
    """What fne evaluate --predictions writes beside some results: path, truth, prediction, decisions."""
    content = json.loads(results.read_text())
    columns = [list(column) for column in zip(*lines, strict=True)]
    part = Predicted(columns[0], columns[1], columns[2], np.array(columns[3], float), ("embedding",))
    with open(path, "w", newline="", encoding="utf-8") as file:
        write_predictions(file, content["results"][0]["classes"], [part], ("embedding",))
    digest = hashlib.sha256(f"predictions {content['fingerprint']}".encode()).hexdigest()
    record_path(path).write_text(json.dumps({"fingerprint": digest}))
    return path


def photos(folder: Path, ids: Sequence[str]) -> dict[str, str]:
    """Images of these names below a folder, and the SHA-256 of each."""
    found = {}
    for number, name in enumerate(ids):
        path = write_image(folder / name, number)
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def activations(path: Path, digests: dict[str, str], classes: Sequence[str], bad: Sequence[int] = ()) -> Path:
    """An activations file of these images, of which some are bad; with the settings that `document` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = np.arange(len(digests), dtype=np.int32) % len(classes)
    images = table(len(digests), paths=list(digests), classes=classes, bad=bad, label=label)
    images.sha256 = list(digests.values())
    settings = document([entry("embedding", classes)])["made_from"]
    return write_activations(path, {"conv1": np.zeros((len(digests), 2), np.float32)}, images, settings=settings)


def fingerprint_of(path: Path) -> str:
    """That of an HDF5 file of ours."""
    from fne_cli.store.format.reader import open_file

    with open_file(path) as source:
        return source.fingerprint


def experiment(folder: Path, classes: Sequence[str] = ("a", "b", "c")) -> Path:
    """What fne run leaves in `folder`/out, and the images in `folder`/photos; one cell has failed."""
    out = folder / "out"
    home = out / "things" / "net.avg"
    digests = photos(folder / "photos", [f"test/a/{number}.png" for number in range(4)])
    source = activations(home / "activations.h5", digests, classes, bad=[3])
    sources = {"sources": [{"kind": "activations", "fingerprint": fingerprint_of(source)}]}
    whole = save(home / "fne.split.json", document([entry("embedding", classes, 0.9)], **sources))
    layers = [entry("conv1", classes, 0.4), entry("conv2", classes, 0.6)]
    alone = save(home / "layers.split.json", layers_document(layers, **sources))
    said = predictions(
        home / "fne.split.csv", whole,
        [("test/a/0.png", "a", "b", [0.1, 0.9, -1]), ("test/a/1.png", "a", "a", [1, 0, -1]),
         ("test/a/2.png", "b", "c", [-1, -0.5, 1.5])],
    )  # fmt: skip
    record_path(source).write_text(
        json.dumps({"runs": [{"seconds": 2.0, "images": 4, "device": "a processor", "command": ["fne", "extract"]}]})
    )

    def cell(embedding: str, results: Path | None, **more: Any) -> dict[str, Any]:
        def below(path: Path | None) -> str | None:
            return None if path is None else path.relative_to(out).as_posix()

        names = {"dataset": "things", "network": "net", "pooling": "avg", "embedding": embedding, "protocol": "split"}
        found = {"results": below(results), "predictions": None, "activations": below(source), "images": "photos",
                 "root": None, "error": None}  # fmt: skip
        return names | found | more

    content = {
        "format": "fne", "version": 2, "kind": "experiment", "name": "an experiment", "config": {},
        "software": {"fne": "0.1.0"},
        "cells": [
            cell("fne", whole, predictions=said.relative_to(out).as_posix()),
            cell("layers", alone),
            cell("raw", None, error="the disk <b>is</b> full"),
        ],
        "results": [],
        "commands": ["fne extract photos out/things/net.avg/activations.h5", "fne evaluate 'a b'"],
    }  # fmt: skip
    (out / "results.json").write_text(json.dumps(with_digest(content)))
    return out
