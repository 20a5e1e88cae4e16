"""Activations as they are."""

from __future__ import annotations

import numpy as np

from fne_cli.numerics.embedding import Embedding


class Raw(Embedding):
    """x, as float32."""

    title = "raw"

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        return rows.astype(np.float32)


EMBEDDING = Raw
