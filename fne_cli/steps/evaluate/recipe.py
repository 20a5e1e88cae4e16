"""The recipe `auto` in a trial: embedding, weights of layers, penalty and classifier by the training images alone.

Every candidate is a ridge classifier; what it says of each training image without that image decides. Where that can
decide nothing, the published recipe is taken. What was measured: docs/recipe.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.likelihood import log_likelihood
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.ridge import solver as ridge
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.options import BUDGET, ClassifierOptions
from fne_cli.steps.evaluate.ridge import LEFT_OUT, RidgeTraining
from fne_cli.steps.evaluate.svm import SvmTraining
from fne_cli.steps.evaluate.training import Trained, Training

PUBLISHED = "fne"
CANDIDATES = (
    "z,root,equal,aligned:2",
    "z,root,equal,depth:2",
    "z,root,equal,depth:1",
    "z,root,equal,aligned:1",
    "z,root,equal,aligned:1,depth:1",
    "z,depth:2",
    "z,root,depth:2",
    "z,depth:1",
    "z,root,equal,aligned:4",
    "z,root,equal,depth:3",
    "z,root,equal",
    "z,root",
    "z",
)
"""Embeddings, those first that win most often: the budget may end before the list does."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""In units of the mean diagonal of the kernel."""
_TOO_FEW = "the published one, as no class has two training images"


@dataclass(frozen=True)
class _Tried:
    """A candidate at its best penalty. score: log-likelihood of left-out images (several labels: mAP)."""

    name: str
    penalty: float
    score: float
    accuracy: float | None


class RecipeTraining(Training):
    """Tries as many of CANDIDATES as the budget allows, and trains with the best."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        tried = [self._tried(features, trial, name) for name in self.candidates(features, trial)]
        if not tried:
            return self._published(features, trial)
        best = max(tried, key=lambda one: one.score)  # of equal ones the first
        how = replace(as_tried(self.how), penalty=(best.penalty,))
        found = RidgeTraining(self.task, how, self.solver).trained(features.made_by(embedding(best.name)), trial)
        choice = {
            "by": LEFT_OUT,
            "figure": self.figure if self.task.several else "log_likelihood",
            "score": best.score,
            "scores": [
                {
                    "recipe": _named(one.name, "ridge"),
                    "score": one.score,
                    "penalty": one.penalty,
                    **({} if one.accuracy is None else {"mean_per_class_accuracy": one.accuracy}),
                }
                for one in tried
            ],
        }
        return _as_recipe(found, best.name, "ridge", choice)

    def candidates(self, features: Features, trial: Trial) -> tuple[str, ...]:
        """Those that the budget allows, the first always; none where they cannot be compared."""
        if not self._can_choose(trial):
            return ()
        rows, classes = len(trial.train) * self.task.crops, len(self.task.classes)
        wanted = ridge.estimate(
            rows, features.inputs, classes, len(PENALTIES), self.solver.memory, crops=self.task.crops,
            threads=self.solver.planned_threads,
        )  # fmt: skip
        return CANDIDATES[: max(1, int(self.how.budget / wanted.seconds()))]

    def _can_choose(self, trial: Trial) -> bool:
        return self.task.several or bool(self.task.trained(trial.train).max() > 1)

    def _published(self, features: Features, trial: Trial) -> Trained:
        how = ClassifierOptions(aggregate=self.how.aggregate, memory=self.how.memory, seed=self.how.seed)
        found = SvmTraining(self.task, how, self.solver).trained(features.made_by(embedding(PUBLISHED)), trial)
        return _as_recipe(found, PUBLISHED, "svm", {"by": _TOO_FEW, "figure": None, "score": None, "scores": []})

    def _tried(self, features: Features, trial: Trial, name: str) -> _Tried:
        own = features.made_by(embedding(name))
        images, problem, _ = own.problem(Trial(trial.train, trial.train[:0]), shared=False)
        left_out = ridge.left_out(
            problem.rows,
            problem.labels,
            PENALTIES,
            subset=self.rows(images, trial.train),
            crops=self.task.crops,
            memory=self.solver.memory,
            threads=self.threads,
        )
        scores = [self._score(part, trial) for part in left_out]
        place = max(range(len(scores)), key=lambda place: scores[place])
        accuracy = None if self.task.several else self._accuracy(left_out[place], trial)
        return _Tried(name, PENALTIES[place], scores[place], accuracy)

    def _score(self, left_out: np.ndarray, trial: Trial) -> float:
        """Of predictions (rows, classes) of the training images, each made without its image."""
        labels = self.task.labels[trial.train]
        if self.task.several:
            return metrics.score(self.judged(np.arange(left_out.shape[1]), left_out), labels)
        _, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
        decisions = left_out.reshape(len(labels), self.task.crops, -1).mean(axis=1)
        known = counts[own] > 1  # nothing of a class is known when its only image is left out
        return log_likelihood(decisions[known], own[known])

    def _accuracy(self, left_out: np.ndarray, trial: Trial) -> float:
        labels = self.task.labels[trial.train]
        return metrics.score(self.judged(np.unique(labels), left_out), labels)


def as_tried(how: ClassifierOptions) -> ClassifierOptions:
    """How a candidate is trained."""
    return replace(how, recipe=None, budget=BUDGET, classifier="ridge", penalty=PENALTIES)


def _named(name: str, classifier: str) -> str:
    return f"{name} with {classifier}"


def _as_recipe(found: Trained, name: str, classifier: str, choice: dict[str, Any]) -> Trained:
    own = {"recipe": _named(name, classifier), "embedding": name, "classifier": classifier, "choice_of_recipe": choice}
    figures = {key: value for key, value in found.figures.items() if key != "choice_of_penalty"}
    return replace(found, figures=own | figures)
