"""z-scores cut off at both ends, so that no single feature of an image outweighs the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.embedding.standardized import Standardized

LIMIT = 2.5
"""Standard deviations."""


@dataclass(frozen=True)
class Clipped(Standardized):
    """min(max(z, -2.5), 2.5)."""

    title = "z-scores cut at 2.5"

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        return super().encode(rows).clip(-LIMIT, LIMIT)


EMBEDDING = Clipped
