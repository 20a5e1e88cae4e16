"""One embedding in a trial: train, and measure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.models import Model
from fne_cli.steps.evaluate.classifiers.training import Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.trials.classification import ClassificationTask
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
    """Measures embeddings on a task, by one kind of classifier. seed: of intervals."""

    def __init__(self, task: ClassificationTask, training: Training, seed: int) -> None:
        self.task, self.training, self.seed = task, training, seed

    def outcome(self, features: Features, trial: Trial) -> tuple[Outcome, Detail]:
        """Train on the trial's training images and measure its test images."""
        began, task = time.monotonic(), self.task
        found = self.training.trained(features, trial)
        judged = self.training.judged(found.model.classes, found.decisions)
        figures = figures_of(task, trial, judged, self.seed)
        described = {
            "features": features.count,
            "training_rows": len(trial.train) * task.crops,
            "test_rows": len(trial.test) * task.crops,
            **found.figures,
        }
        outcome = Outcome(trial, figures | described, time.monotonic() - began)
        return outcome, Detail(judged, found.model, found.embedding)
