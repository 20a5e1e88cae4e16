"""The epochs: from a checkpoint or from the beginning to the weights that are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, Stopped
from fne_cli.images.augmented import Draws
from fne_cli.networks.trained.trainer import Trainer
from fne_cli.progress import Progress
from fne_cli.store.output import checkpoint
from fne_cli.store.output.record import time_run
from fne_cli.training.course import Course
from fne_cli.training.inputs import Inputs, in_batches

WITHIN_SECONDS, BETWEEN_SECONDS = 120.0, 5.0  # between two checkpoints, within an epoch and at the end of epochs
_SHARE = 20  # of the time, at most this part of it is spent on checkpoints
_LOOK = 100  # steps after which the loss is looked at


class Diverged(BadInput):
    """The loss is not finite."""


@dataclass
class Reached:
    """How far training has come: the epoch and the steps of it that are done, each epoch's figures, the best epoch.

    right: by epoch, of the best and the last, which of the judging images are right: bits as hexadecimal digits.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: int | None = None
    right: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """Numbers of the images to learn from, to validate, and to judge. drawn: the first so many images get draws.

    Those that judge stand behind them: they change no order.
    """

    learned: np.ndarray
    validating: np.ndarray
    judging: np.ndarray
    drawn: int


class Loop:
    """Trains until the last epoch, or until nothing gets better.

    head, and what `more` returns: what stands in every checkpoint. runs: the last is the record of this process, kept
    up to date. began: when that process did, by time.monotonic().
    """

    def __init__(
        self,
        output: Path,
        trainer: Trainer,
        inputs: Inputs,
        labels: np.ndarray,
        parts: Parts,
        course: Course,
        seed: int,
        head: Mapping[str, Any],
        runs: list[dict[str, Any]],
        more: Callable[[], Mapping[str, Any]] = dict,
        began: float | None = None,
    ) -> None:
        self.output, self.trainer, self.inputs, self.labels = output, trainer, inputs, labels
        self.course, self.seed, self.head, self.runs = course, seed, head, runs
        self.more = more
        self.parts = parts
        self.reached = Reached()
        self.steps = len(parts.learned) // trainer.batch
        self._best: dict[str, np.ndarray] = {}
        self._written = time.monotonic()
        self._began = self._written if began is None else began
        self._cost = 0.0

    def go_on(self, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Take up what a checkpoint has. Raises DamagedFile for one that is not of this training."""
        try:
            self.trainer.restore(arrays)
            self._best = {name[5:]: value for name, value in arrays.items() if name.startswith("best/")}
            right = dict(head.get("right", {}))
            self.reached = Reached(head["epoch"], head["step"], list(head["history"]), head["best"], right)
        except (KeyError, ValueError, TypeError) as error:
            raise DamagedFile(
                f"{checkpoint.place_of(self.output)} should be a checkpoint of this network. Found: {error}.",
                remedy="--overwrite begins again.",
            ) from error

    def run(self, progress: Progress) -> None:
        """Do all epochs, and leave the weights that are kept in the network. Raises Stopped, Diverged."""
        reached, batch = self.reached, self.trainer.batch
        total = self.course.last * self.steps * batch
        done = (reached.epoch * self.steps + reached.step) * batch
        with progress.deferred() as asked, progress.track(total, "images", done=done) as advance:
            while reached.epoch < self.course.last and not self._is_over():
                self._epoch(advance, asked)
                self._finish_epoch(progress)
                self._stop_if(asked)
                now = time.monotonic()
                if now - self._written > max(BETWEEN_SECONDS, _SHARE * self._cost):
                    self.write()
        if self.course.patience is not None and self._best:
            self.trainer.set_weights(self._best)

    @property
    def kept(self) -> int:
        """The epoch whose weights are kept, counted from 1."""
        best = self.reached.best if self.course.patience is not None else None
        return self.reached.epoch if best is None else best

    def write(self) -> None:
        """Write a checkpoint."""
        began = time.monotonic()
        time_run(self.runs[-1], began - self._began)
        reached = self.reached
        state = {"epoch": reached.epoch, "step": reached.step, "history": reached.history, "best": reached.best}
        state |= {"right": reached.right} if reached.right else {}
        arrays = self.trainer.state() | {f"best/{name}": value for name, value in self._best.items()}
        checkpoint.write(self.output, {**self.head, **self.more(), **state, "runs": self.runs}, arrays)
        self._written = time.monotonic()
        self._cost = self._written - began

    def _epoch(self, advance: Callable[[int], None], asked: Callable[[], int | None]) -> None:
        reached, trainer = self.reached, self.trainer
        draws = Draws(self.seed, reached.epoch, self.parts.drawn, self.course.augment)
        order = draws.order[np.isin(draws.order, self.parts.learned, assume_unique=True)]
        table = order[: self.steps * trainer.batch].reshape(self.steps, trainer.batch)[reached.step :]
        with self.inputs.batches(table, draws if self.course.augment else None) as batches:
            for numbers, inputs in zip(table, batches, strict=True):
                trainer.step(inputs, self.labels[numbers], self._rate())
                reached.step += 1
                self.runs[-1]["images"] += trainer.batch
                advance(trainer.batch)
                if reached.step == self.steps:
                    break  # the end of the epoch has its own checkpoint
                if reached.step % _LOOK == 0:
                    self._check_finite()
                if asked() is not None or time.monotonic() - self._written > max(WITHIN_SECONDS, _SHARE * self._cost):
                    self._check_finite()
                    self.write()
                    self._stop_if(asked, written=True)

    def _rate(self) -> float:
        done = self.reached.epoch * self.steps + self.reached.step
        return self.trainer.rule.rate(done, self.course.epochs * self.steps)

    def _finish_epoch(self, progress: Progress) -> None:
        reached, trainer = self.reached, self.trainer
        self._check_finite()
        loss, right = trainer.take_sums()
        seen = self.steps * trainer.batch
        rate = trainer.rule.rate(reached.epoch * self.steps, self.course.epochs * self.steps)
        figures = {
            "epoch": reached.epoch + 1,
            "learning_rate": rate,
            "loss": loss / seen,
            "accuracy": right / seen,
            **self._judged("val", self.parts.validating)[0],
        }
        judged, bits = self._judged("test", self.parts.judging)
        figures |= judged
        reached.history.append(figures)
        reached.epoch, reached.step = reached.epoch + 1, 0
        told = f"epoch {reached.epoch}: loss {figures['loss']:.4f}, accuracy {figures['accuracy']:.4f}"
        if len(self.parts.validating):
            told += f"; validation loss {figures['val_loss']:.4f}, accuracy {figures['val_accuracy']:.4f}"
            if reached.best is None or _better(figures, reached.history[reached.best - 1]):
                reached.best = reached.epoch
                if self.course.patience is not None:
                    self._best = trainer.weights()
        if judged:
            told += f"; test accuracy {figures['test_accuracy']:.4f}"
            kept = {str(reached.best), str(reached.epoch)}
            reached.right = {
                epoch: one for epoch, one in {**reached.right, str(reached.epoch): bits}.items() if epoch in kept
            }
        progress.detail(told)

    @property
    def right(self) -> str:
        """Which of the judging images the weights that are kept have right: bits as hexadecimal digits."""
        return self.reached.right.get(str(self.kept), "")

    def _judged(self, name: str, images: np.ndarray) -> tuple[dict[str, float], str]:
        """Loss and accuracy on some images under names that begin with `name`, and which of them are right."""
        count, batch = len(images), self.trainer.batch
        if not count:
            return {}, ""
        table = in_batches(images, batch)
        counts = (np.arange(table.size) < count).reshape(table.shape)
        loss, right = 0.0, []
        with self.inputs.batches(table, None) as batches:
            for numbers, used, inputs in zip(table, counts, batches, strict=True):
                lost, hit = self.trainer.judge(inputs, self.labels[numbers], used)
                loss += lost
                right.append(hit)
        hits = np.concatenate(right)[:count]
        figures = {f"{name}_loss": loss / count, f"{name}_accuracy": float(hits.sum()) / count}
        return figures, np.packbits(hits).tobytes().hex()

    def _is_over(self) -> bool:
        """Whether patience has come to its end."""
        patience, best = self.course.patience, self.reached.best
        return patience is not None and best is not None and self.reached.epoch - best >= patience

    def _check_finite(self) -> None:
        if not self.trainer.is_finite():
            rule = self.trainer.rule
            raise Diverged(
                f"The loss should be finite. Found: it is not, in epoch {self.reached.epoch + 1} of "
                f"{self.course.epochs}, step {self.reached.step} of {self.steps}.",
                remedy=f"Give a lower --learning-rate than {rule.learning_rate:g}, such as {rule.learning_rate / 10:g}"
                "; of frozen layers, look whether --preprocess is theirs.",
            )

    def _stop_if(self, asked: Callable[[], int | None], written: bool = False) -> None:
        code = asked()
        if code is None:
            return
        if not written:
            self.write()
        self.runs[-1]["stopped_by_signal"] = True
        reached = self.reached
        raise Stopped(
            f"Stopped in epoch {min(reached.epoch + 1, self.course.epochs)} of {self.course.epochs}, with all steps "
            "safe. Run the same command again to go on.",
            code,
        )


def _better(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether an epoch has the better validation accuracy, or the same and the lower loss."""
    return (one["val_accuracy"], -one["val_loss"]) > (other["val_accuracy"], -other["val_loss"])
