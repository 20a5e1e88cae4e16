"""One of several values of an option, by validation images or by cross-validation of the training images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.protocols import Trial, folds
from fne_cli.steps.evaluate.classification import FOLDS
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.training import Training


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
        if len(trial.validation):
            inner, by = [Trial(trial.train, trial.validation)], "validation images"
        else:
            trained = self.task.trained(trial.train)
            if trained.max() < 2:
                raise BadInput(
                    f"{self.task.name}: to choose {self.option} there should be validation images (split val), or two "
                    f"training images of a class for cross-validation. Found: one. Give one {self.flag}."
                )
            # a class of one image is wrong whatever the value is; it must not keep the others from choosing
            count = min(FOLDS, max(2, int(trained[trained > 0].min())))
            inner = folds(self.task.labels, trial.train, count, self.how.seed)
            by = f"{count}-fold cross-validation of the training images"
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

    def _together(self, features: Features, inner: list[Trial]) -> list[list[Trial]]:
        """Folds of codes share their rows and are solved together; other embeddings differ from fold to fold."""
        return [inner] if features.kind is None else [[trial] for trial in inner]
