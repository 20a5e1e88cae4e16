"""The files that an evaluation leaves: results, predictions, a classifier. They appear together at its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.models import arrays_of
from fne_cli.progress import Progress
from fne_cli.steps.evaluate.classifiers.recipe import as_tried
from fne_cli.steps.evaluate.fits import Fits
from fne_cli.steps.evaluate.measure import Detail, Detailed
from fne_cli.steps.evaluate.options import ClassifierOptions
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.classifiers import is_classifier, save_model
from fne_cli.store.other.predictions import Predicted, is_predictions, label_names, write_predictions
from fne_cli.store.output.notes import record_path
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.trials.classification import ClassificationTask

_OWN = {"ridge": ("penalty", "mean_diagonal"), "lda": ("shrinkage",)}
"""What of an entry of the results a saved classifier has, too."""
_LOOKS = {"predictions": is_predictions, "classifier": is_classifier}


class Outputs:
    """What was asked for, None where it was not; `origin` is that of the results. Use as a context manager."""

    def __init__(self, results: Path | None, predictions: Path | None, model: Path | None, origin: Origin) -> None:
        self.results, self.predictions, self.model = results, predictions, model
        self.origin, self.fingerprint = origin, origin.fingerprint
        self._stack = ExitStack()
        self._open: dict[Path, Output] = {}
        self._details: list[tuple[str, Trial, Detail]] = []
        paths = [path.resolve() for path in (results, predictions, model) if path is not None]
        taken = [place for path in paths for place in (path, record_path(path), Output(path).partial)]
        if len(set(taken)) < len(taken):
            raise BadInput(
                "Results, --predictions and --save-classifier should be different files, and none the record of "
                f"another. Found: {', '.join(map(str, paths))}."
            )

    def finished(self, overwrite: bool, progress: Progress) -> bool:
        """Whether predictions and classifier are there already. Raises DifferentOutput if others are."""
        what = "of this evaluation. Found: one with other inputs or settings, or changed since"
        there = [
            is_recorded(path, digest, self.origin, overwrite, what, progress, kind=kind, ours=_LOOKS[kind])
            for path, (kind, digest) in self._beside().items()
        ]
        return all(there)

    def _beside(self) -> dict[Path, tuple[str, str]]:
        """The outputs that do not say themselves what they are: the kind of each, and the digest that is noted."""
        roles = {"predictions": (self.predictions, "predictions"), "model": (self.model, "classifier")}
        return {
            path: (kind, hashlib.sha256(f"{role} {self.fingerprint}".encode()).hexdigest())
            for role, (path, kind) in roles.items()
            if path is not None
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for path in (self.results, self.predictions, self.model):
                if path is not None:
                    self._open[path] = stack.enter_context(Output(path))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    @property
    def detailed(self) -> Detailed:
        """What they say of a trial beside its figures."""
        if self.model is not None:
            return "classifier"
        return "predictions" if self.predictions is not None else ""

    def keep(self, name: str, trial: Trial, detail: Detail | None) -> None:
        """Remember what will be written of a trial of the embedding `name`."""
        if self.detailed and detail is not None:
            kept = detail if self.model is not None else replace(detail, model=None, embedding=None)
            self._details.append((name, trial, kept))

    def write_predictions(self, task: ClassificationTask, paths: Sequence[str]) -> None:
        """A line for each test image of each embedding in each trial. paths: of all images."""
        if self.predictions is None:
            return
        several_trials = len(task.trials) > 1
        columns = ("embedding", *(("trial",) if several_trials else ()))

        def parts() -> Iterator[Predicted]:
            for name, trial, detail in self._details:
                test, judged = trial.test, detail.judged
                said = (judged.decisions > 0).astype(np.int8) if task.several else judged.predicted
                yield Predicted(
                    path=[paths[number] for number in test.tolist()],
                    truth=label_names(task.labels[test], task.classes),
                    prediction=label_names(said, task.classes),
                    decisions=judged.decisions,
                    columns=(name, *((trial.name,) if several_trials else ())),
                )

        with open(self._open[self.predictions].into, "w", newline="", encoding="utf-8") as file:
            write_predictions(file, task.classes, parts(), columns)

    def write_model(self, source: JoinedFiles, fits: Fits, entry: Mapping[str, Any]) -> None:
        """The hyperplanes, and all that `fne predict` needs to make features like those that they were trained on.

        entry: of the results.
        """
        if self.model is None:
            return
        detail, plan, task = self._details[0][2], fits.plan, fits.task
        model, fitted, layers = detail.model, detail.embedding, fits.embeddings[0][1].layers
        assert model is not None  # `detailed` asked for it
        own = source.settings.get("thresholds", plan.thresholds) if fits.kind is None else plan.thresholds
        head = {
            "classes": [task.classes[number] for number in model.classes.tolist()],
            "several_labels": task.several,
            "layers": [layer.name for layer in layers],
            "layer_features": [layer.features for layer in layers],
            "embedding": source.kind if fits.kind is None else entry.get("recipe", plan.embedding or "l2"),
            "thresholds": list(own),
            "aggregate": plan.classifier.aggregate,
            "made_from": _as_pooled(source.settings, plan.pool),
            "sources": source.made_of(),
            **_trained_with(plan.classifier if "recipe" not in entry else as_tried(plan.classifier), entry),
        }
        save_model(self._open[self.model].into, head, arrays_of(model) | ({} if fitted is None else fitted.state()))

    def finish(self, document: dict[str, Any], run: dict[str, Any]) -> None:
        """Write the results; then all files get their names."""
        for path, output in self._open.items():
            if path == self.results:
                output.write_json(document)
        for path, output in self._open.items():
            if path == self.results:
                output.accept({"fingerprint": self.fingerprint, **self.origin.noted(path), "runs": [run]})
            else:
                kind, digest = self._beside()[path]
                noted = self.origin.noted_whole(path) | {"kind": kind}
                output.accept_noted({"fingerprint": digest, **noted, "runs": [run]})


def _as_pooled(settings: Mapping[str, Any], pool: str | None) -> dict[str, Any]:
    """The settings of an extraction that would have given the features, had it pooled the layers so."""
    known = settings.get("layers")
    return {**settings, **({"layers": dict.fromkeys(known, pool)} if pool and isinstance(known, dict) else {})}


def _trained_with(how: ClassifierOptions, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The classifier and what is its own, of an entry of the results; nothing names the SVM, as in the results."""
    cost = {"C": entry.get("absolute_C", entry["C"])} if "C" in entry else {}
    if how.kind == "svm":
        return cost
    own = {"temperature": how.told_temperature} if how.kind == "knn" else {}
    return {"classifier": how.classifier, **cost, **own, **{key: entry[key] for key in _OWN.get(how.kind, ())}}
