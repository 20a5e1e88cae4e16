"""Ridge regression of many targets for many penalties, and what each image is taken for without itself.

min over (w, b) of 1/2 sum_i (y_i - w.x_i - b)^2 + p/2 |w|^2, the intercept b free. With K the Gram matrix,
C = I - 11'/n, all there is to know of a penalty p is A = (C K C + p)^-1 - 11'/(np): the dual coefficients are A y, and
the residuals of the rows I of an image that is left out, of the intercept as well, are A_II^-1 (A y)_I (with one row,
Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter", Technometrics
21, 1979; scikit-learn's RidgeCV).

With more rows than features the same comes from the covariance matrix S = C X'X C: the hat matrix is
H = 11'/n + C X (S + p)^-1 X' C, and the residuals are (I - H_II)^-1 (y - H y)_I.

Neither takes eigenvalues. With K or S = Q B Q', B a band (`band`), and L L' = B + p, it is all in L^-1 Q' or
L^-1 Q' X' C.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from fne_cli.numerics.codes.packed import spans
from fne_cli.numerics.ridge.band import Band
from fne_cli.numerics.ridge.products import TILE, Chosen, product


class Spectrum(ABC):
    """The decomposition for targets (n, k) of the rows that were chosen.

    band: of the centred kernel, or covariance, (r, r); projected: (r, k), targets in its coordinates.
    """

    band: Band
    projected: np.ndarray

    def __init__(self, chosen: Chosen, targets: np.ndarray, mean: np.ndarray) -> None:
        self.chosen, self.targets, self.mean = chosen, targets, mean
        self.middle = targets.mean(axis=0)

    @abstractmethod
    def _factors(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of whole images, and their columns of Q' or Q' X' C."""

    @abstractmethod
    def _without(self, targets: np.ndarray, found: np.ndarray, within: np.ndarray, penalty: float) -> np.ndarray:
        """Residuals of images that are left out, (images, crops, k).

        targets as this; F being L^-1 Q' or L^-1 Q' X' C, found: F' L^-1 `projected`, of the same shape; within:
        (images, crops, crops), F' F of each image.
        """

    @abstractmethod
    def _weights(self, shrunk: np.ndarray) -> np.ndarray:
        """(features, k) from (B + p)^-1 `projected`."""

    def left_out(self, penalties: np.ndarray) -> np.ndarray:
        """(penalties, n, k): what is predicted of each row by all rows but those of its image."""
        crops, pool = self.chosen.crops, self.chosen.pool
        factored = list(pool.map(self.band.plus, penalties))
        out = np.empty((len(penalties), *self.targets.shape))
        for span, factor in self._factors():
            targets = self.targets[span].reshape(-1, crops, self.targets.shape[1])

            def fill(
                place: int, span: slice = span, factor: np.ndarray = factor, targets: np.ndarray = targets
            ) -> None:
                shrunk = factored[place].forward(factor)
                found = (shrunk.T @ factored[place].forward(self.projected)).reshape(targets.shape)
                if crops == 1:
                    within = np.einsum("rn,rn->n", shrunk, shrunk).reshape(-1, 1, 1)
                else:
                    images = shrunk.T.reshape(-1, crops, len(shrunk))
                    within = images @ images.transpose(0, 2, 1)
                left = targets - self._without(targets, found, within, penalties[place])
                out[place, span] = left.reshape(-1, targets.shape[2])

            list(pool.map(fill, range(len(penalties))))
        return out

    def hyperplanes(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (k, features) and intercepts (k,) for one penalty, of all rows."""
        factored = self.band.plus(penalty)
        weights = np.ascontiguousarray(self._weights(factored.backward(factored.forward(self.projected))).T)
        return weights, self.middle - weights @ self.mean


class DualSpectrum(Spectrum):
    """By the Gram matrix (n, n) float64 of the rows, which it overwrites; a constant added to it does not matter."""

    def __init__(self, chosen: Chosen, targets: np.ndarray, mean: np.ndarray, gram: np.ndarray) -> None:
        super().__init__(chosen, targets, mean)
        size = float(np.trace(gram)) / len(gram)
        means = gram.mean(axis=1)
        gram -= means
        gram -= (means - means.mean())[:, None]
        # the constant vector gets a value like others, instead of 0, whose inverse would drown theirs
        self._constant = max(0.0, float(np.trace(gram)) / len(gram)) or size
        gram += self._constant / len(gram)
        self.band = Band.of(gram, chosen.pool)
        self.projected = product(self.band.turned, targets - self.middle, chosen.pool)

    def _factors(self) -> Iterator[tuple[slice, np.ndarray]]:
        for span in self.chosen.spans():
            yield span, self.band.turned[:, span]

    def _without(self, targets: np.ndarray, found: np.ndarray, within: np.ndarray, penalty: float) -> np.ndarray:
        return _solved(within - 1 / (len(self.chosen) * (self._constant + penalty)), found)

    def _weights(self, shrunk: np.ndarray) -> np.ndarray:
        return self.chosen.gathered(self.mean, lambda span, _: self.band.turned[:, span].T @ shrunk)


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
        for down, across in tiles:
            if down != across:
                covariance[across, down] = covariance[down, across].T
        seen = chosen.gathered(mean, lambda span, _: targets[span] - self.middle)
        self.band = Band.of(covariance, chosen.pool)
        self.projected = product(self.band.turned, seen, chosen.pool)

    def _factors(self) -> Iterator[tuple[slice, np.ndarray]]:
        for span, values in self.chosen.centred(self.mean):
            yield span, product(self.band.turned, values.T, self.chosen.pool)

    def _without(self, targets: np.ndarray, found: np.ndarray, within: np.ndarray, penalty: float) -> np.ndarray:
        own = np.eye(within.shape[1]) - within - 1.0 / len(self.chosen)
        return _solved(own, targets - self.middle - found)

    def _weights(self, shrunk: np.ndarray) -> np.ndarray:
        return product(self.band.turned.T, shrunk, self.chosen.pool)


def _solved(systems: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solutions (images, crops, k) of systems (images, crops, crops)."""
    return right / systems if systems.shape[1] == 1 else np.linalg.solve(systems, right)
