"""Linear discriminant analysis with a shrunk covariance, of more features than rows as well.

With M the means of K classes, S the covariance within them (n in its denominator) and nu the mean of its d variances,

    S_s = (1 - s) S + s nu 1,    W = S_s^-1 (M - mean),    b_k = -w_k.mean - w_k.(m_k - mean) / 2

are the discriminants of normal classes that share S_s and are equally likely: scikit-learn's, of `solver="lsqr"` with
`priors` all equal, but for what is the same for all classes. The shrinkage s of Ledoit and Wolf is that of the rows
minus the means of their classes. scikit-learn's "auto" is another one: the mean of one for each class, of features
that are standardised there, which few rows of a class leave without a meaning.

With more features than rows no matrix has the side d. With X (n, d) the rows, X_w = H X minus the classes' means, and
M - mean = P'X, Woodbury's identity gives W = C'X of C = (P - (X_w X_w' + c 1)^-1 X_w X' P) / (s nu), c = s nu n / (1 -
s): all of it comes from the Gram matrix.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes, Rows, check_finite, spans
from fne_cli.numerics.ridge.products import BLOCK, TILE, Chosen
from fne_cli.numerics.statistics.spread import Spread
from fne_cli.numerics.svm import gram as products
from fne_cli.numerics.svm.solver import MEMORY, Costed, LinearModel

Path = Literal["dual", "primal"]

SHRINKAGES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Those that are tried by default."""
_LEAST = 1e-6  # that an estimate may be: a covariance without full rank has no inverse


@dataclass(frozen=True)
class LdaEstimate(Costed):
    """What a fit will take: the path, bytes besides the rows at the peak, and floating-point operations."""

    path: Path
    bytes: int
    operations: float


def path_of(rows: int, features: int) -> Path:
    """By the smaller of the two matrices."""
    return "dual" if rows < features else "primal"


def estimate(
    rows: int, features: int, classes: int, memory: int = MEMORY, itemsize: float = 4.0, problems: int = 1
) -> LdaEstimate:
    """What `within` will do with (rows, features) rows of `itemsize` bytes a feature: a quarter for codes.

    problems: how many there are, one after the other. Raises DoesNotFit with the numbers if it needs more than `memory`
    bytes besides the rows.
    """
    path, side = path_of(rows, features), min(rows, features)
    needed = 3 * 8 * side**2 + 8 * classes * (4 * side + 4 * features) + 3 * 8 * min(rows, BLOCK) * features
    if path == "dual":
        needed = (
            max(needed, 8 * rows * (rows + products.COLUMNS) + int(itemsize * rows * features)) + 8 * rows * classes
        )
    if needed > memory:
        raise DoesNotFit(
            f"Discriminant analysis of {rows:,} rows, {features:,} features and {classes:,} classes should fit into "
            f"{memory / 2**20:,.1f} MiB. It needs {needed / 2**20:,.1f} MiB ({path}). Allow more memory, or take "
            "--classifier svm."
        )
    work = 1.0 * rows * features * side + side**3 / 3 + 4.0 * rows * features * classes + 2.0 * side**2 * classes
    return LdaEstimate(path, int(needed), problems * work)


class Within(ABC):
    """Rows within their classes. classes: (K,) int, those that have rows; spread: of rows minus their class's mean."""

    classes: np.ndarray
    spread: Spread
    path: Path

    @property
    def shrinkage(self) -> float:
        """That of Ledoit and Wolf, 1e-6 ... 1; 1 where rows do not differ from the mean of their class."""
        return max(_LEAST, self.spread.shrinkage) if self.spread.varies else 1.0

    def model(self, shrinkage: float) -> LinearModel:
        """The discriminants with a shrinkage above 0, up to 1. Raises BadInput for another, and for too small a one."""
        if not 0 < shrinkage <= 1 and not (shrinkage == 0 and self.path == "primal"):
            raise BadInput(f"A shrinkage should be above 0, up to 1. Found: {shrinkage:g}.")
        # without a spread the means say it all, whatever the unit
        mean, kept = (self.spread.mean, 1 - shrinkage) if self.spread.varies else (1.0, 0.0)
        try:
            return self._model(kept, shrinkage * mean if kept else mean)
        except np.linalg.LinAlgError as error:
            raise BadInput(
                f"--shrinkage should give these rows a covariance matrix with an inverse. Found: {shrinkage:g}, "
                "which is too small. Give a larger one, or auto."
            ) from error

    @abstractmethod
    def _model(self, kept: float, added: float) -> LinearModel:
        """With the covariance `kept` S + `added` 1."""


class _Dual(Within):
    """By the Gram matrix (n, n) float64, to which a constant may have been added; it is overwritten."""

    path = "dual"

    def __init__(self, rows: Rows, numbers: np.ndarray, labels: np.ndarray, gram: np.ndarray, pool: Executor) -> None:
        self.classes, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._rows, self._numbers, self._pool = rows, numbers, pool
        count = len(labels)
        power = float(gram.trace()) / count
        self._towards = (own[:, None] == np.arange(len(counts))) / counts - 1.0 / count  # P
        self._projected = _times(gram, self._towards, pool)  # X X' P
        self._middle = gram.mean(axis=0)
        members = [np.flatnonzero(own == place) for place in range(len(counts))]
        for part in members:  # H X X' H
            gram[part] -= gram[part].mean(axis=0)
        for part in members:
            gram[:, part] -= gram[:, part].mean(axis=1)[:, None]
        self._seen = self._projected.copy()  # X_w X' P
        for part in members:
            self._seen[part] -= self._seen[part].mean(axis=0)
        self._within = gram
        lengths = gram.diagonal()
        self.spread = Spread(
            count,
            rows.shape[1],
            power,
            float(lengths.sum()) / count,
            sum(float((gram[span] ** 2).sum()) for span in spans(count, TILE)) / count**2,
            float((lengths**2).sum()),
        )

    def _model(self, kept: float, added: float) -> LinearModel:
        from scipy.linalg import cho_factor, cho_solve

        coefficients = self._towards
        if kept:
            shifted = self._within.copy()
            shifted.flat[:: len(shifted) + 1] += added * len(shifted) / kept
            factor = cho_factor(shifted.T, lower=True, overwrite_a=True, check_finite=False)
            coefficients = coefficients - cho_solve(factor, self._seen, check_finite=False)
        coefficients = coefficients / added
        centre = self._middle @ coefficients
        half = 0.5 * np.einsum("nk,nk->k", self._projected, coefficients)
        weights, _ = products.weights_of(self._rows[self._numbers], np.ascontiguousarray(coefficients.T), self._pool)
        return LinearModel(self.classes, weights, -centre - half)


class _Primal(Within):
    """By the covariance matrix (features, features); the rows are read three times."""

    path = "primal"

    def __init__(self, rows: Rows, numbers: np.ndarray, labels: np.ndarray, pool: Executor) -> None:
        self.classes, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
        chosen = Chosen(rows, numbers, 1, pool)
        self._mean, _ = chosen.centre()
        onehot = np.arange(len(counts))
        self._means = chosen.gathered(self._mean, lambda span, _: (own[span, None] == onehot) / counts).T
        scatter = np.zeros((chosen.features, chosen.features))
        tiles = [
            (down, across)
            for down in spans(chosen.features, TILE)
            for across in spans(chosen.features, TILE)
            if down.start <= across.start
        ]
        fourth = power = 0.0
        for span, values in chosen.centred(self._mean):
            power += float(np.einsum("nd,nd->", values, values))
            np.subtract(values, self._means[own[span]], out=values)
            fourth += float((np.einsum("nd,nd->n", values, values) ** 2).sum())

            def add(at: tuple[slice, slice], values: np.ndarray = values) -> None:
                scatter[at] += values[:, at[0]].T @ values[:, at[1]]

            list(pool.map(add, tiles))
        scatter /= len(labels)
        for down, across in tiles:
            scatter[across, down] = scatter[down, across].T
        self._scatter = scatter
        squared = sum(float((scatter[span] ** 2).sum()) for span in spans(len(scatter), TILE))
        power = power / len(labels) + float(self._mean @ self._mean)
        self.spread = Spread(len(labels), chosen.features, power, float(scatter.trace()), squared, fourth)

    def _model(self, kept: float, added: float) -> LinearModel:
        from scipy.linalg import cho_factor, cho_solve

        if kept:
            shifted = kept * self._scatter
            shifted.flat[:: len(shifted) + 1] += added
            factor = cho_factor(shifted.T, lower=True, overwrite_a=True, check_finite=False)
            weights = cho_solve(factor, self._means.T, check_finite=False).T
        else:
            weights = self._means / added
        half = 0.5 * np.einsum("kd,kd->k", self._means, weights)
        return LinearModel(self.classes, np.ascontiguousarray(weights), -weights @ self._mean - half)


@contextmanager
def within(
    rows: Rows,
    labels: np.ndarray,
    *,
    subset: np.ndarray | None = None,
    memory: int = MEMORY,
    gram: np.ndarray | None = None,
    threads: int | None = None,
) -> Iterator[Within]:
    """Rows (n, features), int8, PackedCodes or floats, within their classes, labels (n,) int.

    subset: ascending numbers of the rows to learn from. gram: the Gram matrix of the subset if it exists already; of
    any number type, whatever constant was added. What is found does not depend on the number of threads. Raises
    BadInput for fewer than two classes or values that are not finite, DoesNotFit as `estimate`.
    """
    numbers = np.arange(len(labels)) if subset is None else subset
    known = labels[numbers]
    if len(np.unique(known)) < 2:
        raise BadInput(f"The classifier should have rows of at least two classes. Found: {len(np.unique(known))}.")
    check_finite(rows)
    count, features = len(numbers), rows.shape[1]
    itemsize = 0.25 if isinstance(rows, PackedCodes) else float(rows.dtype.itemsize)
    estimate(count, features, len(np.unique(known)), memory, itemsize)
    with thread_pool(threads) as pool:
        if path_of(count, features) == "primal":
            yield _Primal(rows, numbers, known, pool)
        else:
            own = products.gram(rows[numbers], np.float64, pool=pool) if gram is None else gram.astype(np.float64)
            yield _Dual(rows, numbers, known, own, pool)


def one_against_rest(models: Sequence[tuple[int, LinearModel | None]], features: int) -> LinearModel:
    """The difference of two discriminants for each class, of models of the labels 0 and 1; zeros where there is none.

    models: the number of a class, and its model.
    """
    weights, intercepts = np.zeros((len(models), features)), np.zeros(len(models))
    for place, (_, model) in enumerate(models):
        if model is not None:
            weights[place] = model.weights[1] - model.weights[0]
            intercepts[place] = model.intercepts[1] - model.intercepts[0]
    return LinearModel(np.array([number for number, _ in models]), weights, intercepts)


def _times(matrix: np.ndarray, columns: np.ndarray, pool: Executor) -> np.ndarray:
    """The matrix product, by rows of the left one."""
    out = np.empty((len(matrix), columns.shape[1]))

    def fill(span: slice) -> None:
        out[span] = matrix[span] @ columns

    list(pool.map(fill, spans(len(matrix), TILE)))
    return out
