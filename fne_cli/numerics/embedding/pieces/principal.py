"""Principal components: the mean and the axes of training rows, and where rows lie along them.

Sums are made of pieces of fixed sizes, and products of whole numbers that float64 holds exactly: the bits depend
neither on how rows are cut into batches nor on the processors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes.packed import spans

BLOCK, TILE = 256, 512
"""Rows that are float64 at a time; columns of a task."""

HELD = 1 << 28
"""Bytes of rows that stay while the others are multiplied with them."""

_LARGEST_DIVIDED = 32_000  # beyond it LAPACK cannot count the workspace of its faster way
_BITS, _FINE, _SLAB = 24, 30, 128  # of a value, of a component of an axis; axes that are whole numbers at a time

Batches = Callable[[], Iterable[np.ndarray]]
"""Goes through all rows, (rows, features) float32, as often as it is called."""


@dataclass(frozen=True)
class Decomposition:
    """Of centred rows (n, d): squares (r,), those of their singular values that are more than rounding, largest first.

    vectors: the singular vectors, (n, r) if there are fewer rows than features, else (d, r). centre: (d,).
    """

    rows: int
    centre: np.ndarray
    squares: np.ndarray
    vectors: np.ndarray

    @property
    def features(self) -> int:
        """Of the rows."""
        return len(self.centre)

    def deviations(self, count: int) -> np.ndarray:
        """The standard deviations (ddof 1, as scikit-learn has them) of the first components, (count,)."""
        return np.sqrt(self.squares[:count] / (self.rows - 1))

    def axes(self, count: int, batches: Batches, pool: Executor) -> np.ndarray:
        """The first ones, (count, features), of length 1; the largest component is positive, as in scikit-learn.

        batches: the same rows again. Raises BadInput if there are not so many.
        """
        if count > (most := len(self.squares)):
            expected = f"be at most pca:{most}" if most else "have training rows that differ"
            raise BadInput(
                f"pca:{count} should {expected}. Found: {self.rows:,} training rows of {self.features:,} features, "
                f"which have {most:,} principal components."
            )
        if self.rows >= self.features:
            axes = np.ascontiguousarray(self.vectors[:, :count].T)
        else:
            axes = np.zeros((count, self.features))
            start = 0
            for block in in_blocks(batches(), BLOCK):
                factors = np.ascontiguousarray(self.vectors[start : start + len(block), :count].T)
                start += len(block)

                def add(columns: slice, block: np.ndarray = block, factors: np.ndarray = factors) -> None:
                    axes[:, columns] += factors @ (block[:, columns].astype(np.float64) - self.centre[columns])

                list(pool.map(add, spans(self.features, TILE)))
            axes /= np.sqrt(np.einsum("kd,kd->k", axes, axes))[:, None]
        largest = np.abs(axes).argmax(axis=1)
        axes *= np.sign(axes[np.arange(count), largest])[:, None]
        return axes


def decomposed(batches: Batches, rows: int, centre: np.ndarray, pool: Executor) -> Decomposition:
    """Of rows (rows, features) with the mean `centre`: by their Gram matrix or their covariance, whichever is smaller.

    Memory as `bytes_of` says.
    """
    from scipy.linalg import eigh  # which takes its time to load

    matrix = (_gram if rows < len(centre) else covariance)(batches, rows, centre, pool)
    driver = "evd" if len(matrix) < _LARGEST_DIVIDED else "evr"
    # the triangle that is filled is the lower one for LAPACK, which counts columns first
    squares, vectors = eigh(matrix.T, driver=driver, overwrite_a=True, check_finite=False)
    rounding = max(rows, len(centre)) * np.finfo(np.float64).eps * max(squares[-1], 0.0)
    kept = min(int((squares > rounding).sum()), max(0, rows - 1))
    last = len(squares) - kept
    return Decomposition(
        rows, centre, squares[: last - 1 if last else None : -1], vectors[:, : last - 1 if last else None : -1]
    )


def bytes_of(rows: int, features: int, count: int, threads: int) -> int:
    """What `decomposed`, `axes` and `projected` take at most: `count` axes of so many rows."""
    side = min(rows, features)
    held = min(4 * rows, 4 * BLOCK + HELD // features) * features if rows < features else 0
    return 24 * side**2 + held + 8 * features * ((3 + threads) * BLOCK + 2 * count + 4 * _SLAB)


def projected(rows: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(rows, axes) float64: rows (rows, features) minus the centre, along each axis.

    Values count in 2^-24 of the largest of their row, axes in 2^-30 of their largest component, so that all sums are
    exact: each row comes out the same wherever it stands, whichever way the machine multiplies.
    """
    features = rows.shape[1]
    width = 53 - _BITS - max(1, features - 1).bit_length()
    out = np.zeros((len(rows), len(axes)))
    for slab in spans(len(axes), _SLAB):
        scale = np.frexp(np.abs(axes[slab]).max(axis=1))[1]
        left, pieces = np.ldexp(axes[slab], -scale[:, None]), []
        for _ in range(-(-_FINE // width)):
            left = np.ldexp(left, width)
            pieces.append(np.rint(left))
            left -= pieces[-1]
        for strip in spans(len(rows), BLOCK):
            values = rows[strip] - centre
            size = np.frexp(np.abs(values).max(axis=1))[1]
            np.rint(np.ldexp(values, _BITS - size[:, None]), out=values)
            for place, piece in enumerate(pieces, 1):
                exact = values @ piece.T
                out[strip, slab] += np.ldexp(exact, size[:, None] + scale - _BITS - place * width)
    return out


def _gram(batches: Batches, rows: int, centre: np.ndarray, pool: Executor) -> np.ndarray:
    """Products of rows with rows, (rows, rows), of which the upper triangle is filled."""
    gram = np.empty((rows, rows))
    together = max(1, HELD // (4 * len(centre) * BLOCK))  # blocks
    for first in range(0, -(-rows // BLOCK), together):
        held: dict[int, np.ndarray] = {}
        for number, block in enumerate(in_blocks(batches(), BLOCK)):
            if number < first:
                continue
            if number < first + together:
                held[number] = block
            across, values = slice(number * BLOCK, number * BLOCK + len(block)), block - centre

            def multiply(pair: tuple[int, np.ndarray], across: slice = across, values: np.ndarray = values) -> None:
                down = slice(pair[0] * BLOCK, pair[0] * BLOCK + len(pair[1]))
                gram[down, across] = (pair[1] - centre) @ values.T

            list(pool.map(multiply, held.items()))
    return gram


def covariance(batches: Batches, rows: int, centre: np.ndarray, pool: Executor) -> np.ndarray:
    """Products of features with features, (features, features), of which the upper triangle is filled."""
    products = np.zeros((len(centre), len(centre)))
    tiles = [
        (down, across)
        for down in spans(len(centre), TILE)
        for across in spans(len(centre), TILE)
        if down.start <= across.start
    ]
    for block in in_blocks(batches(), BLOCK):
        values = block - centre

        def add(at: tuple[slice, slice], values: np.ndarray = values) -> None:
            products[at] += values[:, at[0]].T @ values[:, at[1]]

        list(pool.map(add, tiles))
    return products


def in_blocks(batches: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same rows, `size` of them at a time, however they were cut before."""
    kept: list[np.ndarray] = []
    missing = size
    for batch in batches:
        start = 0
        while start < len(batch):
            kept.append(batch[start : start + missing])
            start += len(kept[-1])
            missing -= len(kept[-1])
            if not missing:
                yield np.concatenate(kept)
                kept, missing = [], size
    if kept:
        yield np.concatenate(kept)
