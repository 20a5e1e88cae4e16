"""The full-network embedding: ternary codes (Garcia-Gasulla et al., arXiv 1705.07706)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fne_cli.numerics.embedding import Standardizing

if TYPE_CHECKING:
    from fne_cli.numerics.codes.ternary import Cuts


@dataclass(frozen=True)
class TernaryCodes(Standardizing):
    """z > high is 1, z < low is -1, else 0."""

    title = "ternary codes"
    dtype = np.dtype(np.int8)
    takes_thresholds = True

    @cached_property
    def _cuts(self) -> Cuts:
        from fne_cli.numerics.codes.ternary import Cuts  # compiled: who asks for a title need not wait

        return Cuts.of(self.mean, self.std, *self.thresholds)

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        codes = np.empty(rows.shape, np.int8)
        self._cuts.encode(rows, codes)
        return codes

    @classmethod
    def row_bytes(cls, columns: int) -> int:
        """Two bit planes."""
        from fne_cli.numerics.codes.packed import plane_bytes

        return 2 * plane_bytes(columns)


EMBEDDING = TernaryCodes
