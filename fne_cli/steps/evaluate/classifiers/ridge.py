"""The ridge classifier in a trial: its penalty is chosen by predictions of training images that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.ridge.solver import TOLERANCE, path_of, solve
from fne_cli.steps.evaluate.classifiers.training import Trained, Training
from fne_cli.steps.evaluate.features import Features

PRIOR = 0.1
"""The penalty, in units of the kernel's mean diagonal, where every class has one training image: left out, it leaves
nothing of its class to be recognised by. What was measured: docs/decisions.md."""
LEFT_OUT = "leave-one-out of the training images"
GIVEN = f"the one nearest to {PRIOR:g}, as no class has two training images"
_DIGITS = 12  # of a score; beyond them two that are equal may differ by rounding


class RidgeTraining(Training):
    """Of `penalties` the one is taken with the best score of left-out images; of equal ones the largest."""

    @property
    def penalties(self) -> list[float]:
        """Those that are tried, ascending."""
        return self.how.penalties

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        images, problem, embedding = features.problem(trial, shared=False)
        train = self.rows(images, trial.train)
        scores: list[float] = []

        def choose(left_out: np.ndarray) -> int:
            scores.extend(left_out_score(self, part, trial) for part in left_out)
            return self._best(scores, trial)

        dual = path_of(len(train), features.count) == "dual"
        fit = solve(
            problem.rows,
            problem.labels,
            self.penalties,
            choose,
            subset=train,
            crops=self.task.crops,
            memory=self.solver.memory,
            gram=problem.known_products(train) if dual else None,
            threads=self.threads,
        )
        place = self.penalties.index(fit.penalty)
        choice = {
            "by": LEFT_OUT if self._can_choose(trial) else GIVEN,
            "figure": self.figure,
            "score": metrics.json_number(scores[place]),
            "scores": [
                {"penalty": penalty, "score": metrics.json_number(score)}
                for penalty, score in zip(self.penalties, scores, strict=True)
            ],
        }
        figures: dict[str, Any] = {
            "penalty": fit.penalty,
            "choice_of_penalty": choice,
            "mean_diagonal": fit.scale,
            "objective": fit.total_objective,
            "duality_gap": fit.total_gap,
            "converged": bool(fit.gap.max() <= TOLERANCE),
            "path": fit.path,
        }
        return Trained(fit.model, embedding, figures, problem.decisions(fit.model, self.rows(images, trial.test)))

    def _can_choose(self, trial: Trial) -> bool:
        """Whether some left-out image has another of its class."""
        return self.task.several or bool(self.task.trained(trial.train).max() > 1)

    def _best(self, scores: Sequence[float], trial: Trial) -> int:
        """The place of the penalty to take."""
        if not self._can_choose(trial):
            return min(range(len(scores)), key=lambda place: (abs(np.log(self.penalties[place] / PRIOR)), -place))
        if len(scores) > 1 and not np.isfinite(scores).all():
            raise BadInput(
                f"{self.task.name}: a penalty should be chosen by training images that show some class. Found: none "
                "does. Give one --penalty."
            )
        return max(range(len(scores)), key=lambda place: (round(scores[place], _DIGITS), self.penalties[place]))


def left_out_score(training: Training, left_out: np.ndarray, trial: Trial) -> float:
    """How good predictions (rows, classes) of the training images are, each made without its image."""
    labels, crops = training.task.labels[trial.train], training.task.crops
    if training.task.several:
        return metrics.score(training.judged(np.arange(left_out.shape[1]), left_out), labels)
    classes, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    alone = np.repeat(counts[own] == 1, crops)
    left_out = left_out.copy()
    # a class of one image was not trained on when that was left out
    left_out[alone, np.repeat(own, crops)[alone]] = -np.inf
    return metrics.score(training.judged(classes, left_out), labels)
