"""Fisher vectors: how a mixture of Gaussians would have to change to explain the descriptors of an image.

The improved ones of Perronnin, Sanchez and Mensink (2010): gradients by means and variances, signed roots, length 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fne_cli.numerics.vocabulary.cells import ATOMS, cell_atoms
from fne_cli.numerics.vocabulary.soft import BLOCK, by_atom, to_shares


class FisherVectors:
    """What becomes of descriptors by a mixture.

    centre: (dimensions,), axes: (components, dimensions) of the principal components. weights: (words,), means and
    variances: (words, components) of Gaussians over these.
    """

    ARRAYS = ("centre", "axes", "weights", "means", "variances")

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        centre, axes, weights, means, variances = (np.asarray(arrays[name], np.float64) for name in self.ARRAYS)
        self.words, self.components = means.shape
        self.columns = 2 * means.size
        """Of one cell."""
        self._axes, self._shift = np.float32(axes.T), np.float32(centre @ axes.T)
        # log w - log |2 pi S| / 2 - (x - m)' S^-1 (x - m) / 2, as one product with x and its squares
        self._by_value = np.float32(np.vstack([(means / variances).T, (-0.5 / variances).T]))
        self._constant = np.float32(
            np.log(weights) - 0.5 * (np.log(2 * np.pi * variances) + means**2 / variances).sum(axis=1)
        )
        self._weights, self._means, self._variances = weights[:, None], means, variances

    def blank(self) -> np.ndarray:
        """Sums before the first descriptor: (atoms, words, 2 x components + 1), to be given to `add`."""
        return np.zeros((ATOMS, self.words, 2 * self.components + 1))

    def add(self, sums: np.ndarray, descriptors: np.ndarray, atoms: np.ndarray) -> None:
        """Add (n, dimensions) float32 descriptors, each in the atom of (n,) atoms."""
        for atom, rows in by_atom(atoms):
            values = descriptors[rows] @ self._axes
            values -= self._shift
            squares = np.hstack([values, values * values])
            shares = squares @ self._by_value
            shares += self._constant
            to_shares(shares)
            sums[atom, :, :-1] += shares.T @ squares
            sums[atom, :, -1] += shares.sum(axis=0)

    def row(self, sums: np.ndarray, layer: str) -> np.ndarray:
        """The vector of each cell of a layer, side by side: (cells x 2 x words x components,) float32."""
        return np.concatenate([self._vector(sums[atoms].sum(axis=0)) for atoms in cell_atoms(layer)])

    def _vector(self, sums: np.ndarray) -> np.ndarray:
        """By all means, word after word, then by all variances. Zeros of a cell without descriptors."""
        first, second, count = np.split(sums, [self.components, 2 * self.components], axis=1)
        means, variances = self._means, self._variances
        by_mean = (first - count * means) / np.sqrt(self._weights * variances)
        by_variance = second - 2 * means * first + count * (means**2 - variances)
        by_variance /= np.sqrt(2 * self._weights) * variances
        vector = np.concatenate([by_mean.ravel(), by_variance.ravel()])
        vector = np.sign(vector) * np.sqrt(np.abs(vector))
        length = np.linalg.norm(vector)
        return (vector / length if length > 0 else vector).astype(np.float32)

    def bytes_at_work(self) -> int:
        """What one image takes while it is encoded, without its descriptors."""
        return 8 * ATOMS * self.words * (2 * self.components + 1) + 8 * BLOCK * (self.words + 2 * self.components)
