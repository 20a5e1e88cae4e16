"""The linear SVM in a trial: choose C, train."""

from __future__ import annotations

from typing import Any

from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.steps.evaluate.choosing import Choosing
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.training import Trained


class SvmTraining(Choosing):
    """C is one of several, chosen on validation images or by cross-validation if there are more."""

    option, flag = "C", "-C"

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        costs = self.how.costs
        images, problem, embedding = features.problem(trial, shared=len(costs) > 1)
        cost = costs[0]
        chosen: dict[str, Any] = {}
        if len(costs) > 1:
            cost, chosen = self.chosen(features, trial, costs)
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

    def scores(self, features: Features, outer: Trial, inner: list[Trial]) -> tuple[list[float], float | None]:
        """As Choosing has it."""
        images, problem, _ = features.problem(inner[0], shared=True)
        splits = [(self.rows(images, trial.train), self.rows(images, trial.test)) for trial in inner]
        found, gap = [], 0.0
        for parts in problem.grid(splits, self.how.costs):
            gap = max(gap, *(part.gap for part in parts))
            values = [
                metrics.score(self.judged(part.classes, part.decisions), self.task.labels[trial.test])
                for part, trial in zip(parts, inner, strict=True)
            ]
            found.append(metrics.mean_of(values))
        return found, gap
