"""The figures of a trial, and what several trials say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.store.other.results.tested import bits
from fne_cli.trials.classification import ClassificationTask

CHOSEN = ("C", "penalty", "shrinkage", "recipe", "learning_rate", "weight_decay")
"""What an SVM, a ridge classifier, a discriminant analysis, a recipe and a tuning may choose among several."""

OF_CONFUSION = ("per_class", "classes", "confusion", "balanced_confusion")
"""The figures of a trial that come of its confusion matrix."""


@dataclass(frozen=True)
class Outcome:
    """What one trial gave: its figures for the results."""

    trial: Trial
    figures: dict[str, Any]
    seconds: float


def figures_of(task: ClassificationTask, trial: Trial, judged: Judged, seed: int) -> dict[str, Any]:
    """The figures of a trial's test images. seed: of intervals."""
    truth, trained = task.labels[trial.test], task.trained(trial.train)
    if task.several:
        return metrics.several_labels(judged, truth, trained, task.classes)
    figures = metrics.one_label(judged, truth, trained, task.classes, seed)
    return {**figures, "right": bits(judged.predicted == truth)}


def entries_of(name: str, outcomes: Sequence[Outcome], task: ClassificationTask) -> list[dict[str, Any]]:
    """One entry for each group of trials: the figures of its trial, or their mean and spread and all of them."""
    entries: list[dict[str, Any]] = []
    for group, members in groupby(outcomes, key=lambda outcome: outcome.trial.group):
        found = list(members)
        head = {"name": name, **dict(group)}
        if len(found) == 1 and not found[0].trial.of:
            entries.append(head | found[0].figures)
        else:
            entries.append(head | _summary(found, task))
    return entries


def _summary(outcomes: Sequence[Outcome], task: ClassificationTask) -> dict[str, Any]:
    figures = [outcome.figures for outcome in outcomes]
    first = figures[0]
    summary: dict[str, Any] = {
        "trials": len(figures),
        "features": first["features"],
        "training_rows": first["training_rows"],
        "test_rows": sum(figure["test_rows"] for figure in figures) if _all_differ(outcomes) else first["test_rows"],
        **metrics.spread(figures),
        **{key: sorted({figure[key] for figure in figures}) for key in CHOSEN if _in_all(key, figures)},
        **({"classifier": first["classifier"]} if "classifier" in first else {}),
        **(_certificate(figures) if "objective" in first else {}),
        "path": ", ".join(sorted({figure["path"] for figure in figures})),
    }
    for key in CHOSEN:
        if (choice := f"choice_of_{key}") in first:
            summary[choice] = _mean_choice(key, [figure[choice] for figure in figures])
    if task.several:
        summary |= metrics.mean_per_class([figure["per_class"] for figure in figures], task.classes)
    else:
        table = np.sum([figure["confusion"] for figure in figures], axis=0)
        trained = np.mean([[row["training_images"] for row in figure["per_class"]] for figure in figures], axis=0)
        summary |= metrics.of_confusion(table, np.asarray(trained), task.classes, once=_all_differ(outcomes))
    summary["each_trial"] = [
        dict(outcome.trial.of) | {key: value for key, value in outcome.figures.items() if key not in OF_CONFUSION}
        for outcome in outcomes
    ]
    return summary


def _all_differ(outcomes: Sequence[Outcome]) -> bool:
    """Whether every trial measures other images, as the folds of a cross-validation do."""
    tests = [outcome.trial.test for outcome in outcomes]
    return len(np.unique(np.concatenate(tests))) == sum(map(len, tests))


def _in_all(key: str, figures: Sequence[dict[str, Any]]) -> bool:
    return all(key in figure for figure in figures)


def _certificate(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How near to the optimum several fits came."""
    return {
        "objective": float(np.mean([figure["objective"] for figure in figures])),
        "duality_gap": max(figure["duality_gap"] for figure in figures),
        "converged": all(figure["converged"] for figure in figures),
    }


def _mean_choice(key: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How C, or another value, was chosen in several trials: the mean score of every one, and of those that won."""
    first = choices[0]
    found = [{entry[key]: entry["score"] for entry in choice["scores"]} for choice in choices]
    tried = [one for one in found[0] if all(one in scores for scores in found)]  # a budget may end sooner for one
    scores = np.array([[scores[one] for one in tried] for scores in found], np.float64).mean(axis=0)
    won = np.array([choice["score"] for choice in choices], np.float64).mean()
    return {
        **{name: first[name] for name in ("by", "figure")},
        "scores": [{key: one, "score": metrics.json_number(score)} for one, score in zip(tried, scores, strict=True)],
        "score": metrics.json_number(won),
        **({"duality_gap": max(choice["duality_gap"] for choice in choices)} if "duality_gap" in first else {}),
    }
