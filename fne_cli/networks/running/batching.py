"""Batches through a network: tried first where it comes from a file, and halved for good if memory gives out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit, FneError, is_of_memory
from fne_cli.networks.saved.files import brief

_TRIED = 0  # the seed of the noise that is tried


class Batching(ABC):
    """Calls a network. If memory gives out, the batch is halved for good, and `note` is told.

    `rows` is the number of rows of every batch that comes in; `used` is how many go through the network at once;
    `competes` says that it computes on processors.
    outputs: name and shape of one row of each layer. A network from a file is tried on a black batch first: raises
    BadInput if it cannot be computed.
    """

    competes: bool

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        outputs: Sequence[tuple[str, tuple[int, ...]]],
        rows: int,
        note: Callable[[str], None],
        from_file: bool,
    ) -> None:
        self.rows = self.used = rows
        self.note = note
        self._name, self._size, self._outputs, self._from_file = name, size, outputs, from_file
        self._padded = rows
        self._call: Callable[[np.ndarray], Any] | None = None
        self._ready()

    def __call__(self, pixels: np.ndarray) -> list[Any]:
        """(rows, height, width, 3) uint8 -> one (rows, *row_shape) float32 array for each tap.

        On a GPU the arrays may still be under way: np.asarray waits for one.
        """
        while True:
            call = self._ready()
            try:
                return self._in_parts(call, pixels)
            except Exception as error:
                self._halve(error)

    @abstractmethod
    def _sized(self, rows: int) -> tuple[Callable[[np.ndarray], Any], int]:
        """The compiled function for at least `rows` rows, and how many it takes."""

    def _in_order(self, made: Callable[[int], Callable[[np.ndarray], Any]], rows: int, here: bool) -> Any:
        """The function of `made` for `rows` rows that gives a row the same bits at any place of a batch.

        It is tried on noise. Where places differ, images go through the network one by one; on a GPU (not `here`) that
        would be too slow, and it is said.
        """
        call = made(rows)
        if rows == 1 or self._is_steady(call, rows):
            return call
        if not here:
            self.note(
                f"This machine treats some of {rows} rows differently: the last bits may depend on an image's "
                "neighbours, and merged shards may differ in them from a whole run. --batch-size 1 is free of it."
            )
            return call
        self.note(
            f"{self._name} has operators that treat some of {rows} rows differently: images go through it one by one, "
            "so that each gets the same bits at any place."
        )
        return one_by_one(made(1))

    def _is_steady(self, call: Callable[[np.ndarray], Any], rows: int) -> bool:
        """Whether noise gets the same bits at two places of a batch."""
        shape = (rows, *self._size, 3)
        noise = np.random.default_rng(_TRIED).integers(0, 256, shape, dtype=np.uint8)
        straight, moved = call(noise), call(np.roll(noise, 1, axis=0))
        return all(
            np.array_equal(np.roll(np.asarray(later), -1, axis=0), np.asarray(first), equal_nan=True)
            for first, later in zip(straight, moved, strict=True)
        )

    def _ready(self) -> Callable[[np.ndarray], Any]:
        """The compiled function for `used` rows; compiling takes memory, too."""
        while self._call is None:
            try:
                call, self._padded = self._sized(self.used)
                if self._from_file:
                    self._try(call)
                self._call = call
            except Exception as error:
                if self._from_file and not (is_of_memory(error) or isinstance(error, FneError)):
                    raise BadInput(f"{self._name} cannot be computed here: {brief(error)}") from error
                self._halve(error)
        return self._call

    def _try(self, call: Callable[[np.ndarray], Any]) -> None:
        computed = call(np.zeros((self._padded, *self._size, 3), np.uint8))
        for (layer, shape), values in zip(self._outputs, computed, strict=True):
            wanted = (self._padded, *shape)
            if tuple(values.shape) != wanted:
                raise BadInput(
                    f"{self._name} should give a row for each image. Found: {layer}, of shape "
                    f"{tuple(values.shape)} for {self._padded} images instead of {wanted}."
                )

    def _halve(self, error: Exception) -> None:
        """Go on with half the rows if memory is what was missing, else raise the error."""
        if not is_of_memory(error):
            raise error
        if self.used == 1:
            raise DoesNotFit(
                f"{self._name} does not fit into memory even with one row of "
                f"{self._size[0]} x {self._size[1]}. Use fewer --layers or a smaller network."
            ) from error
        self.used = -(-self.used // 2)
        self.note(
            f"Out of memory: going on with {self.used} rows at once instead of {self.rows}. "
            "The last bits of the activations may differ from those of a full batch."
        )
        self._call = None

    def _in_parts(self, call: Callable[[np.ndarray], Any], pixels: np.ndarray) -> list[Any]:
        if self.used == self._padded == self.rows:
            return list(call(pixels))
        parts = []
        for start in range(0, self.rows, self.used):
            part = pixels[start : start + self.used]
            blank = np.zeros((self._padded - len(part), *part.shape[1:]), part.dtype)
            computed = call(np.concatenate([part, blank]))
            parts.append([np.asarray(values)[: len(part)] for values in computed])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]


def one_by_one(single: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The function for a batch that `single`, for one image, makes row by row."""

    def call(pixels: np.ndarray) -> list[np.ndarray]:
        each = [[np.asarray(values) for values in single(pixels[row : row + 1])] for row in range(len(pixels))]
        return [np.concatenate(values) for values in zip(*each, strict=True)]

    return call
