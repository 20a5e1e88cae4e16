"""Products with rows that are read a block at a time: what is floating point at once does not grow with the rows.

The pieces have fixed sizes and every matrix product stays on one thread, so that the sums are the same whatever the
number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.codes.packed import Rows, dense, spans

BLOCK, TILE, STRIP = 1024, 512, 64
"""Rows that are floating point at a time; columns of a task; rows that a task converts."""


@dataclass(frozen=True)
class Chosen:
    """Some of the rows (n, features), by their ascending numbers; `crops` that follow one another are an image.

    A block never ends within an image.
    """

    rows: Rows
    numbers: np.ndarray
    crops: int
    pool: Executor

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def features(self) -> int:
        """Columns."""
        return int(self.rows.shape[1])

    def spans(self) -> Iterator[slice]:
        """The blocks, as places among the chosen."""
        return spans(len(self), max(1, BLOCK // self.crops) * self.crops)

    def centred(self, mean: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Every block, and its rows minus `mean`: (rows, features) float64."""
        for span in self.spans():
            part = self.rows[self.numbers[span]]
            values = np.empty((len(part), self.features))

            def fill(strip: slice, part: Rows = part, values: np.ndarray = values) -> None:
                np.subtract(dense(part[strip], slice(0, self.features), np.float64), mean, out=values[strip])

            list(self.pool.map(fill, spans(len(part), STRIP)))
            yield span, values

    def centre(self) -> tuple[np.ndarray, float]:
        """The mean of the rows, (features,), and the mean of their squared distances from it.

        The latter is the mean diagonal of the centred kernel; 0 where all rows are the same but for rounding.
        """
        mean = sum(values.sum(axis=0) for _, values in self.centred(np.zeros(self.features))) / len(self)
        square = sum(float(np.einsum("nd,nd->", values, values)) for _, values in self.centred(mean)) / len(self)
        return mean, square if square > 1e-18 * float(mean @ mean) else 0.0

    def gathered(self, mean: np.ndarray, coefficients: Callable[[slice, np.ndarray], np.ndarray]) -> np.ndarray:
        """(features, k): the sum over all rows of (row - mean) times its coefficients.

        These are (rows, k) of a block: its places, and its rows minus the mean.
        """
        out: np.ndarray | None = None
        for span, values in self.centred(mean):
            factors = coefficients(span, values)
            total = np.zeros((self.features, factors.shape[1])) if out is None else out
            out = total

            def add(
                columns: slice, values: np.ndarray = values, factors: np.ndarray = factors, total: np.ndarray = total
            ) -> None:
                total[columns] += values[:, columns].T @ factors

            list(self.pool.map(add, spans(self.features, TILE)))
        return np.empty((self.features, 0)) if out is None else out


def product(left: np.ndarray, right: np.ndarray, pool: Executor) -> np.ndarray:
    """The matrix product, by columns of the right one."""
    out = np.empty((len(left), right.shape[1]))

    def fill(columns: slice) -> None:
        out[:, columns] = left @ right[:, columns]

    list(pool.map(fill, spans(right.shape[1], TILE)))
    return out
