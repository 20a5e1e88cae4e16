"""What the learning layers are given: pixels, or what frozen layers have made of them, once or in every epoch."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.images.augmented import Draws
from fne_cli.images.decoded import DecodedImages
from fne_cli.networks.trained.trainer import Trainer
from fne_cli.progress import Progress
from fne_cli.store.output.estimate import human

_AUGMENTED = "--augment changes the images in every epoch"


class Inputs:
    """Use as a context manager: what is kept on the disk lies in a file without a name, and is gone with the process.

    `cached` says whether the outputs of frozen layers are kept there.
    """

    def __init__(self, decoded: DecodedImages, trainer: Trainer, ways: Sequence[str]) -> None:
        self._decoded, self._trainer, self._ways = decoded, trainer, ways
        self._rows: list[np.ndarray] = []
        self._stack = ExitStack()

    @property
    def cached(self) -> bool:
        """Whether the frozen layers have been computed for all images."""
        return bool(self._rows)

    def __enter__(self) -> Inputs:
        return self

    def __exit__(self, *error: object) -> None:
        self._rows = []
        self._stack.close()

    def compute_frozen(self, numbers: np.ndarray, limit: int, folder: Path, progress: Progress) -> None:
        """Keep the outputs of the frozen layers for these images if they take at most `limit` bytes of the disk.

        Else, and with augmentation, they are computed in every epoch, and `progress` is told so.
        """
        cut, batch = self._trainer.cut, self._trainer.batch
        if cut is None:
            return
        blank = self._decoded.pixels(numbers[:1]).repeat(batch, 0)
        kinds = [(one.shape[1:], one.numpy().dtype) for one in self._trainer.fixed(blank)]
        count = len(self._decoded.good)
        sizes = [count * math.prod(shape) * dtype.itemsize for shape, dtype in kinds]
        free = shutil.disk_usage(folder).free
        reason = None
        if self._ways:
            reason = _AUGMENTED
        elif sum(sizes) > limit:
            reason = f"their outputs would take {human(sum(sizes))}, more than --cache {human(limit)}"
        elif sum(sizes) > free:
            reason = f"their outputs would take {human(sum(sizes))}, and {human(free)} are free in {folder}"
        if reason:
            progress.note(f"the frozen layers are computed in every epoch: {reason}")
            return
        file = self._stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115  # the stack closes it
        file.truncate(sum(sizes))
        rows: list[np.ndarray] = [
            np.memmap(file, dtype, "r+", sum(sizes[:place]), (count, *shape))
            for place, (shape, dtype) in enumerate(kinds)
        ]
        progress.detail(f"the frozen layers are computed once, {human(sum(sizes))} on the disk")
        table = in_batches(numbers, batch)
        with (
            progress.track(len(numbers), "images through frozen layers") as advance,
            self._decoded.ahead(table, self._decoded.pixels) as made,
        ):
            for chosen, pixels in zip(table, made, strict=True):
                for place, values in zip(rows, self._trainer.fixed(pixels), strict=True):
                    place[chosen] = values.numpy()
                advance(batch)
        self._rows = rows

    @contextmanager
    def batches(self, table: Iterable[np.ndarray], draws: Draws | None) -> Iterator[Iterator[list[Any]]]:
        """What `Trainer.step` takes, for each of some batches of images, in order; changed by the draws, if any."""

        def make(numbers: np.ndarray) -> list[np.ndarray]:
            if self._rows:
                return [rows[numbers] for rows in self._rows]
            pixels = self._decoded.pixels(numbers)
            return [pixels if draws is None else draws.changed(numbers, pixels)]

        def finished(made: Iterator[list[Any]]) -> Iterator[list[Any]]:
            for values in made:
                yield self._fixed(values[0]) if self._trainer.cut is not None and not self._rows else values

        with self._decoded.ahead(table, make) as made:
            yield finished(made)

    def _fixed(self, pixels: np.ndarray) -> list[Any]:
        """The outputs of the frozen layers, as `compute_frozen` has them: by whole batches."""
        missing = self._trainer.batch - len(pixels)
        if missing <= 0:
            return self._trainer.fixed(pixels)
        filled = np.concatenate([pixels, pixels[-1:].repeat(missing, 0)])
        return [one[: len(pixels)] for one in self._trainer.fixed(filled)]


def in_batches(numbers: np.ndarray, batch: int) -> np.ndarray:
    """(batches, batch): the numbers in order, the last of them repeated until the last batch is full."""
    full = -(-len(numbers) // batch) * batch
    return np.pad(numbers, (0, full - len(numbers)), mode="edge").reshape(-1, batch)
