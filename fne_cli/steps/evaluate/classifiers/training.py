"""What a classifier answers to a trial: trained on its training images, what it says of its test images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.machine import processors
from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.evaluation.metrics import Judged, judge
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.models import Model
from fne_cli.numerics.svm.problem import SolverOptions
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.options import ClassifierOptions
from fne_cli.trials.classification import ClassificationTask


@dataclass(frozen=True)
class Trained:
    """A classifier, how the rows were made, what results say of it, and its decision values.

    decisions: (rows of the test images, classes of the model).
    """

    model: Model
    embedding: Embedding | None
    figures: dict[str, Any]
    decisions: np.ndarray


class Training(ABC):
    """Trains one kind of classifier on a task; what it has to choose it chooses without looking at test images."""

    def __init__(self, task: ClassificationTask, how: ClassifierOptions, solver: SolverOptions) -> None:
        self.task, self.how, self.solver = task, how, solver
        # never more than the memory was estimated for
        self.threads = min(processors(), solver.planned_threads or processors())

    @abstractmethod
    def trained(self, features: Features, trial: Trial) -> Trained:
        """Train on the trial's training images."""

    @property
    def figure(self) -> str:
        """What is best where something is chosen: the key of that measure."""
        return "mean_average_precision" if self.task.several else "mean_per_class_accuracy"

    def rows(self, images: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Where the rows of some of the images stand."""
        crops = self.task.crops
        return (np.searchsorted(images, part)[:, None] * crops + np.arange(crops)).ravel()

    def judged(self, classes: np.ndarray, decisions: np.ndarray) -> Judged:
        """What decision values (rows, classes) say of the images."""
        return judge(classes, decisions, len(self.task.classes), self.task.crops, self.how.aggregate)
