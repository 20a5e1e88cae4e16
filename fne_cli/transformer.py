"""The full-network embedding for notebooks: the same networks, pictures and numbers as the commands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from fne_cli.errors import BadInput
from fne_cli.images.lists.folders import png_bytes
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decode, read_file
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.onnx.prepared import PreparedOnnx
from fne_cli.networks.opening import prepared as opened
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.embedding import Embedding, Standardizing
from fne_cli.numerics.embedding import embedding as find
from fne_cli.numerics.transformer import TernaryEmbedding


class FullNetworkEmbedding(TernaryEmbedding):
    """Images, or activations, to an embedding: fit on training images, transform any (Garcia-Gasulla et al.).

    X is (rows, features) of activations, or images: a list of paths, or uint8 RGB (n, height, width, 3).

    Parameters: model, weights, preprocess, layers, resize, batch_size as in `fne extract`, embedding as in
    `fne evaluate` (docs/cli.md); widths, the number of features of each layer of a matrix, for embeddings that weigh
    layers; low and high, the thresholds of ternary codes. Attributes: mean_ and scale_ (features,); feature_names_ if
    it was fitted to images, `layer:number`. Principal components have fewer columns, `pca0` and so on. Raises BadInput
    for an embedding that there is not, and, naming it, for an image that cannot be used: a row cannot be left out here.
    """

    def __init__(
        self,
        model: str = "vgg16",
        *,
        weights: str | None = None,
        preprocess: str | None = None,
        layers: Sequence[str] = (),
        resize: str = "squash",
        batch_size: int = 16,
        embedding: str = "fne",
        widths: Sequence[int] | None = None,
        low: float = LOW,
        high: float = HIGH,
    ) -> None:
        super().__init__(low=low, high=high)
        self.model = model
        self.weights = weights
        self.preprocess = preprocess
        self.layers = layers
        self.resize = resize
        self.batch_size = batch_size
        self.embedding = embedding
        self.widths = widths

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Compute the moments of the training rows: of X, or of the activations of its images."""
        images = _images(X)
        rows = X if images is None else self.activations(X)
        super().fit(rows)
        kind, cuts = find(self.embedding), (self.low, self.high)
        widths = self._widths(images is not None)
        moments = {"mean": self.mean_, "std": self.scale_}
        self._fitted: Embedding = (
            kind.of_state(moments, widths, cuts)
            if issubclass(kind, Standardizing)
            else kind.fit([np.asarray(rows, np.float32)], widths, cuts, None if y is None else np.asarray(y))
        )
        self.__dict__.pop("feature_names_", None)  # of an earlier fit
        if images is not None:
            self.feature_names_ = [
                f"{name}:{number}" for name, shape, _ in self._prepared().columns() for number in range(shape[0])
            ]
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """The embedding, (n, features): int8 codes, or float32."""
        rows = X if _images(X) is None else self.activations(X)
        if self.embedding == "fne":  # codes of float64 rows are those of their float64 scores
            return super().transform(rows)
        check_is_fitted(self)
        return self._fitted.encode(validate_data(self, rows, reset=False, dtype=np.float32))

    def activations(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """What `fne extract` writes of these images, the layers side by side: (n, features) float32."""
        images = _images(X)
        if images is None:
            raise BadInput("There should be images: a list of paths, or uint8 of shape (n, height, width, 3).")
        prepared = self._prepared()
        if any(len(shape) != 1 for _, shape, _ in prepared.columns()):
            raise BadInput("Layers should be pooled to one number per filter.")
        call = prepared.extractor(lambda text: None)
        geometry = Geometry(*prepared.image_size, resize=prepared.recipe.resize)
        rows = []
        for start in range(0, len(images), prepared.recipe.batch_rows):
            part = [self._pixels(image, geometry) for image in images[start : start + prepared.recipe.batch_rows]]
            batch = np.zeros((prepared.recipe.batch_rows, *part[0].shape), np.uint8)
            batch[: len(part)] = part
            rows.append(np.hstack([np.asarray(values)[: len(part)] for values in call(batch)]))
        return np.concatenate(rows).astype(np.float32, copy=False)

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
            return [shape[0] for _, shape, _ in self._prepared().columns()]
        if self.widths is None and find(self.embedding).by_layer:
            raise BadInput(
                f"The embedding {self.embedding} should know the layers of a matrix. Found: none. Give widths, the "
                "number of features of each."
            )
        widths = [len(self.mean_)] if self.widths is None else list(self.widths)
        if sum(widths) != len(self.mean_) or min(widths) < 1:
            raise BadInput(f"widths should be those of layers with {len(self.mean_):,} features. Found: {widths}.")
        return widths

    def _prepared(self) -> Prepared | PreparedOnnx:
        given: dict[str, Any] = self.get_params()  # scikit-learn's parameters are checked where they are used
        names = ("model", "weights", "preprocess", "resize", "batch_size")
        recipe = Recipe(layers=tuple(self.layers), **{name: given[name] for name in names})
        key = repr(recipe)
        if getattr(self, "_made", ("", None))[0] != key:
            self._made = (key, opened(recipe))
        made: Prepared | PreparedOnnx = self._made[1]
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Without the network, which is built again when it is needed."""
        return {name: value for name, value in super().__getstate__().items() if name != "_made"}

    @staticmethod
    def _pixels(image: Any, geometry: Geometry) -> np.ndarray:
        if isinstance(image, np.ndarray):
            content, name = png_bytes(image), "an image of the array"
            decoded = decode(lambda: content, geometry)
        else:
            name = os.fspath(image)
            decoded = decode(lambda: read_file(name), geometry)
        if decoded.status != Status.GOOD:
            raise BadInput(f"{name} should be an image. Found: {decoded.message}.")
        return decoded.pixels[0]


def _images(X: Any) -> Any:  # noqa: N803  # scikit-learn's name
    """X if it is images, None if it is a matrix."""
    if isinstance(X, np.ndarray) and X.dtype == np.uint8 and X.ndim == 4 and X.shape[3] == 3:
        return X
    paths = isinstance(X, list | tuple | np.ndarray) and len(X) and all(isinstance(x, str | os.PathLike) for x in X)
    return X if paths else None
