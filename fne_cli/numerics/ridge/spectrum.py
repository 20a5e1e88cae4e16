"""Ridge regression of many targets for many penalties, and what each image is taken for without itself.

min over (w, b) of 1/2 sum_i (y_i - w.x_i - b)^2 + p/2 |w|^2, the intercept b free. With K the Gram matrix,
C = I - 11'/n and C K C = V diag(s) V', the vectors orthogonal to 1, all there is to know of a penalty p is
A = V diag(1 / (s + p)) V': the dual coefficients are A y, and the residuals of the rows I of an image that is left out,
of the intercept as well, are A_II^-1 (A y)_I (with one row, Golub, Heath and Wahba, "Generalized cross-validation as a
method for choosing a good ridge parameter", Technometrics 21, 1979; scikit-learn's RidgeCV).

With more rows than features the same comes from the covariance matrix: C X'X C = U diag(s) U', the scores are
T = C X U, the hat matrix is H = 11'/n + T diag(1 / (s + p)) T', and the residuals are (I - H_II)^-1 (y - H y)_I.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh

from fne_cli.numerics.codes.packed import spans
from fne_cli.numerics.ridge.products import TILE, Chosen, product

LARGEST_DIVIDED = 32_000
"""Up to this side LAPACK divides and conquers; beyond, the workspace of 2 side^2 numbers is more than it can count."""


class Spectrum(ABC):
    """The decomposition for targets (n, k) of the rows that were chosen.

    values: (r,) eigenvalues of the centred kernel, or covariance; projected: (r, k), targets in their coordinates.
    """

    values: np.ndarray
    projected: np.ndarray

    def __init__(self, chosen: Chosen, targets: np.ndarray, mean: np.ndarray) -> None:
        self.chosen, self.targets, self.mean = chosen, targets, mean
        self.middle = targets.mean(axis=0)

    @abstractmethod
    def _factors(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of whole images, and their rows of V or T."""

    @abstractmethod
    def _without(self, targets: np.ndarray, found: np.ndarray, within: np.ndarray) -> np.ndarray:
        """Residuals of images that are left out, (images, crops, k).

        targets as this; found: V or T times diag(1 / (s + p)) `projected`, of the same shape; within: (images, crops,
        crops), V or T times diag(1 / (s + p)) times V' or T' of each image.
        """

    @abstractmethod
    def _weights(self, shrunk: np.ndarray) -> np.ndarray:
        """(features, k) from diag(1 / (s + p)) `projected`."""

    def left_out(self, penalties: np.ndarray) -> np.ndarray:
        """(penalties, n, k): what is predicted of each row by all rows but those of its image."""
        crops = self.chosen.crops
        shrinking = 1.0 / (self.values[:, None] + penalties)
        out = np.empty((len(penalties), *self.targets.shape))
        for span, factor in self._factors():
            squares = factor * factor @ shrinking if crops == 1 else None
            targets = self.targets[span].reshape(-1, crops, self.targets.shape[1])

            def fill(
                place: int,
                span: slice = span,
                factor: np.ndarray = factor,
                squares: np.ndarray | None = squares,
                targets: np.ndarray = targets,
            ) -> None:
                shrink = shrinking[:, place]
                if squares is None:
                    images = factor.reshape(-1, crops, factor.shape[1])
                    within = images * shrink @ images.transpose(0, 2, 1)
                else:
                    within = squares[:, place].reshape(-1, 1, 1)
                found = (factor @ (shrink[:, None] * self.projected)).reshape(targets.shape)
                left = targets - self._without(targets, found, within)
                out[place, span] = left.reshape(-1, targets.shape[2])

            list(self.chosen.pool.map(fill, range(len(penalties))))
        return out

    def hyperplanes(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (k, features) and intercepts (k,) for one penalty, of all rows."""
        weights = np.ascontiguousarray(self._weights(self.projected / (self.values + penalty)[:, None]).T)
        return weights, self.middle - weights @ self.mean


class DualSpectrum(Spectrum):
    """By the Gram matrix (n, n) float64 of the rows, which it overwrites; a constant added to it does not matter."""

    def __init__(self, chosen: Chosen, targets: np.ndarray, mean: np.ndarray, gram: np.ndarray) -> None:
        super().__init__(chosen, targets, mean)
        size = float(np.trace(gram)) / len(gram)
        means = gram.mean(axis=1)
        gram -= means
        gram -= (means - means.mean())[:, None]
        # 1 becomes the vector of the largest value by far, and no mixture of it is left among those of 0
        gram += (2 * max(0.0, float(np.trace(gram))) + size) / len(gram)
        values, vectors = _decomposed(gram.T)
        self.values, self._vectors = np.maximum(values[:-1], 0.0), vectors[:, :-1]
        self.projected = product(np.ascontiguousarray(targets.T), self._vectors, chosen.pool).T

    def _factors(self) -> Iterator[tuple[slice, np.ndarray]]:
        for span in self.chosen.spans():
            yield span, np.ascontiguousarray(self._vectors[span])

    def _without(self, targets: np.ndarray, found: np.ndarray, within: np.ndarray) -> np.ndarray:
        return _solved(within, found)

    def _weights(self, shrunk: np.ndarray) -> np.ndarray:
        return self.chosen.gathered(self.mean, lambda span, _: self._vectors[span] @ shrunk)


class PrimalSpectrum(Spectrum):
    """By the covariance matrix (features, features) of the rows, which are read four times."""

    def __init__(self, chosen: Chosen, targets: np.ndarray, mean: np.ndarray) -> None:
        super().__init__(chosen, targets, mean)
        covariance = np.zeros((chosen.features, chosen.features))
        tiles = [
            (down, across)
            for down in spans(chosen.features, TILE)
            for across in spans(chosen.features, TILE)
            if down.start <= across.start
        ]
        for _, values in chosen.centred(mean):

            def add(at: tuple[slice, slice], values: np.ndarray = values) -> None:
                covariance[at] += values[:, at[0]].T @ values[:, at[1]]

            list(chosen.pool.map(add, tiles))
        seen = chosen.gathered(mean, lambda span, _: targets[span] - self.middle)
        # the triangle that is filled is the lower one for LAPACK, which counts columns first
        values, self._vectors = _decomposed(covariance.T)
        self.values = np.maximum(values, 0.0)
        self.projected = product(np.ascontiguousarray(seen.T), self._vectors, chosen.pool).T

    def _factors(self) -> Iterator[tuple[slice, np.ndarray]]:
        for span, values in self.chosen.centred(self.mean):
            yield span, product(values, self._vectors, self.chosen.pool)

    def _without(self, targets: np.ndarray, found: np.ndarray, within: np.ndarray) -> np.ndarray:
        own = np.eye(within.shape[1]) - within - 1.0 / len(self.chosen)
        return _solved(own, targets - self.middle - found)

    def _weights(self, shrunk: np.ndarray) -> np.ndarray:
        return product(self._vectors, shrunk, self.chosen.pool)


def _decomposed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending, and vectors of a symmetric matrix of which the lower triangle counts; it is overwritten.

    Columns first, it becomes the vectors, and the workspace is two more; LAPACK counts that in 32 bits.
    """
    driver = "evd" if len(matrix) < LARGEST_DIVIDED else "evr"
    values, vectors = eigh(matrix, driver=driver, overwrite_a=True, check_finite=False)
    return values, vectors


def _solved(systems: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solutions (images, crops, k) of systems (images, crops, crops)."""
    return right / systems if systems.shape[1] == 1 else np.linalg.solve(systems, right)
