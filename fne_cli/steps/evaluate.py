"""codes (or activations) -> accuracies: a linear SVM trained on the training rows, measured on the test rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics import metrics, svm
from fne_cli.progress import SILENT, Progress
from fne_cli.store.existing import up_to_date
from fne_cli.store.output import Output
from fne_cli.store.reader import LayerReader, Reader, open_file
from fne_cli.store.record import new_run, time_run
from fne_cli.store.schema import Images, fingerprint
from fne_cli.store.software import software

EMBEDDING = "embedding"


@dataclass(frozen=True)
class Evaluation:
    """The results as `--json` prints them, the file they are in (if any), and whether they were computed now."""

    results: dict[str, Any]
    path: Path | None
    up_to_date: bool = False


def evaluate(
    features: Path,
    results: Path | None = None,
    *,
    layers: Sequence[str] = (),
    cost: float = 1.0,
    solver: Literal["certified", "liblinear"] = "certified",
    tolerance: float = 1e-4,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Evaluation:
    """Train on the rows of split train, measure on those of split test; the numbers are fractions.

    A codes file is measured as one embedding of all (or the given) layers. An activations file is the single-layer
    baseline: each (or each given) layer alone, every row scaled to length 1. With several crops per image every crop is
    a training row, and a test image is the majority vote of its crops. solver: ours, which stops when the relative
    duality gap of every class is at most `tolerance`, or scikit-learn's LinearSVC as a reference.
    """
    with open_file(features, "codes", "activations") as source:
        chosen = source.select(layers) if layers else source.layers
        settings = {
            "C": cost,
            "solver": solver,
            "seed": seed,
            "layers": list(chosen),
            "features": "ternary codes" if source.kind == "codes" else "one layer at a time, L2-normalised rows",
        }
        if solver == "certified":
            settings["tolerance"] = tolerance
        sources = [{"kind": source.kind, "fingerprint": source.fingerprint}]
        if results is not None and up_to_date(results, "results", settings, sources, overwrite, (features,)):
            import json

            return Evaluation(json.loads(results.read_text(encoding="utf-8")), results, up_to_date=True)
        task = Task.of(source, progress)
        versions = software("scikit-learn", "scipy")
        began, run = time.monotonic(), new_run(versions)
        table = []
        with progress.track(1 if source.kind == "codes" else len(chosen), "fits") as advance:
            for name, rows in _embeddings(source, chosen, task):
                table.append({"name": name, **task.measure(rows, settings, progress)})
                advance(1)
        document = {
            "format": "fne",
            "version": 1,
            "kind": "results",
            "fingerprint": fingerprint("results", settings, sources),
            "settings": settings,
            "sources": sources,
            "software": versions,
            "images": task.description,
            "made_from": source.settings,
            "results": table,
        }
        if results is not None:
            time_run(run, time.monotonic() - began)
            with Output(results) as output:
                output.write_json(document)
                output.accept({"fingerprint": document["fingerprint"], "runs": [run]})
    return Evaluation(document, results)


@dataclass(frozen=True)
class Task:
    """Which rows are trained on, which measured, and what their classes are."""

    classes: Sequence[str]
    crops: int
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    description: dict[str, Any]

    @classmethod
    def of(cls, source: Reader, progress: Progress) -> Task:
        """The task that a file's splits define. Raises BadInput if there is none."""
        images = source.images
        if images.label.ndim != 1:
            raise BadInput(f"{source.path} should have one label per image. Found: several (labels in the manifest).")
        rows = {split: _labelled(source, images, split) for split in ("train", "test")}
        train, test = images.label[rows["train"]], images.label[rows["test"]]
        if len(np.unique(train)) < 2:
            raise BadInput(
                f"{source.path} should have training images of at least two classes. Found: "
                f"{images.classes[train[0]]} only."
            )
        untrained = sorted({images.classes[label] for label in np.setdiff1d(test, train)})
        untested = sorted({images.classes[label] for label in np.setdiff1d(train, test)})
        if untrained:
            progress.note(f"no training image, so every test image is wrong: {_few(untrained)}")
        if untested:
            progress.note(f"no test image, so left out of the mean per-class accuracy: {_few(untested)}")
        description = {
            "training": len(train),
            "test": len(test),
            "bad": int((~images.good).sum()),
            "classes_without_training_images": untrained,
            "classes_without_test_images": untested,
        }
        crops = int(source.settings["crops"])
        return cls(images.classes, crops, rows["train"], rows["test"], train, test, description)

    def read(self, layer: LayerReader, batch_rows: int = 4096) -> tuple[np.ndarray, np.ndarray]:
        """The training rows and the test rows of a layer, crops of an image one after the other."""
        train, test = (np.repeat(part, self.crops) for part in (self.train, self.test))
        parts = [(batch[train[span]], batch[test[span]]) for span, batch in layer.batches(batch_rows)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def measure(
        self, rows: tuple[np.ndarray, np.ndarray], settings: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Fit on the training rows and measure on the test rows."""
        train, test = rows
        labels = np.repeat(self.train_labels, self.crops)
        cost, seed = settings["C"], settings["seed"]
        if settings["solver"] == "liblinear":
            model, converged = svm.fit_liblinear(train, labels, cost, seed)
            objective, gap = svm.objective_and_gap(model, train, labels, cost)
            path = "liblinear"
        else:
            solution = svm.solve(train, labels, cost, settings["tolerance"], seed=seed)
            model, objective, gap = solution.model, solution.total_objective, solution.total_gap
            converged, path = bool(solution.gap.max() <= settings["tolerance"]), solution.path
        if not converged:
            progress.note(f"the SVM stopped before it converged; its relative duality gap is {gap:.1e}")
        predicted = model.classes[metrics.majority_vote(model.decisions(test), self.crops)]
        confusion = metrics.confusion(self.test_labels, predicted, len(self.classes))
        trained = np.bincount(self.train_labels, minlength=len(self.classes))
        per_class = [
            {
                "class": name,
                "accuracy": None if np.isnan(accuracy) else float(accuracy),
                "training_images": int(trained[number]),
                "test_images": int(confusion[number].sum()),
            }
            for number, (name, accuracy) in enumerate(
                zip(self.classes, metrics.per_class_accuracy(confusion), strict=True)
            )
        ]
        return {
            "features": int(train.shape[1]),
            "training_rows": len(train),
            "test_rows": len(test),
            "mean_per_class_accuracy": metrics.mean_per_class_accuracy(confusion),
            "accuracy": metrics.accuracy(confusion),
            "objective": objective,
            "duality_gap": gap,
            "converged": converged,
            "path": path,
            "per_class": per_class,
            "classes": list(self.classes),
            "confusion": confusion.tolist(),
        }


def _labelled(source: Reader, images: Images, split: str) -> np.ndarray:
    rows = images.good & (np.asarray(images.split) == split) & (images.label >= 0)
    if not rows.any():
        found = ", ".join(images.splits) or "none"
        raise BadInput(
            f"{source.path} should have good, labelled images of split {split}. Found: splits {found}.\n"
            "Put the images below train/ and test/, or give a manifest with a column split."
        )
    return rows


def _embeddings(
    source: Reader, chosen: dict[str, LayerReader], task: Task
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    if source.kind == "codes":
        parts = [task.read(layer) for layer in chosen.values()]
        yield EMBEDDING, (np.hstack([train for train, _ in parts]), np.hstack([test for _, test in parts]))
        return
    for name, layer in chosen.items():
        train, test = task.read(layer)
        yield name, (svm.unit_rows(train), svm.unit_rows(test))


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
