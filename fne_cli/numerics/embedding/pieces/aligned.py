"""How much each layer says of the labels: the linear centred kernel alignment of its rows with the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import chain

import numpy as np

from fne_cli.numerics.codes.packed import spans
from fne_cli.numerics.embedding.pieces.principal import BLOCK, TILE, in_blocks

HELD = 1 << 25
"""Bytes of products that are summed up at once; the rows are read again for every so many."""


def bytes_of(features: int) -> int:
    """What `alignments` takes at most, of layers of up to so many features."""
    return max(HELD, 2 * 8 * features**2) + 8 * BLOCK * features


def alignments(
    batches: Callable[[], Iterable[np.ndarray]], labels: np.ndarray, layers: Sequence[slice], pool: Executor
) -> np.ndarray:
    """|X' Y| / sqrt(|X' X| |Y' Y|) of each layer's centred rows X and Y, the classes' columns of 0 and 1: (layers,).

    The norms are Frobenius's, squared; 0 ... 1, and 0 where nothing varies. batches: of the rows (n, features), as
    often as they are asked for. labels: (n,), or (n, classes) with 1 for those that a row has, and -1 where it does not
    count. Memory as `bytes_of` says. N. Cristianini, J. Shawe-Taylor, A. Elisseeff and J. Kandola, "On kernel-target
    alignment", NIPS 2001; centred: C. Cortes, M. Mohri and A. Rostamizadeh, "Algorithms for learning kernels based on
    centered alignment", JMLR 13, 2012.
    """
    known = labels if labels.ndim == 2 else np.where(labels[:, None] == np.unique(labels), 1, 0)
    counted = known >= 0
    classes = np.where(counted, (known == 1) - (known == 1).sum(axis=0) / np.maximum(counted.sum(axis=0), 1), 0.0)
    own = float(((classes.T @ classes) ** 2).sum())
    found: list[float] = []
    for group in _groups(layers):
        blocks = in_blocks(batches(), BLOCK)
        first = next(blocks)
        origin = first[0].astype(np.float64)  # what does not vary is exactly 0 without it
        sums = [_Sums(layer.stop - layer.start, classes.shape[1]) for layer in group]
        start = 0
        for block in chain([first], blocks):
            targets = classes[start : start + len(block)].T
            start += len(block)
            for one, layer in zip(sums, group, strict=True):
                one.add(block[:, layer] - origin[layer], targets, pool)
        found += [one.alignment(own) for one in sums]
    return np.array(found)


def _groups(layers: Sequence[slice]) -> Iterator[list[slice]]:
    """Layers whose products are held together."""
    group: list[slice] = []
    held = 0
    for layer in layers:
        needed = 8 * (layer.stop - layer.start) ** 2
        if group and held + needed > HELD:
            yield group
            group, held = [], 0
        group.append(layer)
        held += needed
    yield group


class _Sums:
    """Of a layer of d features: X' X, the upper triangle of it by tiles, Y' X and the sum of the rows."""

    def __init__(self, features: int, classes: int) -> None:
        self.products, self.seen = np.zeros((features, features)), np.zeros((classes, features))
        self.total, self.count = np.zeros(features), 0
        self._tiles = [
            (down, across)
            for down in spans(features, TILE)
            for across in spans(features, TILE)
            if down.start <= across.start
        ]

    def add(self, rows: np.ndarray, targets: np.ndarray, pool: Executor) -> None:
        def add(at: tuple[slice, slice]) -> None:
            self.products[at] += rows[:, at[0]].T @ rows[:, at[1]]

        list(pool.map(add, self._tiles))
        self.seen += targets @ rows
        self.total += rows.sum(axis=0)
        self.count += len(rows)

    def alignment(self, own: float) -> float:
        square = 0.0
        for at in self._tiles:
            centred = self.products[at] - np.outer(self.total[at[0]], self.total[at[1]]) / self.count
            square += float((centred**2).sum()) * (1 if at[0] == at[1] else 2)
        return float((self.seen**2).sum()) / np.sqrt(square * own) if square * own > 0 else 0.0
