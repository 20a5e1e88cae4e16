"""Logistic regression as scikit-learn's LogisticRegression states it: L2, the intercept free, softmax for one label.

    min over (W, b) of C sum_i loss_i + 1/2 |W|^2

One label per image: loss = -log softmax(W x_i + b) of the row's class; of two classes the logistic loss, with one
hyperplane. Several labels: a logistic loss for each class. `solve` is the way in; `estimate` says beforehand which path
it takes and what that costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes, Rows, check_finite, spans
from fne_cli.numerics.logistic.losses import EachAlone, Loss, OneOfAll
from fne_cli.numerics.logistic.newton import Element, Minimum, Newton
from fne_cli.numerics.ridge.products import BLOCK, Chosen
from fne_cli.numerics.svm import gram as products
from fne_cli.numerics.svm.solver import MEMORY, Costed, LinearModel, signs_of
from fne_cli.numerics.svm.totals import Totals

Path = Literal["dual", "primal"]

TILE = 256
"""Rows of a task."""
_PRODUCTS = 300.0
"""Products with all rows that a fit may take at the rate of large matrix products: 100 were usual, of narrow ones."""


@dataclass(frozen=True)
class LogisticEstimate(Costed):
    """What a fit will take: the path, bytes besides the rows at the peak, and floating-point operations."""

    path: Path
    bytes: int
    operations: float


@dataclass(frozen=True)
class LogisticSolution(Totals):
    """A fit. objective and gap: of each problem, one with one label per image, else (classes,); gap is relative."""

    model: LinearModel
    objective: np.ndarray
    gap: np.ndarray
    path: Path


def estimate(rows: int, features: int, classes: int, memory: int = MEMORY, itemsize: float = 4.0) -> LogisticEstimate:
    """What `solve` will do with (rows, features) rows of `itemsize` bytes a feature: a quarter for codes.

    By the Gram matrix if that is less work and fits, else with the rows in blocks. Raises DoesNotFit with the numbers
    if it needs more than `memory` bytes besides the rows.
    """
    dual = 8 * rows * (rows + products.COLUMNS + 24 * classes) + int(itemsize * rows * features)
    primal = 8 * classes * (16 * rows + 12 * features) + 3 * 8 * min(rows, BLOCK) * features
    both = 8 * (4 * classes * features + 3 * products.TILE**2)
    path: Path = "dual" if rows <= 2 * features and dual + both <= memory else "primal"
    needed = both + (dual if path == "dual" else primal)
    if needed > memory:
        raise DoesNotFit(
            f"Logistic regression of {rows:,} rows, {features:,} features and {classes:,} classes should fit into "
            f"{memory / 2**20:,.1f} MiB. It needs {needed / 2**20:,.1f} MiB ({path}). Allow more memory."
        )
    each = 1.0 * rows * classes * (rows if path == "dual" else 2 * features)
    return LogisticEstimate(path, int(needed), (rows * rows * features if path == "dual" else 0) + _PRODUCTS * each)


def solve(
    rows: Rows,
    labels: np.ndarray,
    costs: Sequence[float],
    tolerance: float = 1e-5,
    *,
    subset: np.ndarray | None = None,
    memory: int = MEMORY,
    gram: np.ndarray | None = None,
    threads: int | None = None,
) -> Iterator[LogisticSolution]:
    """Fit to rows (n, features), int8, PackedCodes or floats, and labels as `svm.solve` takes them, for every C.

    costs: ascending; each fit starts from the one before. It ends when the relative duality gap of every problem is at
    most `tolerance`. subset: ascending numbers of the rows to train on. gram: the Gram matrix of the subset if it
    exists already; of any number type, whatever constant was added. The result does not depend on the number of
    threads. A class that no row lacks, or has, is told by its intercept alone. Raises BadInput for fewer than two
    classes or values that are not finite, DoesNotFit as `estimate`.
    """
    numbers = np.arange(len(labels)) if subset is None else subset
    if not len(costs) or not all(cost > 0 for cost in costs) or tolerance <= 0:
        raise BadInput(f"C and the tolerance should be above 0. Found: {', '.join(map(str, costs))} and {tolerance}.")
    known = labels[numbers]
    if known.ndim == 1 and len(np.unique(known)) < 2:
        raise BadInput(f"The classifier should have rows of at least two classes. Found: {len(np.unique(known))}.")
    check_finite(rows)
    itemsize = 0.25 if isinstance(rows, PackedCodes) else float(rows.dtype.itemsize)
    classes, signs = signs_of(known)
    path = estimate(len(numbers), rows.shape[1], len(classes), memory, itemsize).path
    problems = _Problems(classes, signs, mirrored=known.ndim == 1 and len(classes) == 2, several=known.ndim == 2)
    with thread_pool(threads) as pool:
        space: _Space
        if path == "dual":
            own = products.gram(rows[numbers], np.float64, pool=pool) if gram is None else gram.astype(np.float64)
            space = _Dual(rows, numbers, own, pool)
        else:
            space = _Primal(rows, numbers, memory, pool)
        newton = Newton(problems.loss, space.carried, path == "dual")
        found = problems.start(space.coordinates)
        for cost in costs:
            found = newton.solved(cost, tolerance, found)
            yield problems.solution(found, *space.hyperplanes(found.planes.coordinates), path)


@dataclass(frozen=True)
class _Problems:
    """classes (k,), signs (k, rows). mirrored: two classes are one problem. several: each class is one."""

    classes: np.ndarray
    signs: np.ndarray
    mirrored: bool
    several: bool

    @property
    def solved(self) -> np.ndarray:
        """The classes that have a column."""
        if self.mirrored:
            return np.array([1])
        if not self.several:
            return np.arange(len(self.classes))
        return np.flatnonzero((self.signs == 1).any(axis=1) & (self.signs == -1).any(axis=1))

    @property
    def loss(self) -> Loss:
        """Of one column for each class that is solved."""
        own = self.signs[self.solved].T
        kind = EachAlone if self.several or self.mirrored else OneOfAll
        return kind((own == 1).astype(np.float64), own != 0)

    def start(self, coordinates: int) -> Minimum:
        """Nothing is known."""
        columns, rows = len(self.solved), self.signs.shape[1]
        planes = Element(np.zeros((coordinates, columns)), np.zeros((rows, columns)))
        return Minimum(planes, np.zeros(columns), np.zeros(0), np.zeros(0), 0)

    def solution(self, found: Minimum, weights: np.ndarray, offsets: np.ndarray, path: Path) -> LogisticSolution:
        """With the columns' weights (columns, features), and what their rows' mean makes of the intercepts."""
        present, absent = (self.signs == 1).any(axis=1), (self.signs == -1).any(axis=1)
        planes = np.zeros((len(self.classes), weights.shape[1]))
        intercepts = np.where(present & ~absent, 1.0, np.where(absent & ~present, -1.0, 0.0))
        planes[self.solved], intercepts[self.solved] = weights, found.intercepts - offsets
        if self.mirrored:
            planes[0], intercepts[0] = -planes[1], -intercepts[1]
        gap = found.gap / np.where(found.objective > 0, found.objective, 1.0)
        return LogisticSolution(LinearModel(self.classes, planes, intercepts), found.objective, gap, path)


class _Space(ABC):
    """The coordinates of hyperplanes, and how they come of rows."""

    coordinates: int

    @abstractmethod
    def carried(self, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As Newton asks for it; the rows are centred."""

    @abstractmethod
    def hyperplanes(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (columns, features), and their products with the mean of the rows (columns,)."""


class _Dual(_Space):
    """Coefficients of the rows, by the Gram matrix, which is overwritten; these sum up to 0."""

    def __init__(self, rows: Rows, numbers: np.ndarray, gram: np.ndarray, pool: Executor) -> None:
        self._rows, self._numbers, self._gram, self._pool = rows, numbers, gram, pool
        self.coordinates = len(gram)
        self._middle = gram.mean(axis=0)
        gram -= self._middle
        gram -= (self._middle - self._middle.mean())[:, None]

    def carried(self, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = np.empty_like(slopes)

        def fill(span: slice) -> None:
            np.matmul(self._gram[span], slopes, out=out[span])

        list(self._pool.map(fill, spans(len(out), TILE)))
        return slopes, out

    def hyperplanes(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = self._rows[self._numbers]
        weights, _ = products.weights_of(own, np.ascontiguousarray(coordinates.T), self._pool)
        return weights, self._middle @ coordinates


class _Primal(_Space):
    """The weights themselves; rows are floating point once if they fit into half of the memory, else every time."""

    def __init__(self, rows: Rows, numbers: np.ndarray, memory: int, pool: Executor) -> None:
        self._chosen, self._pool = Chosen(rows, numbers, 1, pool), pool
        self.coordinates = self._chosen.features
        self._mean, _ = self._chosen.centre()
        self._kept: list[tuple[slice, np.ndarray]] | None = None
        if 8 * len(numbers) * self.coordinates <= memory // 2:
            self._kept = list(self._chosen.centred(self._mean))

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        return self._chosen.centred(self._mean) if self._kept is None else iter(self._kept)

    def carried(self, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights, out = np.zeros((self.coordinates, slopes.shape[1])), np.empty_like(slopes)
        for span, values in self._blocks():

            def add(columns: slice, span: slice = span, values: np.ndarray = values) -> None:
                weights[columns] += values[:, columns].T @ slopes[span]

            list(self._pool.map(add, spans(self.coordinates, TILE)))
        for span, values in self._blocks():

            def fill(part: slice, span: slice = span, values: np.ndarray = values) -> None:
                np.matmul(values[part], weights, out=out[span][part])

            list(self._pool.map(fill, spans(len(values), TILE)))
        return weights, out

    def hyperplanes(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.ascontiguousarray(coordinates.T), self._mean @ coordinates
