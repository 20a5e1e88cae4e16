"""Rows of length 1, the usual way with a single layer."""

from __future__ import annotations

import numpy as np

from fne_cli.numerics.embedding import Embedding


class UnitRows(Embedding):
    """Every row divided by its Euclidean norm."""

    title = "L2-normalised"

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        return unit_rows(rows).astype(np.float32)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Each row divided by its Euclidean norm, float64; a row of zeros stays."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1.0, norms)


EMBEDDING = UnitRows
