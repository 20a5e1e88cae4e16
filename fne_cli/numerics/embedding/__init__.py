"""What becomes of activations before a classifier sees them; what it needs to know comes from training rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fne_cli.numerics.codes import ternary

Kind = Literal["fne", "standardized", "l2", "raw"]
KINDS: tuple[Kind, ...] = ("fne", "standardized", "l2", "raw")


@dataclass(frozen=True)
class Embedding:
    """fne: ternary codes. standardized: z-scores. l2: every row divided by its length. raw: as they are.

    mean and std, (features,) float64, are those of the training rows; None where they are not needed.
    """

    kind: Kind
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    thresholds: tuple[float, float] = (ternary.LOW, ternary.HIGH)

    @staticmethod
    def needs_moments(kind: Kind) -> bool:
        """Whether it can be made only with mean and std."""
        return kind in ("fne", "standardized")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its rows: int8 for codes, else float32."""
        return np.dtype(np.int8 if self.kind == "fne" else np.float32)

    def encoder(self) -> Encoder:
        """What applies it."""
        return Encoder(self)


class Encoder:
    """Applies an embedding to batches of rows."""

    def __init__(self, embedding: Embedding) -> None:
        self._kind = embedding.kind
        if embedding.mean is not None and embedding.std is not None:
            low, high = embedding.thresholds
            self._cuts = ternary.Cuts.of(embedding.mean, embedding.std, low, high)
            self._scores = ternary.Scores(embedding.mean, embedding.std)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(rows, features) float32 or float16 -> the same shape, int8 or float32."""
        if self._kind == "raw":
            return rows.astype(np.float32)
        if self._kind == "l2":
            return unit_rows(rows).astype(np.float32)
        out = np.empty(rows.shape, np.int8 if self._kind == "fne" else np.float32)
        (self._cuts.encode if self._kind == "fne" else self._scores.write)(rows, out)
        return out


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Each row divided by its Euclidean norm, float64; a row of zeros stays."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1.0, norms)
