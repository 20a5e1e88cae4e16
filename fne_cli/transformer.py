"""The full-network embedding for notebooks: the same networks, pictures and numbers as the commands."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from fne_cli.descriptors.opening import open_source
from fne_cli.errors import BadInput
from fne_cli.images.given import as_images, digest, pixels
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.recipe import Recipe
from fne_cli.numerics.classifiers import RECIPES
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.embedding import Embedding, Standardizing
from fne_cli.numerics.embedding import embedding as find
from fne_cli.numerics.recipes.choice import choose
from fne_cli.numerics.transformer import TernaryEmbedding
from fne_cli.store.other.remembered import RememberedRows
from fne_cli.store.output.record import file_state, plain, software

if TYPE_CHECKING:
    from fne_cli.descriptors.opening import Opened

_LISTS = ("layers", "pool")
_ALONE = Lock()
"""Held by who computes: estimators that are alike share a network, and threads may have them."""


class FullNetworkEmbedding(TernaryEmbedding):
    """Images, or activations, to an embedding: fit on training images, transform any (Garcia-Gasulla et al.).

    X is (rows, features) of activations, or images: uint8 RGB (n, height, width, 3), or a list (or column of pandas) of
    paths, of uint8 arrays, or of Pillow's images.

    Parameters: model, weights, seed, preprocess, image_size, layers, pool, resize, crops and batch_size as in
    `fne extract`, embedding, thresholds and recipe as in `fne evaluate` (docs/cli.md): published is what there is
    without, auto chooses the embedding by the labels of the training images, which `fit` needs then; a ridge classifier
    behind it is what it was chosen for. With crops an image is one row here: the mean of its crops' activations.
    widths: the number of features of each layer of a matrix, for embeddings that weigh layers. memory: a folder, or a
    joblib.Memory, that keeps the activations of images, by their content, for other fits and other processes. low and
    high: thresholds by the names of before; they win.

    Attributes: mean_ and scale_ (features,); embedding_, which was given or chosen; feature_names_ if it was fitted to
    images, `layer:number`. Principal components have fewer columns, `pca0` and so on. Raises BadInput for an embedding
    that there is not, and, naming it, for an image that cannot be used: a row cannot be left out here.
    """

    def __init__(
        self,
        model: str = "vgg16",
        *,
        weights: str | None = None,
        seed: int = 0,
        preprocess: str | None = None,
        image_size: int | tuple[int, int] | None = None,
        layers: Sequence[str] = (),
        pool: Sequence[str] = (),
        resize: str = "squash",
        crops: int = 1,
        batch_size: int = 16,
        embedding: str = "fne",
        recipe: str | None = None,
        thresholds: tuple[float, float] = (LOW, HIGH),
        widths: Sequence[int] | None = None,
        memory: Any = None,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        self.model = model
        self.weights = weights
        self.seed = seed
        self.preprocess = preprocess
        self.image_size = image_size
        self.layers = layers
        self.pool = pool
        self.resize = resize
        self.crops = crops
        self.batch_size = batch_size
        self.embedding = embedding
        self.recipe = recipe
        self.thresholds = thresholds
        self.widths = widths
        self.memory = memory
        self.low = low  # type: ignore[assignment]  # `_cuts` says what they are
        self.high = high  # type: ignore[assignment]

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Compute the moments of the training rows: of X, or of the activations of its images."""
        self._check_recipe(y)
        images = as_images(X)
        rows = X if images is None else self.activations(X)
        super().fit(rows)
        widths = self._widths(images is not None)
        self.embedding_ = self.embedding
        if self.recipe == "auto":
            self.embedding_ = choose(np.asarray(rows, np.float32), widths, np.asarray(y))
        kind, cuts = find(self.embedding_), self._cuts()
        moments = {"mean": self.mean_, "std": self.scale_}
        self._fitted: Embedding = (
            kind.of_state(moments, widths, cuts)
            if issubclass(kind, Standardizing)
            else kind.fit([np.asarray(rows, np.float32)], widths, cuts, None if y is None else np.asarray(y))
        )
        self.__dict__.pop("feature_names_", None)  # of an earlier fit
        if images is not None:
            self.feature_names_ = [
                f"{name}:{number}"
                for name, shape, _ in self._prepared().columns()
                for number in range(math.prod(shape))
            ]
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """The embedding, (n, features): int8 codes, or float32."""
        rows = X if as_images(X) is None else self.activations(X)
        check_is_fitted(self)
        if self.embedding_ == "fne":  # codes of float64 rows are those of their float64 scores
            return super().transform(rows)
        return self._fitted.encode(validate_data(self, rows, reset=False, dtype=np.float32))

    def activations(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """What `fne extract` writes of these images, the layers side by side: (n, features) float32."""
        images = as_images(X)
        if images is None:
            raise BadInput("There should be images: paths, uint8 of shape (n, height, width, 3), or Pillow's images.")
        prepared = self._prepared()
        rows = np.empty((len(images), sum(self._image_widths())), np.float32)
        kept = self._remembered(rows.shape[1])
        with _ALONE:
            if kept is None:
                for span, found in self._computed(prepared, images):
                    rows[span] = found
                return rows
            return self._known_or_computed(kept, prepared, images, rows)

    def _known_or_computed(
        self, kept: RememberedRows, prepared: Opened, images: Sequence[Any], rows: np.ndarray
    ) -> np.ndarray:
        """`rows`, filled with those that are kept, and with others that are computed, each once, and kept then."""
        names = [digest(image) for image in images]
        known: dict[str, np.ndarray] = {}
        for name in dict.fromkeys(names):
            if (row := kept.get(name)) is not None:
                known[name] = row
        new = {name: image for name, image in zip(names, images, strict=True) if name not in known}
        order = list(new)
        for span, found in self._computed(prepared, list(new.values())):
            for name, row in zip(order[span], found, strict=True):
                kept.put(name, row)
                known[name] = row
        for number, name in enumerate(names):
            rows[number] = known[name]
        return rows

    def _computed(self, prepared: Opened, images: Sequence[Any]) -> Iterator[tuple[slice, np.ndarray]]:
        """Which images, and their rows (count, features) float32, a batch at a time."""
        if not images:
            return
        recipe = prepared.recipe
        call = prepared.extractor(lambda text: None)
        height, width = prepared.image_size
        geometry = Geometry(height, width, resize=recipe.resize, crops=recipe.crops)
        for start in range(0, len(images), recipe.images_per_batch):
            part = [pixels(image, geometry) for image in images[start : start + recipe.images_per_batch]]
            batch = np.zeros((recipe.batch_rows, *part[0].shape[1:]), np.uint8)
            count = len(part) * recipe.crops
            batch[:count] = np.concatenate(part)
            found = np.hstack([np.asarray(values)[:count].reshape(count, -1) for values in call(batch)])
            if recipe.crops > 1:
                found = found.reshape(len(part), recipe.crops, -1).mean(axis=1, dtype=np.float64)
            yield slice(start, start + len(part)), found.astype(np.float32, copy=False)

    def _remembered(self, width: int) -> RememberedRows | None:
        """Where rows of this network are kept, by all that changes a number; None without `memory`."""
        place = getattr(self.memory, "location", self.memory)
        if place is None:
            return None
        prepared = self._prepared()
        said = plain({"settings": prepared.settings(), "software": software(*prepared.packages)})
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return RememberedRows(Path(place) / "fne_cli" / key, width)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`pca0` ... of components, `layer:number` if it was fitted to images, else as scikit-learn has it."""
        check_is_fitted(self)
        if "axes" in self._fitted.arrays:
            return np.array([f"pca{number}" for number in range(self._n_features_out)], object)
        if hasattr(self, "feature_names_"):
            return np.array(self.feature_names_, object)
        names: np.ndarray = super().get_feature_names_out(input_features)
        return names

    @property
    def _n_features_out(self) -> int:
        return self._fitted.columns(len(self.mean_))

    def _widths(self, of_images: bool) -> Sequence[int]:
        """How many features each layer has; a matrix without `widths` is one layer."""
        if of_images:
            return self._image_widths()
        named = f"embedding {self.embedding}" if self.recipe != "auto" else "recipe auto"
        if self.widths is None and (self.recipe == "auto" or find(self.embedding).by_layer):
            raise BadInput(
                f"The {named} should know the layers of a matrix. Found: none. Give widths, the "
                "number of features of each."
            )
        widths = [len(self.mean_)] if self.widths is None else list(self.widths)
        if sum(widths) != len(self.mean_) or min(widths) < 1:
            raise BadInput(f"widths should be those of layers with {len(self.mean_):,} features. Found: {widths}.")
        return widths

    def _check_recipe(self, y: Any) -> None:
        """Raises BadInput for a recipe that there is not, that goes with no other option, or that has no labels."""
        if self.recipe is None:
            return
        if self.recipe not in RECIPES:
            raise BadInput(f"recipe should be {' or '.join(RECIPES)}. Found: {self.recipe!r}.")
        if self.embedding != "fne" or self._cuts() != (LOW, HIGH):
            raise BadInput("recipe says which embedding there is, and its thresholds. Leave it out, or these.")
        if self.recipe == "auto" and (y is None or np.ndim(y) != 1):
            raise BadInput("recipe auto chooses by labels. Found: none, or several of an image. Give y, one of each.")

    def _image_widths(self) -> list[int]:
        return [math.prod(shape) for _, shape, _ in self._prepared().columns()]

    def _cuts(self) -> tuple[float, float]:
        low, high = self.thresholds
        return (low if self.low is None else self.low, high if self.high is None else self.high)

    def _prepared(self) -> Opened:
        given: dict[str, Any] = self.get_params()  # scikit-learn's parameters are checked where they are used
        names = ("model", "weights", "seed", "preprocess", "resize", "crops", "batch_size")
        side = self.image_size
        size = (side, side) if isinstance(side, int) else None if side is None else (side[0], side[1])
        lists: dict[str, Any] = {
            name: (given[name],) if isinstance(given[name], str) else tuple(given[name]) for name in _LISTS
        }
        recipe = Recipe(image_size=size, **lists, **{name: given[name] for name in names})
        return _prepared_of(recipe, json.dumps([file_state(Path(name)) for name in recipe.files()]))


@lru_cache(maxsize=2)
def _prepared_of(recipe: Recipe, files: str) -> Opened:
    """The network of a recipe, built once for all estimators and their clones. files: the state of those it names."""
    return open_source(recipe)
