"""All trainings of a tuning, one after the other: each is done once, whatever stops the process in between."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, DoesNotFit, Stopped
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
from fne_cli.store.output import checkpoint
from fne_cli.training.inputs import Inputs, in_batches
from fne_cli.training.loop import Diverged, Loop, Parts
from fne_cli.trials.classification import ClassificationTask
from fne_cli.trials.summary import Outcome, figures_of

HELD = 0.2
"""The share of the training images of each class by which is chosen where there are no validation images."""


@dataclass(frozen=True)
class _Chosen:
    """What a trial is trained with, how that was chosen, and the seconds that it took."""

    cost: float
    candidate: Candidate
    told: dict[str, Any]
    seconds: float


class Tunings:
    """The trainings of all trials of a task. head: what stands in every checkpoint; runs: the last is this process's.

    `finished` has what came of each training by its name. seconds: what was done once for all of them.
    """

    def __init__(
        self,
        output: Path,
        decoded: DecodedImages,
        task: ClassificationTask,
        trainable: Trainable,
        learning: LearningOptions,
        head: Mapping[str, Any],
        runs: list[dict[str, Any]],
        progress: Progress,
    ) -> None:
        self.output, self.decoded, self.task, self.trainable = output, decoded, task, trainable
        self.learning, self.head, self.runs, self.progress = learning, head, runs, progress
        self.finished: dict[str, Any] = {}
        self.seconds = 0.0
        self._found: tuple[Mapping[str, Any], Mapping[str, np.ndarray]] | None = None
        self._began = self._unit_began = time.monotonic()
        self._spent = 0.0  # seconds of earlier processes on the training that is under way
        self._name = ""
        self._trainers: dict[tuple[float, int], tuple[Trainer, dict[str, np.ndarray]]] = {}
        self._images = task.images
        self._batch = min(learning.batch_size, len(self._images))
        self._first, _ = self._trainer(learning.candidates[0], self._batch)
        _check_memory(self._first, self._batch)
        self.inputs = Inputs(decoded, self._first, learning.augment)
        self._features = np.empty((0, 0), np.float32)

    def go_on(self, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Take up what a checkpoint has. Raises DamagedFile."""
        try:
            self.finished = {str(name): dict(unit) for name, unit in head["finished"].items()}
            for unit in self.finished.values():
                float(unit["seconds"])
            if head["unit"]:
                self._found = head, arrays
                float(head["spent"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedFile(
                f"{checkpoint.place_of(self.output)} should be a checkpoint of this tuning. Found: {error}.",
                remedy="--overwrite begins again.",
            ) from error

    def prepare(self, cache: int) -> None:
        """What all trainings share: the outputs of the frozen layers, and the features that a head is fitted to."""
        began = time.monotonic()
        self.inputs.compute_frozen(self._images, cache, self.output.parent, self.progress)
        if self.learning.head == "svm":
            features = self._decisions(self._first, self._images, "images to features")[0]
            self._features = np.zeros((len(self.task.labels), features.shape[1]), np.float32)
            self._features[self._images] = features
        self.seconds = time.monotonic() - began

    def outcome(self, trial: Trial) -> Outcome:
        """Choose, train and measure in a trial. Raises Stopped, Diverged."""
        name = trial.name or "all training images"
        unit = self.finished.get(name)
        if unit is None:
            chosen = self._chosen(name, trial)
            unit = self._unit(name, lambda: self._measured(name, trial, chosen))
            unit["seconds"] += chosen.seconds
            self._keep(name, unit)
        return Outcome(trial, unit["figures"], unit["seconds"])

    def _chosen(self, name: str, trial: Trial) -> _Chosen:
        """The candidate with the best mean per-class accuracy on images that the trial does not train on, nor test."""
        learning, task = self.learning, self.task
        candidates, costs = learning.candidates, list(learning.cost)
        if len(candidates) == len(costs) == 1:
            return _Chosen(costs[0], candidates[0], {}, 0.0)
        if len(trial.validation):
            kept, held, by = trial.train, trial.validation, "validation images"
        else:
            kept, held = held_out(task.labels, trial.train, HELD, learning.seed)
            by = "a fifth of the training images of each class"
        if not len(held):
            told = {"by": "nothing: no image can be left out, so the first of each list is taken"}
            return _Chosen(costs[0], candidates[0], {"choice": told}, 0.0)
        began, cost, told = time.monotonic(), costs[0], {"by": by, "figure": "mean_per_class_accuracy"}
        if len(costs) > 1:
            cost, scores = best_cost(
                self._features, task.labels, (kept, held), costs, len(task.classes), self._solver
            )  # fmt: skip
            told["heads"] = [{"C": one, "score": score} for one, score in zip(costs, scores, strict=True)]
        spent = time.monotonic() - began
        found = []
        if len(candidates) > 1:
            for candidate in candidates:
                key = f"{name}: learning rate {candidate.learning_rate:g}, weight decay {candidate.weight_decay:g}"
                unit = self.finished.get(key)
                if unit is None:
                    unit = self._unit(key, lambda key=key, one=candidate: self._tried(key, one, kept, held, cost))
                    self._keep(key, unit)
                found.append(unit)
                spent += unit["seconds"]
        scored = [unit["score"] for unit in found]
        told["scores"] = [one.described() | {"score": score} for one, score in zip(candidates, scored, strict=False)]
        usable = [place for place, score in enumerate(scored) if score is not None]
        if found and not usable:
            raise Diverged(
                f"The loss should be finite with one of the learning rates. Found: it is not with any, {name}.",
                remedy="Give a lower --learning-rate.",
            )
        # of equal ones that with the lower loss
        best = max(usable, key=lambda place: (scored[place], -found[place]["loss"], -place), default=0)
        return _Chosen(cost, candidates[best], {"choice": told}, spent)

    def _tried(
        self, key: str, candidate: Candidate, kept: np.ndarray, held: np.ndarray, cost: float
    ) -> dict[str, Any]:  # fmt: skip
        try:
            trainer, _ = self._trained(key, candidate, kept, cost)
        except Diverged:
            self.progress.note(f"{key}: the loss is not finite")
            return {"score": None, "loss": None}
        logits = self._decisions(trainer, held)[1].astype(np.float64)
        truth = self.task.labels[held]
        top = logits.max(axis=1, keepdims=True)
        loss = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0] - logits[np.arange(len(truth)), truth]
        return {"score": metrics.score(self._judged(kept, logits), truth), "loss": float(loss.mean())}

    def _measured(self, key: str, trial: Trial, chosen: _Chosen) -> dict[str, Any]:
        """The figures of a trial's test images, trained on all its training images."""
        trainer, loop = self._trained(key, chosen.candidate, trial.train, chosen.cost)
        features, logits = self._decisions(trainer, trial.test, "test images")
        figures = figures_of(self.task, trial, self._judged(trial.train, logits), self.learning.seed)
        figures |= {
            "features": features.shape[1],
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
        return {"figures": figures}

    def _trained(self, key: str, candidate: Candidate, images: np.ndarray, cost: float) -> tuple[Trainer, Loop]:
        """Train on some images, from the beginning or from the checkpoint of this very training."""
        learning = self.learning
        trainer, fresh = self._trainer(candidate, min(learning.batch_size, len(images)))
        trainer.rule = learning.rule(candidate)
        trainer.restore(fresh)
        parts = Parts(images, NOBODY, NOBODY, len(self.task.labels))
        loop = Loop(
            self.output, trainer, self.inputs, self.task.labels, parts, learning.course, learning.seed, self.head,
            self.runs, self._more, self._began,
        )  # fmt: skip
        found, self._found = self._found, None
        if found is not None and found[0]["unit"] == key:
            self._spent = float(found[0]["spent"])
            loop.go_on(*found)
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

    @property
    def _precision(self) -> str:
        return str(self.head["settings"]["precision"])

    def _decisions(self, trainer: Trainer, images: np.ndarray, unit: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Features and logits of some images, in their order, (n, features) and (n, classes) float32."""
        table = in_batches(images, trainer.batch)
        found = []
        with self.progress.track(len(images), unit or "images left out") as advance:
            with self.inputs.batches(table, None) as batches:
                for inputs in batches:
                    found.append(trainer.decide(inputs))
                    advance(trainer.batch)
        features, logits = (np.concatenate(one)[: len(images)] for one in zip(*found, strict=True))
        return features, logits

    def _judged(self, trained: np.ndarray, logits: np.ndarray) -> Judged:
        """By the classes that have training images."""
        classes = np.unique(self.task.labels[trained])
        return metrics.judge(classes, logits[:, classes].astype(np.float64), len(self.task.classes), 1, "vote")

    def _unit(self, name: str, work: Any) -> dict[str, Any]:
        """Do one training, and time it over all processes that had their part in it."""
        self._name, self._spent, self._unit_began = name, 0.0, time.monotonic()
        unit: dict[str, Any] = work()
        return unit | {"seconds": self._elapsed()}

    def _elapsed(self) -> float:
        return self._spent + time.monotonic() - self._unit_began

    def _more(self) -> dict[str, Any]:
        return {"finished": self.finished, "unit": self._name, "spent": self._elapsed()}

    def _keep(self, name: str, unit: dict[str, Any]) -> None:
        """Have what came of a training on the disk; a signal is obeyed after it."""
        self.finished[name] = unit
        self._name = ""
        head = {**self.head, "finished": self.finished, "unit": "", "spent": 0.0, "runs": self.runs}
        checkpoint.write(self.output, head, {})
        with self.progress.deferred() as asked:
            code = asked()
        if code is not None:
            raise Stopped("Stopped between two trainings. Run the same command again to go on.", code)


def _check_memory(trainer: Trainer, batch: int) -> None:
    needed, free = trainer.bytes_needed(), free_memory()
    if needed > free:
        raise DoesNotFit(
            f"Training with batches of {batch} images takes about {needed:,} bytes. Free: {free:,}.\n"
            "Use a smaller --batch-size or --image-size, a smaller network, or have fewer layers --learn."
        )
