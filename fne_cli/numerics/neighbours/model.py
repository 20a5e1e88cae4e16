"""Nearest neighbours as a classifier: the training rows themselves, and a vote of those most like a row."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import Rows, Words, dense, is_ternary, spans
from fne_cli.numerics.neighbours.nearest import TEMPERATURE, Nearest, unit, votes
from fne_cli.numerics.svm.solver import MEMORY, Costed

QUERIES, BLOCK, TILE = 1024, 1024, 64
"""Rows that are looked for at a time, rows that they are compared with at a time, and rows of a task."""


@dataclass(frozen=True)
class NeighboursEstimate(Costed):
    """What looking for neighbours takes: bytes besides the rows at the peak, and floating-point operations."""

    bytes: int
    operations: float
    path: str = "neighbours"


def estimate(
    rows: int, asked: int, features: int, classes: int, neighbours: int, memory: int = MEMORY, ternary: bool = False
) -> NeighboursEstimate:
    """What it takes to compare `asked` rows with (rows, features) rows; ternary: these are codes.

    Raises DoesNotFit with the numbers if it needs more than `memory` bytes besides the rows.
    """
    held = min(rows, BLOCK) + min(asked, QUERIES)
    similar = min(asked, QUERIES) * (6 * (min(rows, BLOCK) + neighbours) + 3 * classes)
    needed = held * (features if ternary else 3 * 8 * features) + 8 * similar
    if needed > memory:
        raise DoesNotFit(
            f"{neighbours:,} neighbours among {rows:,} rows of {features:,} features should be found within "
            f"{memory / 2**20:,.1f} MiB. That needs {needed / 2**20:,.1f} MiB. Allow more memory."
        )
    return NeighboursEstimate(int(needed), 1.0 * rows * asked * features / (8 if ternary else 1))


@dataclass(frozen=True)
class NeighboursModel:
    """rows (n, features), codes or floats, of which `numbers` are compared with; and their labels.

    labels: (n,) places in `classes`, or (n, classes) int8 with 1, 0 and -1 for a row that does not count for a class.
    count: how many neighbours vote; similarity is the cosine of the angle between rows. temperature: a vote weighs
    exp(similarity / temperature); with infinity all weigh the same.
    """

    classes: np.ndarray
    rows: Rows
    numbers: np.ndarray
    labels: np.ndarray
    count: int
    temperature: float = TEMPERATURE

    def decisions(self, rows: Rows) -> np.ndarray:
        """(rows, classes) float64: twice the share of the votes that a class has, less 1; 0 where nobody votes."""
        parts = [np.empty((0, len(self.classes)))]
        with thread_pool() as pool:
            parts += [self._decided(rows[span], pool) for span in spans(len(rows), QUERIES)]
        return np.concatenate(parts)

    def _decided(self, rows: Rows, pool: Executor) -> np.ndarray:
        found = Nearest(len(rows), min(self.count, len(self.numbers)))
        for span, similar in self._similar(rows, pool):
            found.add(span, similar)
        weights, places = found.weights(self.temperature), self.numbers[found.places]
        if self.labels.ndim == 1:
            return 2 * votes(places, weights, self.labels, len(self.classes)) / weights.sum(axis=1)[:, None] - 1
        present = np.einsum("qn,qnk->qk", weights, (self.labels[places] == 1).astype(np.float64))
        counted = np.einsum("qn,qnk->qk", weights, (self.labels[places] >= 0).astype(np.float64))
        share = np.divide(present, counted, out=np.full(present.shape, 0.5), where=counted > 0)
        return 2 * share - 1

    def _similar(self, rows: Rows, pool: Executor) -> Iterator[tuple[slice, np.ndarray]]:
        """Places among `numbers`, and how similar the rows are to those there: (rows, places)."""
        counted = is_ternary(rows) and is_ternary(self.rows[self.numbers[:1]])
        own = Words.of(rows) if counted else unit(dense(rows, slice(0, rows.shape[1]), np.float64))
        for span in spans(len(self.numbers), BLOCK):
            known = self.rows[self.numbers[span]]
            out = np.empty((len(rows), len(known)))
            others = Words.of(known) if counted else unit(dense(known, slice(0, known.shape[1]), np.float64))

            def fill(part: slice, out: np.ndarray = out, others: Words | np.ndarray = others) -> None:
                if isinstance(own, Words) and isinstance(others, Words):
                    own[part].products(others, 0, out[part])
                elif isinstance(own, np.ndarray) and isinstance(others, np.ndarray):
                    np.matmul(own[part], others.T, out=out[part])

            list(pool.map(fill, spans(len(rows), TILE)))
            if isinstance(own, Words) and isinstance(others, Words):
                # a row of zeros is at right angles to all, as its products say
                out /= np.sqrt(np.maximum(own.lengths(), 1))[:, None]
                out /= np.sqrt(np.maximum(others.lengths(), 1))
            yield span, out
