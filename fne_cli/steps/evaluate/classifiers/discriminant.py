"""Discriminant analysis in a trial, with its shrinkage; and the nearest mean, which has nothing to choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fne_cli.numerics.discriminant.centroid import centroids
from fne_cli.numerics.discriminant.lda import Within, one_against_rest, path_of, within
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.svm.problem import Problem
from fne_cli.numerics.svm.solver import LinearModel
from fne_cli.steps.evaluate.classifiers.choosing import Choosing
from fne_cli.steps.evaluate.classifiers.training import Trained, Training
from fne_cli.steps.evaluate.features import Features

BY_FORMULA = "the estimate of Ledoit and Wolf, as no class has two training images"
_BY_FORMULA_OF_FEW = "the estimate of Ledoit and Wolf, as a fold would leave training images of one class only"


class LdaTraining(Choosing):
    """The shrinkage is what the training rows say, the one that was given, or one of several, chosen as C is."""

    option, flag, smallest = "shrinkage", "--shrinkage", False

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        given = self.how.shrinkages
        images, problem, embedding = features.problem(trial, shared=len(given) > 1)
        chosen: dict[str, Any] = {}
        if len(given) > 1 and self.inner(trial)[0]:
            one, chosen = self.chosen(features, trial, given)
            given = [one]
        elif len(given) > 1:
            by = BY_FORMULA if self.task.trained(trial.train).max() < 2 else _BY_FORMULA_OF_FEW
            scores = [{"shrinkage": one, "score": None} for one in given]
            chosen = {"choice_of_shrinkage": {"by": by, "figure": self.figure, "score": None, "scores": scores}}
            given = []
        train = self.rows(images, trial.train)
        used: list[float] = []

        def shrunk(found: Within) -> list[LinearModel]:
            used.append(given[0] if given else found.shrinkage)
            return [found.model(used[-1])]

        (model,) = self._models(problem, train, shrunk, 1)
        shrinkage = given[0] if given else float(np.mean(used or [1.0]))  # no class may have had a covariance
        figures = {"shrinkage": shrinkage, **chosen, "path": path_of(len(train), features.count)}
        return Trained(model, embedding, figures, problem.decisions(model, self.rows(images, trial.test)))

    def scores(self, features: Features, outer: Trial, inner: list[Trial]) -> tuple[list[float], float | None]:
        """As Choosing has it; nothing is approximate."""
        images, problem, _ = features.problem(inner[0], shared=True)
        found = []
        for trial in inner:
            held, labels = self.rows(images, trial.test), self.task.labels[trial.test]
            models = self._models(
                problem,
                self.rows(images, trial.train),
                lambda part: list(map(part.model, self.how.shrinkages)),
                len(self.how.shrinkages),
            )
            decisions = [problem.decisions(model, held) for model in models]
            found.append(
                [
                    metrics.score(self.judged(model.classes, values), labels)
                    for model, values in zip(models, decisions, strict=True)
                ]
            )
        return [metrics.mean_of(scores) for scores in zip(*found, strict=True)], None

    def _models(
        self, problem: Problem, train: np.ndarray, made: Callable[[Within], list[LinearModel]], count: int
    ) -> Sequence[LinearModel]:
        """The `count` models made of some rows; with several labels, class by class of those that count for it."""
        if not self.task.several:
            return self._made(problem, train, problem.labels, made)
        each: list[tuple[int, list[LinearModel] | None]] = []
        for number in range(problem.labels.shape[1]):
            labels = problem.labels[:, number]
            counted = train[labels[train] >= 0]
            both = len(np.unique(labels[counted])) == 2
            each.append((number, self._made(problem, counted, labels, made) if both else None))
        return [
            one_against_rest(
                [(number, None if models is None else models[place]) for number, models in each],
                problem.rows.shape[1],
            )
            for place in range(count)
        ]

    def _made(
        self, problem: Problem, train: np.ndarray, labels: np.ndarray, made: Callable[[Within], list[LinearModel]]
    ) -> list[LinearModel]:
        dual = path_of(len(train), problem.rows.shape[1]) == "dual"
        gram = problem.known_products(train) if dual else None
        with within(
            problem.rows, labels, subset=train, memory=self.solver.memory, gram=gram, threads=self.threads
        ) as found:
            return made(found)


class CentroidTraining(Training):
    """The class whose mean is at the smallest angle."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        images, problem, embedding = features.problem(trial, shared=False)
        train = self.rows(images, trial.train)
        model = centroids(problem.rows, problem.labels, subset=train, memory=self.solver.memory, threads=self.threads)
        figures = {"path": "centroid"}
        return Trained(model, embedding, figures, problem.decisions(model, self.rows(images, trial.test)))
