"""What `fne train` is told: what changes the weights, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fne_cli.images.pixels.geometry import MAX_PIXELS


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
