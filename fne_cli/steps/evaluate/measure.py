"""One embedding through all trials: train, measure, and what several trials say together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.models import Model
from fne_cli.steps.evaluate.classification import ClassificationTask
from fne_cli.steps.evaluate.classifiers.training import Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.store.other.tested import bits

CHOSEN = ("C", "penalty", "shrinkage", "recipe")
"""What an SVM, a ridge classifier, a discriminant analysis and a recipe may choose among several."""


Detailed = Literal["", "predictions", "classifier"]
"""What is kept of a trial beside its figures: nothing, what predictions need, or the classifier, too."""


@dataclass(frozen=True)
class Outcome:
    """What one trial gave: its figures for the results."""

    trial: Trial
    figures: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Detail:
    """What predictions and a saved classifier need of a trial; large, so it goes unless they were asked for.

    model: None if only predictions were.
    """

    judged: Judged
    model: Model | None
    embedding: Embedding | None


class Measurement:
    """Measures embeddings on a task, by one kind of classifier. seed: of intervals."""

    def __init__(self, task: ClassificationTask, training: Training, seed: int) -> None:
        self.task, self.training, self.seed = task, training, seed

    def outcome(self, features: Features, trial: Trial) -> tuple[Outcome, Detail]:
        """Train on the trial's training images and measure its test images."""
        began, task = time.monotonic(), self.task
        found = self.training.trained(features, trial)
        judged = self.training.judged(found.model.classes, found.decisions)
        truth, trained = task.labels[trial.test], task.trained(trial.train)
        if task.several:
            figures = metrics.several_labels(judged, truth, trained, task.classes)
        else:
            figures = metrics.one_label(judged, truth, trained, task.classes, self.seed)
            figures["right"] = bits(judged.predicted == truth)
        described = {
            "features": features.count,
            "training_rows": len(trial.train) * task.crops,
            "test_rows": len(trial.test) * task.crops,
            **found.figures,
        }
        outcome = Outcome(trial, figures | described, time.monotonic() - began)
        return outcome, Detail(judged, found.model, found.embedding)

    def results(self, name: str, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
        """One entry for each group of trials: the figures of its trial, or their mean and spread and all of them."""
        entries = []
        for group, members in groupby(outcomes, key=lambda outcome: outcome.trial.group):
            found = list(members)
            head = {"name": name, **dict(group)}
            if len(found) == 1 and not found[0].trial.of:
                entries.append(head | found[0].figures)
            else:
                entries.append(head | self._summary(found))
        return entries

    def _summary(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        figures = [outcome.figures for outcome in outcomes]
        first = figures[0]
        summary: dict[str, Any] = {
            "trials": len(figures),
            "features": first["features"],
            "training_rows": first["training_rows"],
            "test_rows": sum(figure["test_rows"] for figure in figures)
            if self._all_differ(outcomes)
            else first["test_rows"],
            **metrics.spread(figures),
            **{key: sorted({figure[key] for figure in figures}) for key in CHOSEN if _in_all(key, figures)},
            **({"classifier": first["classifier"]} if "classifier" in first else {}),
            **(_certificate(figures) if "objective" in first else {}),
            "path": ", ".join(sorted({figure["path"] for figure in figures})),
        }
        for key in CHOSEN:
            if (choice := f"choice_of_{key}") in first:
                summary[choice] = _mean_choice(key, [figure[choice] for figure in figures])
        if self.task.several:
            summary |= metrics.mean_per_class([figure["per_class"] for figure in figures], self.task.classes)
        else:
            table = np.sum([figure["confusion"] for figure in figures], axis=0)
            trained = np.mean([[row["training_images"] for row in figure["per_class"]] for figure in figures], axis=0)
            summary |= metrics.of_confusion(
                table, np.asarray(trained), self.task.classes, once=self._all_differ(outcomes)
            )
        left_out = ("per_class", "classes", "confusion", "balanced_confusion")
        summary["each_trial"] = [
            dict(outcome.trial.of) | {key: value for key, value in outcome.figures.items() if key not in left_out}
            for outcome in outcomes
        ]
        return summary

    @staticmethod
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
