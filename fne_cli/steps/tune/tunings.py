"""All trainings of a tuning, one after the other: each is done once, whatever stops the process in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.images.decoded import DecodedImages
from fne_cli.machine import free_memory
from fne_cli.networks.trained.building import Trainable
from fne_cli.networks.trained.trainer import Trainer
from fne_cli.networks.trained.tuned import set_head
from fne_cli.numerics.evaluation import metrics
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.evaluation.protocols import NOBODY, Trial, held_out
from fne_cli.numerics.svm.problem import SolverOptions
from fne_cli.progress import Progress
from fne_cli.steps.tune.head import best_cost, fit_head, head_score
from fne_cli.steps.tune.options import Candidate, LearningOptions
from fne_cli.steps.tune.units import Units
from fne_cli.training.inputs import Inputs, in_batches
from fne_cli.training.loop import Diverged, Loop, Parts
from fne_cli.trials.classification import ClassificationTask
from fne_cli.trials.summary import OF_CONFUSION, Outcome, figures_of

HELD = 0.2
"""The share of the training images of each class by which is chosen where there are no validation images."""


@dataclass(frozen=True)
class _Chosen:
    """What a trial is trained with, how that was chosen, by which trainings, and in what time beside them."""

    cost: float
    candidate: Candidate
    told: dict[str, Any]
    tried: Sequence[str] = ()
    seconds: float = 0.0


class Tunings:
    """The trainings of all trials of a task. units: where each of them is done once.

    seconds: what was done once for all of them.
    """

    def __init__(
        self,
        decoded: DecodedImages,
        task: ClassificationTask,
        trainable: Trainable,
        learning: LearningOptions,
        units: Units,
        precision: str,
        progress: Progress,
    ) -> None:
        self.decoded, self.task, self.trainable = decoded, task, trainable
        self.learning, self.units, self.progress = learning, units, progress
        self.seconds = 0.0
        self._precision = precision
        self._trainers: dict[tuple[float, int], tuple[Trainer, dict[str, np.ndarray]]] = {}
        self._images = task.images
        self._batch = min(learning.batch_size, len(self._images))
        self._first, _ = self._trainer(learning.candidates[0], self._batch)
        _check_memory(self._first, self._batch)
        self.inputs = Inputs(decoded, self._first, learning.augment)
        self._features = np.empty((0, 0), np.float32)

    def prepare(self, cache: int) -> None:
        """What all trainings share: the outputs of the frozen layers, and the features that a head is fitted to."""
        began = time.monotonic()
        self.inputs.compute_frozen(self._images, cache, self.units.output.parent, self.progress)
        if self.learning.head == "svm":
            features = self._decisions(self._first, self._images, "images to features")[0]
            self._features = np.zeros((len(self.task.labels), features.shape[1]), np.float32)
            self._features[self._images] = features
        self.seconds = time.monotonic() - began

    def outcome(self, trial: Trial) -> Outcome:
        """Choose, train and measure in a trial. Raises Stopped, Diverged."""
        name = trial.name or "all training images"
        if name not in self.units.finished:
            chosen = self._chosen(name, trial)
            self.units.do(name, lambda: self._measured(name, trial, chosen), self.progress)
        unit, task = self.units.finished[name], self.task
        table = metrics.confusion(task.labels[trial.test], np.array(unit["predicted"], np.int64), len(task.classes))
        figures = unit["figures"] | metrics.of_confusion(table, task.trained(trial.train), task.classes)
        return Outcome(trial, figures, self.took(trial)["seconds"])

    def took(self, trial: Trial) -> dict[str, float]:
        """Seconds, and joules where a driver tells, of a trial that is finished, with all that was tried for it."""
        finished = self.units.finished
        unit = finished[trial.name or "all training images"]
        parts = [unit, *(finished[name] for name in unit["tried"])]
        found = {"seconds": sum(part["seconds"] for part in parts) + unit["choosing"]}
        if all(part["joules"] is not None for part in parts):
            found["joules"] = sum(part["joules"] for part in parts)
        return {key: round(value, 3) for key, value in found.items()}

    def _chosen(self, name: str, trial: Trial) -> _Chosen:
        """The candidate with the best mean per-class accuracy on images that the trial does not train on, nor test."""
        learning, task = self.learning, self.task
        candidates, costs = learning.candidates, list(learning.cost)
        if len(candidates) == len(costs) == 1:
            return _Chosen(costs[0], candidates[0], {})
        if len(trial.validation):
            kept, held, by = trial.train, trial.validation, "validation images"
        else:
            kept, held = held_out(task.labels, trial.train, HELD, learning.seed)
            by = "a fifth of the training images of each class"
        if not len(held):
            nothing = {"by": "nothing: no image can be left out, so the first of each list is taken"}
            return _Chosen(costs[0], candidates[0], {"choice": nothing})
        began, cost = time.monotonic(), costs[0]
        told: dict[str, Any] = {"by": by, "figure": "mean_per_class_accuracy"}
        if len(costs) > 1:
            cost, scores = best_cost(
                self._features, task.labels, (kept, held), costs, len(task.classes), self._solver
            )  # fmt: skip
            told["heads"] = [{"C": one, "score": score} for one, score in zip(costs, scores, strict=True)]
        spent = time.monotonic() - began
        if len(candidates) == 1:
            return _Chosen(cost, candidates[0], {"choice": told}, (), spent)
        names = [f"{name}: {candidate}" for candidate in candidates]
        found = [
            self.units.do(key, partial(self._tried, key, one, kept, held, cost), self.progress)
            for key, one in zip(names, candidates, strict=True)
        ]
        scored = [unit["score"] for unit in found]
        told["scores"] = [one.described() | {"score": score} for one, score in zip(candidates, scored, strict=True)]
        usable = [place for place, score in enumerate(scored) if score is not None]
        if not usable:
            raise Diverged(
                f"The loss should be finite with one of the learning rates. Found: it is not with any, {name}.",
                remedy="Give a lower --learning-rate.",
            )
        # of equal ones that with the lower loss
        best = max(usable, key=lambda place: (scored[place], -found[place]["loss"], -place))
        return _Chosen(cost, candidates[best], {"choice": told}, names, spent)

    def _tried(
        self, key: str, candidate: Candidate, kept: np.ndarray, held: np.ndarray, cost: float
    ) -> dict[str, Any]:  # fmt: skip
        """How well a candidate does on images that are held out; None for one whose loss is not finite."""
        try:
            trainer, _ = self._trained(key, candidate, kept, cost)
            logits = self._decided(trainer, held).astype(np.float64)
        except Diverged:
            self.progress.note(f"{key}: the loss is not finite")
            return {"score": None, "loss": None}
        truth = self.task.labels[held]
        top = logits.max(axis=1, keepdims=True)
        loss = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0] - logits[np.arange(len(truth)), truth]
        return {"score": metrics.score(self._judged(kept, logits), truth), "loss": float(loss.mean())}

    def _measured(self, key: str, trial: Trial, chosen: _Chosen) -> dict[str, Any]:
        """The figures of a trial's test images, trained on all its training images."""
        trainer, loop = self._trained(key, chosen.candidate, trial.train, chosen.cost)
        logits = self._decided(trainer, trial.test)
        judged = self._judged(trial.train, logits)
        figures = figures_of(self.task, trial, judged, self.learning.seed)
        for name in OF_CONFUSION:  # come again of what was predicted: checkpoints should stay small
            del figures[name]
        figures |= {
            "features": trainer.features,
            "training_rows": len(trial.train),
            "test_rows": len(trial.test),
            **chosen.candidate.described(),
            **chosen.told,
            "path": "from scratch" if self.trainable.source is None or not self.trainable.copied else "tuned",
            "training_loss": loop.reached.history[-1]["loss"],
            "training_accuracy": loop.reached.history[-1]["accuracy"],
        }
        if self.learning.head == "svm":
            head = self._head(trial.train, chosen.cost)
            score = head_score(head, self._features[trial.test], self.task.labels[trial.test], len(self.task.classes))
            figures |= {"C": chosen.cost, "duality_gap": head.fit.gap, "head_mean_per_class_accuracy": score}
        found = {"figures": figures, "predicted": judged.predicted.tolist()}
        return {**found, "tried": list(chosen.tried), "choosing": chosen.seconds}

    def _trained(self, key: str, candidate: Candidate, images: np.ndarray, cost: float) -> tuple[Trainer, Loop]:
        """Train on some images, from the beginning or from the checkpoint of this very training."""
        learning = self.learning
        trainer, fresh = self._trainer(candidate, min(learning.batch_size, len(images)))
        trainer.rule = learning.rule(candidate)
        trainer.restore(fresh)
        parts = Parts(images, NOBODY, NOBODY, len(self.task.labels))
        loop = Loop(
            self.units.output, trainer, self.inputs, self.task.labels, parts, learning.course, learning.seed,
            self.units.head, self.units.runs, self.units.state, self.units.began,
        )  # fmt: skip
        if self.units.goes_on(loop):
            self.progress.note(f"{key}: going on in epoch {loop.reached.epoch + 1} of {learning.epochs}")
        else:
            self.progress.detail(f"{key}: {len(images):,} images")
            if learning.head == "svm":
                head = self._head(images, cost)
                model = head.fit.model
                set_head(self.trainable, model.classes, model.weights, model.intercepts, head.mean, head.deviation)
        loop.run(self.progress)
        return trainer, loop

    def _head(self, images: np.ndarray, cost: float) -> Any:
        return fit_head(self._features[images], self.task.labels[images], cost, self._solver)

    @property
    def _solver(self) -> SolverOptions:
        return SolverOptions(seed=self.learning.seed)

    def _trainer(self, candidate: Candidate, batch: int) -> tuple[Trainer, dict[str, np.ndarray]]:
        """The trainer for a weight decay and a size of batches, and its state before it has learned anything."""
        key = (candidate.weight_decay, batch)
        if key not in self._trainers:
            learning = self.learning
            trainer = Trainer(self.trainable, learning.rule(candidate), batch, learning.seed, self._precision)
            fresh = trainer.state()
            for _, state in self._trainers.values():  # the weights may have learned meanwhile
                fresh |= {name: value for name, value in state.items() if name.startswith("network/")}
                break
            self._trainers[key] = trainer, fresh
        return self._trainers[key]

    def _decisions(self, trainer: Trainer, images: np.ndarray, unit: str) -> tuple[np.ndarray, np.ndarray]:
        """Features and logits of some images, in their order, (n, features) and (n, classes) float32."""
        table = in_batches(images, trainer.batch)
        found = []
        with self.progress.track(len(images), unit) as advance:
            with self.inputs.batches(table, None) as batches:
                for inputs in batches:
                    found.append(trainer.decide(inputs))
                    advance(trainer.batch)
        features, logits = (np.concatenate(one)[: len(images)] for one in zip(*found, strict=True))
        return features, logits

    def _decided(self, trainer: Trainer, images: np.ndarray) -> np.ndarray:
        """Logits of some images, (n, classes). Raises Diverged if they are none."""
        _, logits = self._decisions(trainer, images, "images measured")
        if not np.isfinite(logits).all():
            raise Diverged(
                "What the network says of images should be numbers. Found: it is not.",
                remedy="Give a lower --learning-rate.",
            )
        return logits

    def _judged(self, trained: np.ndarray, logits: np.ndarray) -> Judged:
        """By the classes that have training images."""
        classes = np.unique(self.task.labels[trained])
        return metrics.judge(classes, logits[:, classes].astype(np.float64), len(self.task.classes), 1, "vote")


def _check_memory(trainer: Trainer, batch: int) -> None:
    needed, free = trainer.bytes_needed(), free_memory()
    if needed > free:
        raise DoesNotFit(
            f"Training with batches of {batch} images takes about {needed:,} bytes. Free: {free:,}.\n"
            "Use a smaller --batch-size or --image-size, a smaller network, or have fewer layers --learn."
        )
