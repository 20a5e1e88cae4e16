"""The recipe `auto` in a trial: embedding, weights of layers and penalty by the training images alone.

Every candidate is a ridge classifier; what it says of each training image without that image decides. With one image of
every class that can decide nothing, and a prior is taken. What was measured: docs/recipe.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.likelihood import log_likelihoods
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.ridge import solver as ridge
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.options import BUDGET, ClassifierOptions
from fne_cli.steps.evaluate.ridge import LEFT_OUT, RidgeTraining
from fne_cli.steps.evaluate.training import Trained, Training

PRIOR, PRIOR_PENALTY = "unit,equal,aligned:2,depth:1", 0.3
ROOTS = "root,unit", "z,root"
"""The families of embeddings that another one, with large values as they are, has to beat by more than chance."""
CANDIDATES = (
    "root,unit,equal,depth:1",
    "z,root,equal,aligned:2",
    "z,depth:2",
    "root,unit,equal,aligned:1,depth:1",
    "z,root,equal,aligned:1",
    "z",
    "root,unit,equal,depth:2",
    "z,root,equal,depth:2",
    "z,root,equal,depth:1",
    "root,unit,equal,aligned:2",
    "z,depth:1",
    "z,root,equal,aligned:4",
    "z,root,equal,aligned:1,depth:1",
    "z,root,equal",
    "root,unit,equal",
    "z,root",
)
"""Embeddings, those first that win most often: the budget may end before the list does."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""In units of the mean diagonal of the kernel."""
GIVEN = "the prior, as no class has two training images"


@dataclass(frozen=True)
class _Tried:
    """A candidate at its best penalty. score: mean log-likelihood of left-out images (several labels: their mAP).

    each: (images,), of which the score is the mean; accuracy: of the left-out images. None with several labels.
    """

    name: str
    penalty: float
    score: float
    each: np.ndarray | None = None
    accuracy: float | None = None

    def beats(self, other: _Tried) -> bool:
        """Whether it is better by more than a standard error of the difference."""
        if self.each is None or other.each is None:
            return self.score > other.score
        apart = self.each - other.each
        return float(apart.mean()) > float(apart.std(ddof=1)) / np.sqrt(len(apart))

    def described(self) -> dict[str, Any]:
        """As results have it."""
        own = {"recipe": self.name, "score": metrics.json_number(self.score), "penalty": self.penalty}
        return own if self.accuracy is None else own | {"mean_per_class_accuracy": self.accuracy}


class RecipeTraining(Training):
    """Tries as many of CANDIDATES as the budget allows, and trains with the best."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        tried = [self._tried(features, trial, name) for name in self.candidates(features, trial)]
        best = _best(tried) if tried else _Tried(PRIOR, PRIOR_PENALTY, float("nan"))
        how = replace(as_tried(self.how), penalty=(best.penalty,))
        found = RidgeTraining(self.task, how, self.solver).trained(features.made_by(embedding(best.name)), trial)
        choice = {
            "by": LEFT_OUT if tried else GIVEN,
            "figure": self.figure if self.task.several else "log_likelihood",
            "score": metrics.json_number(best.score),
            "scores": [one.described() for one in tried],
        }
        own = {"recipe": best.name, "classifier": "ridge", "choice_of_recipe": choice}
        figures = {key: value for key, value in found.figures.items() if key != "choice_of_penalty"}
        return replace(found, figures=own | figures)

    def candidates(self, features: Features, trial: Trial) -> tuple[str, ...]:
        """Those that the budget allows, the first always; none where they cannot be compared."""
        if not self.task.several and self.task.trained(trial.train).max() < 2:
            return ()
        rows, classes = len(trial.train) * self.task.crops, len(self.task.classes)
        wanted = ridge.estimate(
            rows, features.inputs, classes, len(PENALTIES), self.solver.memory, crops=self.task.crops,
            threads=self.solver.planned_threads,
        )  # fmt: skip
        return CANDIDATES[: max(1, int(self.how.budget / wanted.seconds()))]

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
        labels = self.task.labels[trial.train]
        if self.task.several:
            classes = np.arange(left_out.shape[2])
            scores = [metrics.score(self.judged(classes, part), labels) for part in left_out]
            place = int(np.argmax(scores))
            return _Tried(name, PENALTIES[place], scores[place])
        classes, truth, counts = np.unique(labels, return_inverse=True, return_counts=True)
        known = counts[truth] > 1  # nothing of a class is known when its only image is left out
        each = [
            log_likelihoods(part.reshape(len(labels), self.task.crops, -1).mean(axis=1)[known], truth[known])
            for part in left_out
        ]
        place = int(np.argmax([values.mean() for values in each]))
        accuracy = metrics.score(self.judged(classes, left_out[place]), labels)
        return _Tried(name, PENALTIES[place], float(each[place].mean()), each[place], accuracy)


def as_tried(how: ClassifierOptions) -> ClassifierOptions:
    """How a candidate is trained."""
    return replace(how, recipe=None, budget=BUDGET, classifier="ridge", penalty=PENALTIES)


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The best of ROOTS, or the best of the others if it beats that; of equal ones the first."""
    roots = [one for one in tried if one.name.startswith(ROOTS)]
    others = [one for one in tried if one not in roots]
    first = max(roots, key=lambda one: one.score)
    other = max(others, key=lambda one: one.score, default=first)
    return other if other.beats(first) else first
