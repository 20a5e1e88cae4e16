"""Files with features and labels for the tests of evaluate and predict."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from activations import write as write_features

from fne_cli.options import taken
from fne_cli.steps import evaluate as step
from fne_cli.store.format.schema import Images


def write(
    path: Path,
    layers: dict[str, np.ndarray],
    labels: list[int] | np.ndarray,
    splits: list[str],
    classes: tuple[str, ...] = ("a", "b", "c"),
    kind: str = "codes",
    crops: int = 1,
    bad: tuple[int, ...] = (),
    settings: dict[str, object] | None = None,
    sha256: list[str] | None = None,
    paths: list[str] | None = None,
) -> Path:
    """A codes or activations file with the given rows; labels (n,) or (n, classes)."""
    count = len(labels)
    status = np.zeros(count, np.uint8)
    status[list(bad)] = 5
    several = np.ndim(labels) == 2
    images = Images(
        path=paths or [f"{number}.png" for number in range(count)],
        split=splits,
        label=np.array(labels, np.int8 if several else np.int32),
        classes=classes,
        status=status,
        message=["damaged" if number in bad else "" for number in range(count)],
        sha256=[f"{number:064x}" for number in range(count)] if sha256 is None else list(sha256),
    )
    return write_features(path, layers, images, kind=kind, crops=crops, settings=settings)


def codes_of(scores: np.ndarray) -> np.ndarray:
    """Ternary codes of z-scores."""
    return (scores > 0.15).astype(np.int8) - (scores < -0.25).astype(np.int8)


def noisy(
    count: int = 120, features: int = 30, classes: int = 3, seed: int = 0, spread: float = 0.5
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows (count, features) of overlapping classes, their labels, and splits train and test in turn."""
    values = np.random.default_rng(seed)
    labels = values.integers(0, classes, count)
    centres = values.normal(0, spread, (classes, features))
    rows = centres[labels] + values.normal(0, 1, (count, features))
    return rows, labels, ["train" if number % 2 else "test" for number in range(count)]


def evaluate(
    features: Path | list[Path], results: Path | None = None, protocol: step.Protocol | None = None, **options
) -> step.Evaluation:
    """The step, with the options of all its objects by their names."""
    chosen, classifier = taken(step.FeatureOptions, options), taken(step.ClassifierOptions, options)
    return step.evaluate(features, results, chosen, protocol or step.Protocol(), classifier, **options)


def saved_and_applied(fne, folder: Path, how: tuple[str, ...], kind: str) -> tuple[dict, dict, set[str], list[dict]]:
    """The entry of results, head, members and predictions of a classifier that `fne predict` applies.

    It says what the evaluation said. how: options of `fne evaluate`; kind: an embedding, or codes.
    """
    rows, labels, splits = noisy(72, spread=0.4)
    layers = {"x": np.abs(rows[:, :13]).astype(np.float32), "y": rows[:, 13:].astype(np.float32)}
    path, embedding = write(folder / "a.h5", layers, labels, splits, kind="activations"), ("--embedding", kind)
    if kind == "codes":
        embedding = ()
        assert fne("normalize", path, folder / "m.h5").code == 0
        assert fne("discretize", path, folder / "m.h5", folder / "c.h5", "--packed").code == 0
        path = folder / "c.h5"
    saved = folder / "model.npz"
    outputs = ("--model", saved, "--predictions", folder / "p.csv", "--json")
    done = fne("evaluate", path, *how, *embedding, *outputs)
    assert done.code == 0, done.err
    assert fne("predict", saved, path, folder / "q.csv", "--rows", "test").code == 0

    def lines(name: str) -> list[dict]:
        with open(folder / name, newline="", encoding="utf-8") as file:
            return [{k: v for k, v in line.items() if k != "embedding"} for line in csv.DictReader(file)]

    assert lines("p.csv") == lines("q.csv")
    with np.load(saved, allow_pickle=False) as archive:
        head, members = json.loads(archive["head"].tobytes()), set(archive)
    (found,) = json.loads(done.out)["results"]
    return found, head, members, lines("q.csv")
