"""Hand-crafted features as a source of activations: Fisher vectors, bags of words, histograms of gradients."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from fne_cli.descriptors import hog
from fne_cli.descriptors.sift import DenseSift
from fne_cli.descriptors.vocabulary import Encoder, Vocabulary
from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.machine import free_memory, processors, thread_pool
from fne_cli.networks.catalog import known_name
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running.extractor import processor_name
from fne_cli.numerics.vocabulary import cells
from fne_cli.options import meant

IMAGE_SIZE = (256, 256)
WORDS = {"fisher": 256, "bow": 1024}
COMPONENTS = 80
TITLES = {"fisher": "Fisher vector", "bow": "bag of words", "hog": "histogram of gradients"}


class Describe(Protocol):
    """What makes the layers of an image."""

    def columns(self, layer: str) -> int:
        """Features of a layer."""

    def rows(self, pixels: np.ndarray, layers: Sequence[str]) -> list[np.ndarray]:
        """(height, width, 3) uint8 -> (features,) float32 of each layer."""

    def bytes_at_work(self) -> int:
        """What one image takes at its height, without its rows."""


class _Encoded:
    """Descriptors on a grid, and what a vocabulary makes of them."""

    def __init__(self, sift: DenseSift, encoder: Encoder) -> None:
        self._sift, self._encoder = sift, encoder

    def columns(self, layer: str) -> int:
        return cells.number_of_cells(layer) * self._encoder.columns

    def rows(self, pixels: np.ndarray, layers: Sequence[str]) -> list[np.ndarray]:
        gray, sums = self._sift.gray(pixels), self._encoder.blank()
        for grid in self._sift.grids:  # one size of patches at a time, so that no image has all of its descriptors
            self._encoder.add(sums, self._sift.of(gray, grid), grid.atoms)
        return [self._encoder.row(sums, layer) for layer in layers]

    def bytes_at_work(self) -> int:
        return self._sift.bytes_at_work() + self._encoder.bytes_at_work()


class _Gradients:
    """Histograms of gradients."""

    def __init__(self, histograms: hog.Histograms) -> None:
        self._histograms = histograms
        self.columns, self.bytes_at_work = histograms.columns, histograms.bytes_at_work

    def rows(self, pixels: np.ndarray, layers: Sequence[str]) -> list[np.ndarray]:
        return [self._histograms.row(pixels, layer) for layer in layers]


class Described:
    """The function from batches to rows: one image, one thread, so that no image's bits depend on another."""

    def __init__(self, describe: Describe, layers: Sequence[str], rows: int) -> None:
        self._describe, self._layers = describe, layers
        self.rows = self.used = rows
        self.competes = True

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """(rows, height, width, 3) uint8 -> (rows, features) float32 of each layer."""
        with thread_pool() as pool:
            found = list(pool.map(lambda image: self._describe.rows(image, self._layers), pixels))
        return [np.stack(values) for values in zip(*found, strict=True)]


@dataclass(frozen=True)
class Handcrafted:
    """A recipe's features, made ready. vocabulary: None of histograms of gradients, which need none."""

    recipe: Recipe
    model: str
    layers: list[str]
    image_size: tuple[int, int]
    describe: Describe
    vocabulary: Vocabulary | None = None
    _made: list[Described] = field(default_factory=list, init=False, compare=False, repr=False)

    packages: ClassVar[tuple[str, ...]] = (
        *("opencv-python-headless", "opencv-python", "scikit-image", "scikit-learn", "pillow"),
    )

    @classmethod
    def of(cls, recipe: Recipe) -> Handcrafted:
        """Read the vocabulary and choose the layers. Raises BadInput, WrongFile or DamagedFile."""
        model = str(known_name(recipe.model))
        _check_options(recipe)
        layers = chosen_layers(model, recipe.layers)
        if model == "hog":
            height, width = size = recipe.image_size or IMAGE_SIZE
            return cls(recipe, model, layers, size, _Gradients(hog.Histograms(height, width, layers)))
        if recipe.weights is None:
            raise BadInput(
                f"--model {model} should have its vocabulary as --weights. Found: none.\n"
                f"Learn one: fne vocabulary IMAGES VOCABULARY.h5 --model {model}"
            )
        vocabulary = Vocabulary.read(recipe.weights, model)
        height, width = size = recipe.image_size or vocabulary.image_size
        describe = _Encoded(vocabulary.sift(height, width), vocabulary.encoder())
        return cls(recipe, model, layers, size, describe, vocabulary)

    def notes(self) -> list[str]:
        """What a person should know before it begins."""
        if self.vocabulary is None or self.image_size == self.vocabulary.image_size:
            return []
        known, asked = (" x ".join(map(str, size)) for size in (self.vocabulary.image_size, self.image_size))
        return [f"the vocabulary was learned from images of {known}, and these are {asked}"]

    def device(self) -> str:
        """The processor."""
        return processor_name()

    def settings(self) -> dict[str, Any]:
        """What determines the numbers, as the file stores it."""
        recipe, known = self.recipe, self.vocabulary
        return {
            "network": self.model,
            "weights": "none" if known is None else "file",
            "weights_sha256": hashlib.sha256(b"").hexdigest() if known is None else known.sha256(),
            "preprocess": "none",
            "image_size": list(self.image_size),
            "layers": dict.fromkeys(self.layers, "none"),
            **recipe.numeric(),
            "descriptors": {"orientations": hog.ORIENTATIONS} if known is None else known.choices(),
        }

    def columns(self) -> list[tuple[str, tuple[int, ...], dict[str, str]]]:
        """Name, shape of one row, and description of each layer."""
        return [
            (layer, (width,), {"tap": tap_of(self.model, layer), "output_shape": str(width), "pooling": "none"})
            for layer, width in ((layer, self.describe.columns(layer)) for layer in self.layers)
        ]

    def extractor(self, note: Callable[[str], None]) -> Described:
        """The function, made once. Raises DoesNotFit for images or rows that the memory has no room for."""
        if not self._made:
            rows, features = self.recipe.batch_rows, sum(shape[0] for _, shape, _ in self.columns())
            needed = self.describe.bytes_at_work() * min(rows, processors()) + 2 * rows * features * 4
            free = free_memory()
            if needed > free:
                raise DoesNotFit(
                    f"{rows:,} rows of {features:,} features at once take about {needed:,} bytes. Free: {free:,}.\n"
                    "Use a smaller --batch-size or --image-size, or fewer --layers."
                )
            self._made.append(Described(self.describe, self.layers, rows))
        return self._made[0]


def layers_of(model: str) -> list[str]:
    """The names of a model's layers, in order."""
    return list(hog.CELLS if model == "hog" else cells.CELLS)


def tap_of(model: str, layer: str) -> str:
    """What a layer is, in words."""
    if model == "hog":
        side = hog.CELLS[layer]
        return f"{TITLES[model]} of {side} x {side} pixels"
    rows, columns = cells.CELLS[layer]
    return f"{TITLES[model]} of {rows} x {columns} cells"


def chosen_layers(model: str, patterns: Sequence[str]) -> list[str]:
    """The layers that names or globs mean, all without any. Raises BadInput for a pattern that means none."""
    names = layers_of(model)
    chosen: set[str] = set() if patterns else set(names)
    for pattern in patterns:
        matching = meant(pattern, names)
        if not matching:
            raise BadInput(f"{model} has no layer {pattern!r}. It has: {', '.join(names)}.")
        chosen |= matching
    return [name for name in names if name in chosen]


def widths_by_default(model: str, image_size: tuple[int, int] | None) -> dict[str, int]:
    """Features of each layer, by a vocabulary of the default size where one is needed. Raises BadInput."""
    names = layers_of(model)
    if model == "hog":
        histograms = hog.Histograms(*(image_size or IMAGE_SIZE), names)
        return {name: histograms.columns(name) for name in names}
    of_cell = WORDS[model] * (2 * COMPONENTS if model == "fisher" else 1)
    return {name: cells.number_of_cells(name) * of_cell for name in names}


def _check_options(recipe: Recipe) -> None:
    """Raises BadInput for options that say something of networks only."""
    model = recipe.model
    if model == "hog" and recipe.weights is not None:
        raise BadInput("hog learns nothing and has no weights. Leave --weights out.")
    given = {
        "--preprocess": recipe.preprocess not in (None, "none"),
        "--pool": bool(recipe.pool),
        "--precision": recipe.precision != "float32",
        "--xla": recipe.xla,
        "--seed": recipe.seed != 0,
    }
    for option, is_given in given.items():
        if is_given:
            raise BadInput(f"{option} is for networks. Found: --model {model}. Leave {option} out.")
