"""One of several values of an option, by validation images or by cross-validation of the training images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.machine import thread_pool
from fne_cli.numerics.evaluation.protocols import Trial, folds
from fne_cli.numerics.ridge.products import Chosen
from fne_cli.numerics.svm.problem import Problem
from fne_cli.steps.evaluate.classifiers.training import Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.trials.classification import FOLDS


class Choosing(Training):
    """option: what is chosen, as results have it; flag: as the command line has it.

    smallest: whether the smallest of equal ones is taken, or the largest.
    """

    option: ClassVar[str]
    flag: ClassVar[str]
    smallest: ClassVar[bool] = True

    @abstractmethod
    def scores(self, features: Features, outer: Trial, inner: list[Trial]) -> tuple[list[float], float | None]:
        """For each value the score, the mean over the inner trials; the largest relative duality gap, if there is one.

        outer: the trial whose training images the inner ones divide. These share their rows if they are several.
        """

    def chosen(self, features: Features, trial: Trial, values: Sequence[float]) -> tuple[float, dict[str, Any]]:
        """The value, of these ascending ones, with the best score; and what results say of the choice."""
        inner, by = self.inner(trial)
        if not inner:
            raise BadInput(
                f"{self.task.name}: to choose {self.option} there should be validation images (split val), or "
                f"{by} for cross-validation. Found: fewer. Give one {self.flag}."
            )
        measured = [self.scores(features, trial, parts) for parts in self._together(features, inner)]
        mean = np.mean([scores for scores, _ in measured], axis=0)  # over folds, (values,)
        if not np.isfinite(mean).all():
            raise BadInput(
                f"{self.task.name}: {self.option} should be chosen by images that show some class. Found: {by}, where "
                f"none does. Give one {self.flag}, or other validation images."
            )
        best = min(range(len(values)), key=lambda place: (-mean[place], place if self.smallest else -place))
        gaps = [gap for _, gap in measured if gap is not None]
        choice = {
            "by": by,
            "figure": self.figure,
            "score": float(mean[best]),
            "scores": [{self.option: one, "score": float(value)} for one, value in zip(values, mean, strict=True)],
            **({"duality_gap": max(gaps)} if gaps else {}),
        }
        return values[best], {f"choice_of_{self.option}": choice}

    def inner(self, trial: Trial) -> tuple[list[Trial], str]:
        """Trials to choose by, and how to call them; or none, and what there should be for folds."""
        if len(trial.validation):
            return [Trial(trial.train, trial.validation)], "validation images"
        trained = self.task.trained(trial.train)
        if trained.max() < 2:
            return [], "two training images of a class"
        # a class of one image is wrong whatever the value is; it must not keep the others from choosing
        count = min(FOLDS, max(2, int(trained[trained > 0].min())))
        inner = folds(self.task.labels, trial.train, count, self.how.seed)
        if not self.task.several and any((self.task.trained(one.train) > 0).sum() < 2 for one in inner):
            return [], "training images of two classes outside every fold"
        return inner, f"{count}-fold cross-validation of the training images"

    def _together(self, features: Features, inner: list[Trial]) -> list[list[Trial]]:
        """Folds of codes share their rows and are solved together; other embeddings differ from fold to fold."""
        return [inner] if features.kind is None else [[trial] for trial in inner]


class Costing(Choosing):
    """What has a C, maybe in units of the rows' spread: 1 / their mean squared distance from their mean."""

    option, flag = "C", "-C"

    def unit(self, problem: Problem, train: np.ndarray) -> tuple[float, dict[str, Any]]:
        """What C is to be divided by, of the rows of these numbers; and what results say of it."""
        if not self.how.relative_cost:
            return 1.0, {}
        with thread_pool(self.threads) as pool:
            _, diagonal = Chosen(problem.rows, train, self.task.crops, pool).centre()
        diagonal = diagonal or 1.0  # of rows that are all the same
        return diagonal, {"mean_diagonal": diagonal}

    def cost(
        self, features: Features, trial: Trial, problem: Problem, train: np.ndarray
    ) -> tuple[float, dict[str, Any]]:
        """C to train with on the rows `train`, and what results say of it."""
        costs = self.how.costs
        given, choice = self.chosen(features, trial, costs) if len(costs) > 1 else (costs[0], {})
        divisor, unit = self.unit(problem, train)
        absolute = given / divisor
        return absolute, {"C": given, **choice, **unit, **({"absolute_C": absolute} if unit else {})}
