"""The linear SVM in a trial: choose C, train."""

from __future__ import annotations

from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.steps.evaluate.classifiers.choosing import Costing
from fne_cli.steps.evaluate.classifiers.training import Trained
from fne_cli.steps.evaluate.features import Features


class SvmTraining(Costing):
    """C is one of several, chosen on validation images or by cross-validation if there are more."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        images, problem, embedding = features.problem(trial, shared=len(self.how.costs) > 1, products=True)
        train = self.rows(images, trial.train)
        cost, chosen = self.cost(features, trial, problem, train)
        fit = problem.fit(train, cost)
        figures = {
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
        divisor, _ = self.unit(problem, self.rows(images, outer.train))
        found, gap = [], 0.0
        for parts in problem.grid(splits, [one / divisor for one in self.how.costs]):
            gap = max(gap, *(part.gap for part in parts))
            values = [
                metrics.score(self.judged(part.classes, part.decisions), self.task.labels[trial.test])
                for part, trial in zip(parts, inner, strict=True)
            ]
            found.append(metrics.mean_of(values))
        return found, gap
