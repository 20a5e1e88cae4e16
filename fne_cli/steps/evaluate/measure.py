"""One embedding in a trial: train, and measure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.models import Model
from fne_cli.steps.evaluate.classifiers.training import Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.pictures import Measured
from fne_cli.trials.summary import Outcome, figures_of

Detailed = Literal["", "predictions", "classifier"]
"""What is kept of a trial beside its figures: nothing, what predictions need, or the classifier, too."""


@dataclass(frozen=True)
class Detail:
    """What predictions and a saved classifier need of a trial; large, so it goes unless they were asked for.

    model: None if only predictions were.
    """

    judged: Judged
    model: Model | None
    embedding: Embedding | None


class Measurement:
    """Measures embeddings, by one kind of classifier. seed: of intervals."""

    def __init__(self, measured: Measured, training: Training, seed: int) -> None:
        self.measured, self.training, self.seed = measured, training, seed

    def outcome(self, features: Features, number: int) -> tuple[Outcome, Detail]:
        """Train on the training images of a trial, by its number, and measure its test images."""
        began, task = time.monotonic(), self.training.task
        trial, measured = task.trials[number], self.measured.task.trials[number]
        found = self.training.trained(features, trial)
        judged = self.measured.judged(self.training.judged(found.model.classes, found.decisions), trial.test)
        figures = figures_of(self.measured.task, measured, judged, self.seed)
        described = {
            "features": features.count,
            "training_rows": len(trial.train) * task.crops,
            "test_rows": len(trial.test) * task.crops,
            **found.figures,
        }
        outcome = Outcome(measured, figures | described, time.monotonic() - began)
        return outcome, Detail(judged, found.model, found.embedding)
