"""Logistic regression in a trial: choose C as for the SVM, train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.logistic.solver import LogisticSolution, solve
from fne_cli.numerics.svm.problem import CHOOSING, Problem
from fne_cli.steps.evaluate.classifiers.choosing import Costing
from fne_cli.steps.evaluate.classifiers.training import Trained
from fne_cli.steps.evaluate.features import Features


class LogisticTraining(Costing):
    """C is one of several, chosen on validation images or by cross-validation if there are more."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        images, problem, embedding = features.problem(trial, shared=len(self.how.costs) > 1)
        train = self.rows(images, trial.train)
        cost, chosen = self.cost(features, trial, problem, train)
        (fit,) = self._fits(problem, train, [cost], self.how.tolerance)
        figures = {
            **chosen,
            "objective": fit.total_objective,
            "duality_gap": fit.total_gap,
            "converged": bool(fit.gap.max(initial=0.0) <= self.how.tolerance),
            "path": fit.path,
        }
        return Trained(fit.model, embedding, figures, problem.decisions(fit.model, self.rows(images, trial.test)))

    def scores(self, features: Features, outer: Trial, inner: list[Trial]) -> tuple[list[float], float | None]:
        """As Choosing has it."""
        images, problem, _ = features.problem(inner[0], shared=True)
        divisor, _ = self.unit(problem, self.rows(images, outer.train))
        costs, tolerance = [one / divisor for one in self.how.costs], max(self.how.tolerance, CHOOSING)
        found, gap = [], 0.0
        for trial in inner:
            held, labels = self.rows(images, trial.test), self.task.labels[trial.test]
            scores = []
            for fit in self._fits(problem, self.rows(images, trial.train), costs, tolerance):
                gap = max(gap, float(fit.gap.max(initial=0.0)))
                said = self.judged(fit.model.classes, problem.decisions(fit.model, held))
                scores.append(metrics.score(said, labels))
            found.append(scores)
        return [metrics.mean_of(scores) for scores in zip(*found, strict=True)], gap

    def _fits(
        self, problem: Problem, train: np.ndarray, costs: Sequence[float], tolerance: float
    ) -> Iterator[LogisticSolution]:
        """A fit for each of ascending values of C."""
        return solve(
            problem.rows,
            problem.labels,
            costs,
            tolerance,
            subset=train,
            memory=self.solver.memory,
            gram=problem.known_products(train),
            threads=self.threads,
        )
