"""What an evaluation is made from, and by which options: what its results say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.recipes.candidates import CANDIDATES, CAUTIOUS, LATE, PENALTIES, PRIOR_PENALTY
from fne_cli.steps.evaluate.options import ClassifierOptions, FeatureOptions
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.thresholds import Thresholds, read_thresholds
from fne_cli.store.output.origin import Origin
from fne_cli.trials.protocol import Protocol
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
        [*source.sources(), *cuts.sources, *protocol.sources(), *fitted],
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
    if classifier.regions is not None:
        settings["regions"] = classifier.regions
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


def split_fingerprint(protocol: Protocol) -> dict[Path, str]:
    """That of the manifest of --split, by its path."""
    return {} if protocol.split is None else {protocol.split: protocol.sources()[0]["fingerprint"]}
