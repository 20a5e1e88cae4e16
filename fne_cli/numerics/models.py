"""Trained classifiers as arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fne_cli.numerics.classifiers import kind_of, neighbours_of
from fne_cli.numerics.codes.packed import PackedCodes, Rows, is_ternary
from fne_cli.numerics.neighbours.model import NeighboursModel
from fne_cli.numerics.svm.solver import LinearModel

Model = LinearModel | NeighboursModel


def arrays_of(model: Model) -> dict[str, np.ndarray]:
    """Weights (classes, features) and intercepts (classes,), float64; of nearest neighbours the training rows.

    These are rows (n, features) float32 or, of codes, their bit planes positive and negative, and labels: (n,) int32,
    places among the classes, or (n, classes) int8.
    """
    if isinstance(model, LinearModel):
        return {"weights": model.weights, "intercepts": model.intercepts}
    rows, labels = model.rows[model.numbers], model.labels[model.numbers]
    known = {"labels": labels.astype(np.int32 if labels.ndim == 1 else np.int8)}
    if is_ternary(rows):
        packed = rows if isinstance(rows, PackedCodes) else PackedCodes.of(rows)
        return {"positive": packed.positive, "negative": packed.negative, **known}
    return {"rows": np.asarray(rows, np.float32), **known}


def model_of(
    classifier: str, classes: np.ndarray, features: int, arrays: Mapping[str, np.ndarray], temperature: float | None
) -> Model:
    """The same again. classifier: as `spelled`; temperature: of nearest neighbours."""
    if kind_of(classifier) != "knn" or temperature is None:
        return LinearModel(classes, arrays["weights"], arrays["intercepts"])
    rows: Rows = arrays["rows"] if "rows" in arrays else PackedCodes(arrays["positive"], arrays["negative"], features)
    numbers = np.arange(len(rows))
    return NeighboursModel(classes, rows, numbers, arrays["labels"], neighbours_of(classifier), temperature)
