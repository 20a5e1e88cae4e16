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

    patience: epochs without a better validation accuracy after which it stops; then the weights are those of the best
    epoch, else those of the last.
    """

    epochs: int = 30
    batch_size: int = 64
    augment: Sequence[str] = ()
    patience: int | None = None
    resize: Literal["squash", "crop"] = "squash"

    def check(self) -> None:
        """Raises WrongOptions for numbers that are none of what they should be."""
        if self.epochs < 1 or self.batch_size < 1 or (self.patience is not None and self.patience < 1):
            raise WrongOptions("--epochs, --batch-size and --patience should be 1 or more.")


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
