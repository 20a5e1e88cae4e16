"""z-scores: what the ternary codes are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.embedding import Standardizing


@dataclass(frozen=True)
class Standardized(Standardizing):
    """(x - mean) / std, in float64 and rounded to float32; 0 for a constant feature."""

    title = "z-scores"

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        from fne_cli.numerics.codes.ternary import Scores  # compiled code, as in fne.py

        scores = np.empty(rows.shape, np.float32)
        Scores(self.mean, self.std).write(rows, scores)
        return scores


EMBEDDING = Standardized
