"""The recipe `auto` in a trial: embedding, weights of layers and penalty by the training images alone.

Every candidate is a ridge classifier; what it says of each training image without that image decides. Where labels
weigh the layers, they are those of other images, too: of all parts of the training images but the one that it is in.
With few images, or one of every class, nothing can be decided, and a prior is taken. What was measured: docs/recipe.md.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.recipes import choice
from fne_cli.numerics.recipes.candidates import BUDGET, CANDIDATES, FEWEST, PENALTIES, PRIOR_PENALTY, fits_of
from fne_cli.numerics.recipes.choice import Tried, affordable, best_of, likelihoods, prior_of
from fne_cli.numerics.ridge import solver as ridge
from fne_cli.steps.evaluate.classifiers.ridge import LEFT_OUT, RidgeTraining, left_out_score
from fne_cli.steps.evaluate.classifiers.training import Trained, Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.options import ClassifierOptions

GIVEN = f"the prior, as there are fewer than {FEWEST} training images, or one of every class"


class RecipeTraining(Training):
    """Tries as many of CANDIDATES as the budget allows, and trains with the best."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        tried = [self._tried(features, trial, name) for name in self.candidates(features, trial)]
        best = best_of(tried) if tried else Tried(prior_of(len(trial.train)), PRIOR_PENALTY, float("nan"))
        how = replace(as_tried(self.how), penalty=(best.penalty,))
        found = RidgeTraining(self.task, how, self.solver).trained(features.made_by(embedding(best.name)), trial)
        chosen = {
            "by": LEFT_OUT if tried else GIVEN,
            "figure": self.figure if self.task.several else "log_likelihood",
            "score": metrics.json_number(best.score),
            "scores": [one.described() for one in tried],
        }
        own = {"recipe": best.name, "classifier": "ridge", "choice_of_recipe": chosen}
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
        return affordable(fitting, one, self.how.budget)

    def _tried(self, features: Features, trial: Trial, name: str) -> Tried:
        made, fewest = features.made_by(embedding(name)), self.task.trained(trial.train)
        left_out = choice.left_out(
            partial(self._predictions, made),
            self.task.labels,
            trial.train,
            int(fewest[fewest > 0].min()),
            self.how.seed,
            fits_of(name) > 1,
            partial(self.rows, trial.train),
        )
        labels = self.task.labels[trial.train]
        if self.task.several:
            scores = [left_out_score(self, part, trial) for part in left_out]
            if not np.isfinite(scores).all():
                raise BadInput(
                    f"{self.task.name}: a recipe should be chosen by training images that show some class. Found: none "
                    "does. Give an --embedding and a --classifier."
                )
            place = int(np.argmax(scores))
            return Tried(name, PENALTIES[place], scores[place])
        place, each = likelihoods(left_out, labels)
        accuracy = left_out_score(self, left_out[place], trial)
        return Tried(name, PENALTIES[place], float(each.mean()), each, accuracy)

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
