"""Vectors mixed with those of their neighbours: query expansion, and the same for every vector of a database."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.neighbours.nearest import unit


@dataclass(frozen=True)
class Mixing:
    """count: how many neighbours join a vector, which itself weighs 1; power: they weigh similarity^power, 1 with 0.

    O. Chum et al., "Total recall", ICCV 2007 (power 0); F. Radenovic et al., "Fine-tuning CNN image retrieval with no
    human annotation", PAMI 2018 (alpha query expansion).
    """

    count: int
    power: float = 0.0

    def mixed(self, own: np.ndarray, rows: np.ndarray, places: np.ndarray, similar: np.ndarray) -> np.ndarray:
        """Rows `own` (n, columns) with their nearest of `rows`, each at length 1: (n, columns) float32 of length 1.

        places, similar: (n, count), their numbers (-1 for none) and cosines; negative cosines weigh nothing.
        """
        weights = np.where(places >= 0, np.maximum(similar, 0) ** self.power if self.power else 1.0, 0.0)
        total = unit(own)
        for place in range(places.shape[1]):
            total += weights[:, place, None] * unit(rows[np.maximum(places[:, place], 0)])
        return unit(total).astype(np.float32)
