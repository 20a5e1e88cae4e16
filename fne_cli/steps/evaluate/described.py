"""What an evaluation is made from, and by which options: what its results say of themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.embedding import embedding
from fne_cli.steps.evaluate.classification import ClassificationTask
from fne_cli.steps.evaluate.classifiers.candidates import CANDIDATES, CAUTIOUS, LATE, PENALTIES, PRIOR_PENALTY
from fne_cli.steps.evaluate.options import ClassifierOptions, FeatureOptions, Protocol
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.thresholds import Thresholds, read_thresholds
from fne_cli.store.other.tested import Tested
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.origin import Origin
from fne_cli.vectors.projections import Projection

_INHERITED = ("projection_rows",)
"""Settings that say something of an input, not of the command."""


def origin_of(
    source: JoinedFiles,
    settings: dict[str, Any],
    cuts: Thresholds,
    chosen: FeatureOptions,
    protocol: Protocol,
    projection: Projection | None = None,
) -> Origin:
    """What the results are made from, and by which options."""
    by_file = chosen.thresholds if cuts.sources and isinstance(chosen.thresholds, Path) else None
    beside = {"thresholds": by_file, "split": protocol.split, "projection": chosen.projection}
    fitted = [] if projection is None else [projection.source]
    return Origin(
        "results",
        settings,
        [*source.sources(), *cuts.sources, *split_source(protocol), *fitted],
        {"features": source.paths} | {role: (path,) for role, path in beside.items() if path is not None},
        inherited=_INHERITED if by_file is None else ("thresholds", *_INHERITED),
        with_network=("layers",),
        network=source.settings,
    )


def settings_of(
    source: JoinedFiles,
    layers: list[str],
    chosen: FeatureOptions,
    protocol: Protocol,
    classifier: ClassifierOptions,
    projection: Projection | None = None,
) -> tuple[dict[str, Any], Thresholds]:
    """What the results say of how they were made; and the thresholds of ternary codes, where they matter."""
    kind = "codes" if source.kind == "codes" else chosen.embedding or "l2"
    auto = classifier.recipe == "auto"
    settings: dict[str, Any] = {
        **(_chosen_by(classifier) if auto else _trained_by(classifier)),
        "seed": classifier.seed,
        "layers": layers,
        "embedding": "auto" if auto else kind,
        "parts": _parts_named(source, chosen),
        "aggregate": classifier.aggregate,
        "protocol": protocol.described(),
    }
    if chosen.pool is not None:
        settings["pool"] = chosen.pool
    if projection is not None:
        settings["projection_rows"] = projection.rows
    cuts = Thresholds(LOW, HIGH)
    if kind != "codes" and embedding(kind).takes_thresholds:
        given = chosen.thresholds
        if isinstance(given, Path):
            cuts = read_thresholds(given, source.settings, source.files[0].path)
        else:
            cuts = Thresholds(*given)
        settings["thresholds"] = [cuts.low, cuts.high]
    certified = classifier.kind == "svm" and classifier.solver == "certified" and not auto
    if classifier.kind == "logistic" or certified:
        settings["tolerance"] = classifier.tolerance
    return settings, cuts


def _trained_by(classifier: ClassifierOptions) -> dict[str, Any]:
    """The classifier and what is its own; nothing names the SVM, as results did not when there was no other."""
    match classifier.kind:
        case "ridge":
            return {"classifier": "ridge", "penalty": _one_or_all(classifier.penalties)}
        case "lda":
            return {"classifier": "lda", "shrinkage": _one_or_all(classifier.shrinkages) or "auto"}
        case "knn":
            return {"classifier": classifier.classifier, "temperature": classifier.told_temperature}
        case "centroid":
            return {"classifier": "centroid"}
    cost: dict[str, Any] = {"C": _one_or_all(classifier.costs)}
    if classifier.relative_cost:
        cost["relative_cost"] = True
    if classifier.kind == "logistic":
        return {"classifier": "logistic", **cost}
    return {**cost, "solver": classifier.solver}


def _chosen_by(classifier: ClassifierOptions) -> dict[str, Any]:
    """A recipe that is chosen: among what."""
    tried = {"candidates": list(CANDIDATES), "penalties": list(PENALTIES), "priors": [CAUTIOUS, LATE, PRIOR_PENALTY]}
    return {"recipe": "auto", "budget": classifier.budget, **tried}


def _one_or_all(values: list[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else values


def _parts_named(source: JoinedFiles, chosen: FeatureOptions) -> str:
    if source.kind == "activations" and chosen.embedding is None:
        return "each layer"
    return "embedding and each layer" if chosen.each_layer else "embedding"


def split_source(protocol: Protocol) -> list[dict[str, str]]:
    """The manifest of --split, by its content."""
    if protocol.split is None:
        return []
    check_noted(protocol.split)
    try:
        content = protocol.split.read_bytes()
    except OSError as error:
        raise BadInput(
            f"--split {protocol.split} should be a manifest that can be read. Found: {error.strerror}."
        ) from error
    return [{"kind": "split", "fingerprint": hashlib.sha256(content).hexdigest()}]


def split_fingerprint(protocol: Protocol) -> dict[Path, str]:
    """That of the manifest of --split, by its path."""
    return {} if protocol.split is None else {protocol.split: split_source(protocol)[0]["fingerprint"]}


def tested_of(task: ClassificationTask, source: JoinedFiles) -> Tested:
    """The images that the trials measure, each of one label."""
    images = np.unique(np.concatenate([trial.test for trial in task.trials]))
    fold = None
    if all("fold" in dict(trial.of) for trial in task.trials):
        fold = np.zeros(len(images), np.int64)
        for trial in task.trials:
            fold[np.searchsorted(images, trial.test)] = dict(trial.of)["fold"]
    places = images.tolist()
    path, sha256 = source.images.path, source.images.sha256
    ids, contents = [path[place] for place in places], [sha256[place] for place in places]
    return Tested.of(ids, contents, task.classes, task.labels[images], fold)
