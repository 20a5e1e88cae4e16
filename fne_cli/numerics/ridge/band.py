"""A symmetric matrix as Q B Q', with B a narrow band: systems with B + p, for many p, then take little.

Householder reflections take a panel of columns at a time, so that nearly all of it is products of matrices, which
eigenvalues are not: of 1,000 rows a third of the time of LAPACK's eigenvectors. B's blocks of `WIDTH` make a chain, and
so does its Cholesky factor (Golub and Van Loan, Matrix Computations, 5.2 and 4.5.1; Dongarra, Sorensen and Hammarling,
"Block reduction of matrices to condensed forms for eigenvalue computations", 1989).
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes.packed import spans

WIDTH, STRIP = 64, 256
"""Columns of a panel, which is also the side of a block of B; rows of a task."""


@dataclass(frozen=True)
class Band:
    """Q' (n, n), and B: its blocks on the diagonal, (b, b) each, and those below them, upper triangles."""

    turned: np.ndarray
    diagonal: list[np.ndarray]
    below: list[np.ndarray]

    @classmethod
    def of(cls, matrix: np.ndarray, pool: Executor) -> Band:
        """Of a symmetric matrix (n, n) float64, which is overwritten."""
        cuts = list(spans(len(matrix), WIDTH))
        diagonal, below, reflections = [], [], []
        for here in cuts:
            diagonal.append((matrix[here, here] + matrix[here, here].T) / 2)
            if here.stop == len(matrix):
                break
            rest = slice(here.stop, len(matrix))
            vectors, small, triangle = _reflected(matrix[rest, here])
            below.append(triangle)
            reflections.append((vectors, small))
            _turn(matrix[rest, rest], vectors, small, pool)
        turned = np.eye(len(matrix))
        for here, (vectors, small) in zip(reversed(cuts[: len(reflections)]), reversed(reflections), strict=True):
            _apply(turned[here.stop :, here.stop :], vectors, small, pool)
        return cls(turned, diagonal, below)

    def plus(self, penalty: float) -> Factored:
        """The Cholesky factor of B + penalty. Raises BadInput if that is lost in rounding."""
        from scipy.linalg import cholesky, solve_triangular

        inverses: list[np.ndarray] = []
        links: list[np.ndarray] = []
        for number, block in enumerate(self.diagonal):
            own = block + penalty * np.eye(len(block))
            if number:
                links.append(self.below[number - 1] @ inverses[-1].T)
                own -= links[-1] @ links[-1].T
            try:
                corner = cholesky(own, lower=True, check_finite=False)
                inverses.append(solve_triangular(corner, np.eye(len(own)), lower=True, check_finite=False))
            except np.linalg.LinAlgError as error:
                raise BadInput(
                    f"A penalty should be larger than rounding. Found: {penalty:g} in the kernel's own units, of which "
                    "nothing is left beside its values. Give larger ones."
                ) from error
        return Factored(inverses, links)


@dataclass(frozen=True)
class Factored:
    """L with L L' = B + p: the inverses of its blocks on the diagonal, lower triangles, and the blocks below them.

    Of inverses all is products of matrices, which take half the time of solving triangles.
    """

    inverses: list[np.ndarray]
    links: list[np.ndarray]

    def forward(self, right: np.ndarray) -> np.ndarray:
        """L^-1 right, (n, k)."""
        out = np.empty(right.shape)
        before = slice(0, 0)
        for number, inverse in enumerate(self.inverses):
            here = slice(before.stop, before.stop + len(inverse))
            wanted = right[here] - self.links[number - 1] @ out[before] if number else right[here]
            np.matmul(inverse, wanted, out=out[here])
            before = here
        return out

    def backward(self, right: np.ndarray) -> np.ndarray:
        """L^-T right, (n, k)."""
        out = np.empty(right.shape)
        after = slice(len(right), len(right))
        for number in reversed(range(len(self.inverses))):
            inverse = self.inverses[number]
            here = slice(after.start - len(inverse), after.start)
            wanted = right[here] - self.links[number].T @ out[after] if number < len(self.links) else right[here]
            np.matmul(inverse.T, wanted, out=out[here])
            after = here
        return out


def _reflected(panel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V, T and R of a panel (m, b): (I - V T V')' panel = R, an upper triangle of at most b rows."""
    from scipy.linalg import solve_triangular
    from scipy.linalg.lapack import dgeqrf

    packed, scales, _, _ = dgeqrf(panel)
    count = min(packed.shape)
    triangle = np.triu(packed[:count])
    vectors = np.tril(packed[:, :count], -1)
    np.fill_diagonal(vectors, 1.0)
    vectors[:, scales == 0] = 0.0  # nothing to reflect
    inverse = np.triu(vectors.T @ vectors, 1)
    np.fill_diagonal(inverse, 1 / np.where(scales == 0, 1.0, scales))
    return vectors, solve_triangular(inverse, np.eye(count), check_finite=False), triangle


def _turn(matrix: np.ndarray, vectors: np.ndarray, small: np.ndarray, pool: Executor) -> None:
    """H' matrix H in the place of matrix, with H = I - V T V'."""
    strips = list(spans(len(matrix), STRIP))
    images = np.empty(vectors.shape)

    def image(strip: slice) -> None:
        images[strip] = matrix[strip] @ vectors @ small

    list(pool.map(image, strips))
    images -= vectors @ (0.5 * small.T @ (vectors.T @ images))
    left, right = np.hstack([vectors, images]), np.ascontiguousarray(np.hstack([images, vectors]).T)

    def turn(strip: slice) -> None:
        matrix[strip] -= left[strip] @ right

    list(pool.map(turn, strips))


def _apply(turned: np.ndarray, vectors: np.ndarray, small: np.ndarray, pool: Executor) -> None:
    """Turned H' in the place of turned: the transpose of H times what turned is the transpose of."""
    back = np.ascontiguousarray((vectors @ small).T)

    def apply(strip: slice) -> None:
        turned[strip] -= turned[strip] @ vectors @ back

    list(pool.map(apply, spans(len(turned), STRIP)))
