"""Bags of visual words: how often each word occurs in a part of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from fne_cli.numerics.vocabulary.cells import ATOMS, cell_atoms
from fne_cli.numerics.vocabulary.soft import BLOCK, by_atom, to_shares

Assign = Literal["hard", "soft"]


class BagOfWords:
    """What becomes of descriptors by words: (words, dimensions).

    assign: a descriptor counts for the nearest word (hard), or for each by a Gaussian of its distance (soft: codeword
    uncertainty of van Gemert et al., 2008). spread: (1,), the deviation of that Gaussian.
    """

    ARRAYS = ("words", "spread")

    def __init__(self, arrays: Mapping[str, np.ndarray], assign: Assign = "hard") -> None:
        words, spread = np.asarray(arrays["words"], np.float64), float(np.asarray(arrays["spread"])[0])
        self.words, self.assign = len(words), assign
        self.columns = self.words
        """Of one cell."""
        # -|x - w|^2 / (2 s^2) without what all words have in common
        self._by_value = np.float32(words.T / spread**2)
        self._constant = np.float32(-0.5 * (words**2).sum(axis=1) / spread**2)

    def blank(self) -> np.ndarray:
        """Sums before the first descriptor: (atoms, words), to be given to `add`."""
        return np.zeros((ATOMS, self.words))

    def add(self, sums: np.ndarray, descriptors: np.ndarray, atoms: np.ndarray) -> None:
        """Add (n, dimensions) float32 descriptors, each in the atom of (n,) atoms."""
        for atom, rows in by_atom(atoms):
            shares = descriptors[rows] @ self._by_value
            shares += self._constant
            if self.assign == "hard":
                sums[atom] += np.bincount(shares.argmax(axis=1), minlength=self.words)
            else:
                to_shares(shares)
                sums[atom] += shares.sum(axis=0)

    def row(self, sums: np.ndarray, layer: str) -> np.ndarray:
        """The roots of the shares in each cell of a layer, side by side: (cells x words,) float32."""
        return np.concatenate([_roots(sums[atoms].sum(axis=0)) for atoms in cell_atoms(layer)])

    def bytes_at_work(self) -> int:
        """What one image takes while it is encoded, without its descriptors."""
        return 8 * ATOMS * self.words + 8 * BLOCK * self.words


def _roots(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    return (np.sqrt(counts / total) if total > 0 else np.zeros(len(counts))).astype(np.float32)
