"""One embedding through all trials: choose C, train, measure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.metrics import Aggregate, Judged, judge
from fne_cli.numerics.evaluation.protocols import Trial, folds
from fne_cli.numerics.svm.solver import LinearModel
from fne_cli.steps.evaluate.classification import FOLDS, ClassificationTask
from fne_cli.steps.evaluate.features import Features
from fne_cli.store.other.tested import bits


@dataclass(frozen=True)
class Outcome:
    """What one trial gave: its figures for the results."""

    trial: Trial
    figures: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Detail:
    """What predictions and a saved classifier need of a trial; large, so it goes unless they were asked for."""

    judged: Judged
    model: LinearModel
    embedding: Embedding | None


class Measurement:
    """Measures embeddings on a task; C is one of `costs`, chosen without looking at test images if there are more."""

    def __init__(self, task: ClassificationTask, costs: Sequence[float], aggregate: Aggregate, seed: int) -> None:
        self.task, self.costs, self.aggregate, self.seed = task, costs, aggregate, seed

    def outcome(self, features: Features, trial: Trial) -> tuple[Outcome, Detail]:
        """Train on the trial's training images and measure its test images."""
        began, task = time.monotonic(), self.task
        images, problem, embedding = features.problem(trial, shared=len(self.costs) > 1)
        cost = self.costs[0]
        chosen: dict[str, Any] = {}
        if len(self.costs) > 1:
            cost, chosen = self._chosen(features, trial)
        fit = problem.fit(self._rows(images, trial.train), cost)
        decisions = problem.decisions(fit.model, self._rows(images, trial.test))
        judged = self._judge(fit.model.classes, decisions)
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
            "C": cost,
            **chosen,
            "objective": fit.objective,
            "duality_gap": fit.gap,
            "converged": fit.converged,
            "path": fit.path,
            "support_vectors": fit.support_vectors,
        }
        outcome = Outcome(trial, figures | described, time.monotonic() - began)
        return outcome, Detail(judged, fit.model, embedding)

    def _rows(self, images: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Where the rows of some of the images stand."""
        crops = self.task.crops
        return (np.searchsorted(images, part)[:, None] * crops + np.arange(crops)).ravel()

    def _judge(self, classes: np.ndarray, decisions: np.ndarray) -> Judged:
        return judge(classes, decisions, len(self.task.classes), self.task.crops, self.aggregate)

    def _chosen(self, features: Features, trial: Trial) -> tuple[float, dict[str, Any]]:
        """The C with the best score on validation images or in cross-validation; of equal ones the smallest."""
        if len(trial.validation):
            inner, by = [Trial(trial.train, trial.validation)], "validation images"
        else:
            trained = self.task.trained(trial.train)
            if trained.max() < 2:
                raise BadInput(
                    f"{self.task.name}: to choose C there should be validation images (split val), or two training "
                    "images of a class for cross-validation. Found: one. Give one -C."
                )
            # a class of one image is wrong whatever C is; it must not keep the others from choosing
            count = min(FOLDS, max(2, int(trained[trained > 0].min())))
            inner = folds(self.task.labels, trial.train, count, self.seed)
            by = f"{count}-fold cross-validation of the training images"
        measured = [self._scores(features, trial, parts) for parts in self._together(features, inner)]
        mean = np.mean([scores for scores, _ in measured], axis=0)  # over folds, (costs,)
        if not np.isfinite(mean).all():
            raise BadInput(
                f"{self.task.name}: C should be chosen by images that show some class. Found: {by}, where none does. "
                "Give one -C, or other validation images."
            )
        best = min(range(len(self.costs)), key=lambda place: (-mean[place], self.costs[place]))
        figure = "mean_average_precision" if self.task.several else "mean_per_class_accuracy"
        choice = {
            "by": by,
            "figure": figure,
            "score": float(mean[best]),
            "scores": [{"C": cost, "score": float(value)} for cost, value in zip(self.costs, mean, strict=True)],
            "duality_gap": max(gap for _, gap in measured),
        }
        return self.costs[best], {"choice_of_C": choice}

    def _together(self, features: Features, inner: list[Trial]) -> list[list[Trial]]:
        """Folds of codes share their rows and are solved together; other embeddings differ from fold to fold."""
        return [inner] if features.kind is None else [[trial] for trial in inner]

    def _scores(self, features: Features, outer: Trial, inner: list[Trial]) -> tuple[list[float], float]:
        """For each cost the score, the mean over the inner trials; and the largest relative duality gap of all."""
        images, problem, _ = features.problem(inner[0], shared=True)
        splits = [(self._rows(images, trial.train), self._rows(images, trial.test)) for trial in inner]
        found, gap = [], 0.0
        for parts in problem.grid(splits, self.costs):
            gap = max(gap, *(part.gap for part in parts))
            values = [
                metrics.score(self._judge(part.classes, part.decisions), self.task.labels[trial.test])
                for part, trial in zip(parts, inner, strict=True)
            ]
            found.append(metrics.mean_of(values))
        return found, gap

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
            "C": sorted({figure["C"] for figure in figures}),
            "objective": float(np.mean([figure["objective"] for figure in figures])),
            "duality_gap": max(figure["duality_gap"] for figure in figures),
            "converged": all(figure["converged"] for figure in figures),
            "path": ", ".join(sorted({figure["path"] for figure in figures})),
        }
        if "choice_of_C" in first:
            summary["choice_of_C"] = _mean_choice([figure["choice_of_C"] for figure in figures])
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


def _mean_choice(choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How C was chosen in several trials: for every C the mean score, and the mean of those that won."""
    costs = [entry["C"] for entry in choices[0]["scores"]]
    scores = np.array([[entry["score"] for entry in choice["scores"]] for choice in choices])
    return {
        **{key: choices[0][key] for key in ("by", "figure")},
        "scores": [{"C": cost, "score": float(score)} for cost, score in zip(costs, scores.mean(axis=0), strict=True)],
        "score": float(np.mean([choice["score"] for choice in choices])),
        "duality_gap": max(choice["duality_gap"] for choice in choices),
    }
