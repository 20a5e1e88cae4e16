"""What `fne train` is told: what changes the weights, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fne_cli.errors import WrongOptions
from fne_cli.images.pixels.geometry import MAX_PIXELS


@dataclass(frozen=True)
class Course:
    """The options of `fne train` of these names that change the weights, beside where it starts and how it learns.

    max_epochs: of the `epochs` that the schedule is made for, so many are done. patience: epochs without a better
    validation accuracy after which it stops; then the weights are those of the best epoch, else those of the last.
    """

    epochs: int = 30
    batch_size: int = 64
    augment: Sequence[str] = ()
    patience: int | None = None
    resize: Literal["squash", "crop"] = "squash"
    max_epochs: int | None = None

    @property
    def last(self) -> int:
        """The epoch after which it ends, if not earlier."""
        return self.epochs if self.max_epochs is None else min(self.epochs, self.max_epochs)

    def check(self) -> None:
        """Raises WrongOptions for numbers that are none of what they should be."""
        counts = (self.epochs, self.batch_size, self.patience, self.max_epochs)
        if any(count is not None and count < 1 for count in counts):
            raise WrongOptions("--epochs, --max-epochs, --batch-size and --patience should be 1 or more.")


@dataclass(frozen=True)
class Selection:
    """Which images it learns from and is judged by; the options of `fne train` of these names.

    classes: their names, all if there are none. val: the share of each class that validates where there is no split
    val. per_class: training images of each class, drawn by the seed `draw` from what is left. judge: the images of
    whose split test the accuracy is taken after every epoch; it chooses nothing.
    """

    classes: Sequence[str] = ()
    per_class: int | None = None
    val: float | None = None
    draw: int = 0
    judge: str | None = None


@dataclass(frozen=True)
class TrainOptions:
    """The options of `fne train` of these names that change no weight.

    memory: bytes for decoded images, half of what is free if it is None. cache: bytes on the output's disk for what
    frozen layers make of the images.
    """

    workers: int | None = None
    memory: int | None = None
    cache: int = 8 << 30
    max_pixels: int = MAX_PIXELS
    max_bad: str = "0"
    history: Path | None = None
    overwrite: bool = False
