"""What activations are extracted with: a network, hand-crafted features, or what else answers the same calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fne_cli.descriptors import opening
from fne_cli.networks.backend import forget
from fne_cli.networks.catalog import is_handcrafted
from fne_cli.networks.kinds import is_onnx
from fne_cli.networks.recipe import Recipe


class Compute(Protocol):
    """Computes rows of features from pixels, a batch at a time.

    rows: of a batch. used: rows at a time that it really computes, fewer once the memory was too small. competes:
    whether it computes on the processors that decode images, too.
    """

    rows: int
    used: int
    competes: bool

    def __call__(self, pixels: np.ndarray) -> list[Any]:
        """(rows, height, width, 3) uint8 -> for each column of the source (rows, *shape), floats."""


class Source(Protocol):
    """A source of features, made ready by a recipe."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages whose versions the file names, as its numbers depend on them."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that it looks at."""

    def notes(self) -> list[str]:
        """What a person should know before it begins, a line each."""

    def device(self) -> str:
        """What it computes on, for the record of the run."""

    def settings(self) -> dict[str, Any]:
        """What determines the numbers, as the file stores it."""

    def columns(self) -> list[tuple[str, tuple[int, ...], dict[str, str]]]:
        """Name, shape of one row, and description of each layer."""

    def extractor(self, note: Callable[[str], None]) -> Compute:
        """The function, made ready once; `note` is told what a person should know of it."""


def open_source(recipe: Recipe) -> Source:
    """The source that a recipe names. Raises BadInput.

    What extracts, and all that comes after it, know this protocol only.
    """
    return opening.open_source(recipe)


def open_anew(recipe: Recipe) -> Source:
    """The same in a process that has had others: unnamed layers get the names that they have in a new one."""
    if not (is_handcrafted(recipe.model) or is_onnx(recipe.model)):
        forget()
    return open_source(recipe)
