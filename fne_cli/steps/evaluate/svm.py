"""The linear SVM in a trial: choose C, train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.metrics import Aggregate
from fne_cli.numerics.evaluation.protocols import Trial, folds
from fne_cli.steps.evaluate.classification import FOLDS, ClassificationTask
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.training import Trained, Training


class SvmTraining(Training):
    """C is one of `costs`, chosen on validation images or by cross-validation if there are more."""

    def __init__(self, task: ClassificationTask, costs: Sequence[float], aggregate: Aggregate, seed: int) -> None:
        super().__init__(task, aggregate)
        self.costs, self.seed = costs, seed

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        images, problem, embedding = features.problem(trial, shared=len(self.costs) > 1)
        cost = self.costs[0]
        chosen: dict[str, Any] = {}
        if len(self.costs) > 1:
            cost, chosen = self._chosen(features, trial)
        fit = problem.fit(self.rows(images, trial.train), cost)
        figures = {
            "C": cost,
            **chosen,
            "objective": fit.objective,
            "duality_gap": fit.gap,
            "converged": fit.converged,
            "path": fit.path,
            "support_vectors": fit.support_vectors,
        }
        return Trained(fit.model, embedding, figures, problem.decisions(fit.model, self.rows(images, trial.test)))

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
        choice = {
            "by": by,
            "figure": self.figure,
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
        splits = [(self.rows(images, trial.train), self.rows(images, trial.test)) for trial in inner]
        found, gap = [], 0.0
        for parts in problem.grid(splits, self.costs):
            gap = max(gap, *(part.gap for part in parts))
            values = [
                metrics.score(self.judged(part.classes, part.decisions), self.task.labels[trial.test])
                for part, trial in zip(parts, inner, strict=True)
            ]
            found.append(metrics.mean_of(values))
        return found, gap
