"""The embedding of activations as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.codes.ternary import encode, standardize
from fne_cli.numerics.statistics.moments import Moments


class TernaryEmbedding(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """Standardise each feature by the rows it was fitted to, and encode it as -1, 0 or 1.

    Parameters: low and high, the thresholds: z < low is -1, z > high is 1.
    Attributes: mean_ and scale_ (features,) float64; scale_ is 0 for a constant feature, whose code is 0.
    """

    def __init__(self, *, low: float = LOW, high: float = HIGH) -> None:
        self.low = low
        self.high = high

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Compute the moments of X (rows, features): the training rows."""
        X = validate_data(self, X, dtype=[np.float32, np.float64])  # noqa: N806  # scikit-learn's name
        low, high = self._cuts()
        if low > high:
            raise ValueError(f"low should not be above high. Found: {low} and {high}.")
        moments = Moments.of(X)
        self.mean_, self.scale_ = moments.mean, moments.std
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """The codes of X (rows, features): int8 of the same shape."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float32, np.float64])  # noqa: N806  # scikit-learn's name
        return encode(standardize(X, self.mean_, self.scale_), *self._cuts())

    def _cuts(self) -> tuple[float, float]:
        """The thresholds, low and high."""
        return self.low, self.high

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
