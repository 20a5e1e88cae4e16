"""Nearest neighbours in a trial: nothing is trained, the training rows are looked up."""

from __future__ import annotations

import numpy as np

from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.neighbours.model import NeighboursModel
from fne_cli.steps.evaluate.classifiers.training import Trained, Training
from fne_cli.steps.evaluate.features import Features


class NeighboursTraining(Training):
    """The training rows that make the smallest angles with a row vote for its class."""

    def trained(self, features: Features, trial: Trial) -> Trained:
        """As Training has it."""
        images, problem, embedding = features.problem(trial, shared=False)
        train, labels = self.rows(images, trial.train), problem.labels
        classes = np.arange(len(self.task.classes))
        if not self.task.several:
            classes = np.unique(labels[train])
            labels = np.searchsorted(classes, labels)  # of rows that are trained on; others are never looked at
        model = NeighboursModel(classes, problem.rows, train, labels, self.how.neighbours, self.how.temperature)
        decisions = problem.decisions(model, self.rows(images, trial.test))
        return Trained(model, embedding, {"path": "neighbours"}, decisions)
