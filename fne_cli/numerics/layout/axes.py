"""The first principal axes of rows that stream, in memory that does not grow with them.

The randomised range finder of Halko, Martinsson and Tropp (2011, algorithm 4.4), the rows gone through once for each of
its steps; scikit-learn's `svd_solver="randomized"` is the same, of rows that are in memory. Products are of pieces of
fixed sizes, one thread each: the bits depend neither on how rows are cut into batches nor on the processors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import spans
from fne_cli.numerics.embedding import moments_of
from fne_cli.numerics.embedding.pieces.principal import BLOCK, TILE, in_blocks, projected

_MORE, _STEPS = 10, 7  # axes beside those that are wanted, and steps: as scikit-learn has them
_STRIP = 32  # rows of a task

Batches = Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Axes:
    """centre (features,), axes (count, features) of length 1, and the share of the variance that each has, (count,)."""

    centre: np.ndarray
    axes: np.ndarray
    explained: np.ndarray

    def along(self, rows: np.ndarray) -> np.ndarray:
        """(rows, count) float64: where rows (rows, features) lie, the same bits in any batch."""
        return projected(rows.astype(np.float32, copy=False), self.centre, self.axes)


def bytes_of(features: int, count: int) -> int:
    """What `leading` takes beside a batch."""
    return 8 * features * (4 * (count + _MORE) + 2 * BLOCK)


def leading(batches: Batches, features: int, count: int, seed: int) -> Axes:
    """The first `count` axes, or as many as there are, of (rows, features) float32, float16 or int8.

    batches: goes through all rows, as often as it is called (9 times). The largest component of an axis is positive.
    Raises BadInput for rows that do not differ.
    """
    with thread_pool() as pool:
        moments = moments_of(batches(), features)
        total = float(np.sum(moments.std**2)) * moments.count
        if moments.count < 2 or total == 0:
            raise BadInput(f"There should be images whose vectors differ. Found: {moments.count:,} alike.")
        count = min(count, features, moments.count - 1)
        width = min(count + _MORE, features)
        basis = np.random.default_rng(seed).standard_normal((features, width))
        for _ in range(_STEPS):
            basis = np.linalg.qr(basis)[0]
            basis = _spread(batches(), moments.mean, basis, pool)
        basis = np.linalg.qr(basis)[0]
        squares, turn = np.linalg.eigh(basis.T @ _spread(batches(), moments.mean, basis, pool))
        axes = np.ascontiguousarray((basis @ turn[:, ::-1][:, :count]).T)
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(axes[np.arange(count), largest])[:, None]
    return Axes(moments.mean, axes, np.maximum(squares[::-1][:count], 0) / total)


def _spread(batches: Iterable[np.ndarray], centre: np.ndarray, basis: np.ndarray, pool: Executor) -> np.ndarray:
    """(features, width): the products of features with features, times the basis, without ever making the former."""
    out = np.zeros_like(basis)
    tiles = list(spans(len(centre), TILE))
    for block in in_blocks(batches, BLOCK):
        values = block - centre
        along = np.concatenate(list(pool.map(lambda strip, v=values: v[strip] @ basis, spans(len(values), _STRIP))))

        def add(tile: slice, values: np.ndarray = values, along: np.ndarray = along) -> None:
            out[tile] += values[:, tile].T @ along

        list(pool.map(add, tiles))
    return out
