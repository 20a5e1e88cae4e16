"""The recipe `auto` in a trial: embedding, weights of layers and penalty by the training images alone.

Every candidate is a ridge classifier; what it says of each training image without that image decides. Where labels
weigh the layers, they are those of other images, too: of all parts of the training images but the one that it is in.
With few images, or one of every class, nothing can be decided, and a prior is taken. What was measured: docs/recipe.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.likelihood import log_likelihoods
from fne_cli.numerics.evaluation.protocols import Trial, folds
from fne_cli.numerics.ridge import solver as ridge
from fne_cli.steps.evaluate.classifiers.candidates import (
    CANDIDATES,
    CAUTIOUS,
    FEWEST,
    FOLDS,
    LATE,
    PENALTIES,
    PRIOR_PENALTY,
    ROOTS,
    fits_of,
)
from fne_cli.steps.evaluate.classifiers.ridge import LEFT_OUT, RidgeTraining, left_out_score
from fne_cli.steps.evaluate.classifiers.training import Trained, Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.options import BUDGET, ClassifierOptions

GIVEN = f"the prior, as there are fewer than {FEWEST} training images, or one of every class"


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
        prior = CAUTIOUS if len(trial.train) < FEWEST else LATE
        best = _best(tried) if tried else _Tried(prior, PRIOR_PENALTY, float("nan"))
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
        if len(trial.train) < FEWEST or self.task.trained(trial.train).max() < 2:
            return ()
        rows, memory = len(trial.train) * self.task.crops, self.solver.memory
        one = ridge.estimate(
            rows, features.inputs, len(self.task.classes), len(PENALTIES), memory, crops=self.task.crops,
            threads=self.solver.planned_threads,
        ).seconds()  # fmt: skip
        fitting = [
            name
            for name in CANDIDATES
            if embedding(name).fit_bytes(rows, features.inputs, max(features.widths)) <= memory
        ]
        spent = np.cumsum([fits_of(name) * one for name in fitting])
        return tuple(fitting[: max(1, int((spent <= self.how.budget).sum()))])

    def _tried(self, features: Features, trial: Trial, name: str) -> _Tried:
        left_out = self._left_out(features.made_by(embedding(name)), trial, fits_of(name) > 1)
        labels = self.task.labels[trial.train]
        if self.task.several:
            scores = [left_out_score(self, part, trial) for part in left_out]
            if not np.isfinite(scores).all():
                raise BadInput(
                    f"{self.task.name}: a recipe should be chosen by training images that show some class. Found: none "
                    "does. Give an --embedding and a --classifier."
                )
            place = int(np.argmax(scores))
            return _Tried(name, PENALTIES[place], scores[place])
        _, truth, counts = np.unique(labels, return_inverse=True, return_counts=True)
        known = counts[truth] > 1  # nothing of a class is known when its only image is left out
        each = [
            log_likelihoods(part.reshape(len(labels), self.task.crops, -1).mean(axis=1)[known], truth[known])
            for part in left_out
        ]
        place = int(np.argmax([values.mean() for values in each]))
        accuracy = left_out_score(self, left_out[place], trial)
        return _Tried(name, PENALTIES[place], float(each[place].mean()), each[place], accuracy)

    def _left_out(self, features: Features, trial: Trial, labelled: bool) -> np.ndarray:
        """(penalties, rows, classes): what is said of the training images without them.

        labelled: whether the embedding looks at labels.
        """
        if not labelled:
            return self._predictions(features, trial.train, trial.train)
        fewest = self.task.trained(trial.train)
        count = min(FOLDS, max(2, int(fewest[fewest > 0].min())), len(trial.train))
        found: np.ndarray | None = None
        for part in folds(self.task.labels, trial.train, count, self.how.seed):
            said = self._predictions(features, part.train, trial.train)
            own = self.rows(trial.train, part.test)
            found = said if found is None else found
            found[:, own] = said[:, own]
        return self._predictions(features, trial.train, trial.train) if found is None else found

    def _predictions(self, features: Features, known: np.ndarray, images: np.ndarray) -> np.ndarray:
        """What ridge says of each of the images without it, the embedding fitted to those that are `known`."""
        fitted = features.embedding(known)
        if fitted is None:
            raise TypeError("codes are an embedding already")
        problem = features.encoded(images, fitted)
        return ridge.left_out(
            problem.rows,
            problem.labels,
            PENALTIES,
            crops=self.task.crops,
            memory=self.solver.memory,
            threads=self.threads,
        )


def as_tried(how: ClassifierOptions) -> ClassifierOptions:
    """How a candidate is trained."""
    return replace(how, recipe=None, budget=BUDGET, classifier="ridge", penalty=PENALTIES)


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The first, or the best of ROOTS if it beats that, or the best of the others if it beats both."""
    found = tried[0]
    for own in (True, False):
        family = [one for one in tried if one.name.startswith(ROOTS) is own]
        best = max(family, key=lambda one: one.score, default=found)
        found = best if best.beats(found) else found
    return found
