"""Ridge regression of -1 and 1, one-vs-rest, with the penalty that leave-one-out predictions ask for.

`solve` is the way in; `estimate` says beforehand which path it takes and what that costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.machine import processors, thread_pool
from fne_cli.numerics.codes.packed import PackedCodes, Rows, check_finite
from fne_cli.numerics.ridge.band import WIDTH
from fne_cli.numerics.ridge.products import BLOCK, Chosen
from fne_cli.numerics.ridge.spectrum import DualSpectrum, PrimalSpectrum, Spectrum
from fne_cli.numerics.svm import gram as products
from fne_cli.numerics.svm.solver import MEMORY, Costed, LinearModel, signs_of
from fne_cli.numerics.svm.totals import Totals

Path = Literal["dual", "primal"]

PENALTIES = tuple(digit * 10.0**power for power in range(-4, 3) for digit in (1, 2, 5))
"""Those that are tried by default, in units of the kernel's mean diagonal."""

TOLERANCE = 1e-6  # the largest relative duality gap of a solution that rounding has left whole

_DECOMPOSED = 4.0  # operations of a decomposition, in cubes of its side: most are products of a matrix with a panel

Choice = Callable[[np.ndarray], int]  # from predictions (penalties, rows, classes): the place of the penalty to take


@dataclass(frozen=True)
class RidgeEstimate(Costed):
    """What a fit will take: the path, bytes besides the rows at the peak, and floating-point operations."""

    path: Path
    bytes: int
    operations: float


@dataclass(frozen=True)
class RidgeSolution(Totals):
    """A fit. penalty: the one chosen, in units of `scale`, the mean diagonal of the centred kernel.

    objective (classes,): 1/2 sum of squared residuals + 1/2 penalty * scale * |w|^2; gap (classes,): its relative
    duality gap. left_out (penalties, rows, classes): predictions without the row's image, of all rows trained on.
    """

    model: LinearModel
    penalty: float
    scale: float
    left_out: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    path: Path


def path_of(rows: int, features: int) -> Path:
    """The smaller of the two decompositions."""
    return "dual" if rows < features else "primal"


def estimate(
    rows: int,
    features: int,
    classes: int,
    penalties: int,
    memory: int = MEMORY,
    itemsize: float = 4.0,
    crops: int = 1,
    patterns: int = 1,
    threads: int | None = None,
) -> RidgeEstimate:
    """What `solve` will do with (rows, features) rows of `itemsize` bytes a feature: a quarter for codes.

    patterns: in how many ways rows are left out for a class, each a decomposition of its own. Raises DoesNotFit with
    the numbers if it needs more than `memory` bytes besides the rows.
    """
    path, threads = path_of(rows, features), threads or processors()
    side = min(rows, features)
    span = min(rows, max(BLOCK, crops))
    held = 8 * classes * (penalties * (rows + (features if patterns > 1 else 0)) + 3 * rows + 6 * features)
    held += 8 * penalties * 2 * WIDTH * side
    working = 8 * threads * (classes * (2 * side + span) + (side + 2 * WIDTH) * span) + 8 * 3 * span * features
    # the matrix, what turns it and its reflections; the copy of the rows and the blocks of their product come before
    decomposed = 24 * side**2
    if path == "dual":
        decomposed = max(decomposed, 8 * rows * (rows + products.COLUMNS) + int(itemsize * rows * features))
    needed = held + working + decomposed
    if needed > memory:
        raise DoesNotFit(
            f"Ridge regression of {rows:,} rows, {features:,} features, {classes:,} classes and {penalties:,} "
            f"penalties should fit into {memory / 2**20:,.1f} MiB. It needs {needed / 2**20:,.1f} MiB ({path}). Allow "
            "more memory, or take --classifier svm."
        )
    tried = (1.0 * classes + crops + 1.5 * WIDTH) * rows * side
    each = 1.0 * rows * features * side + _DECOMPOSED * side**3 + penalties * tried
    return RidgeEstimate(path, int(needed), patterns * each + 4.0 * rows * features * classes)


def solve(
    rows: Rows,
    labels: np.ndarray,
    penalties: Sequence[float],
    choose: Choice,
    *,
    subset: np.ndarray | None = None,
    crops: int = 1,
    memory: int = MEMORY,
    gram: np.ndarray | None = None,
    threads: int | None = None,
) -> RidgeSolution:
    """Fit to rows (n, features), int8, PackedCodes or floats, and labels as `svm.solve` takes them.

    penalties are in units of the mean diagonal of the centred kernel. subset: ascending numbers of the rows to train
    on. `crops` rows that follow one another are an image, of one label: its rows are left out together. gram: the Gram
    matrix of the subset if it exists already; of any number type, whatever constant was added. The result does not
    depend on the number of threads. Raises BadInput for fewer than two classes or values that are not finite,
    DoesNotFit as `estimate`.
    """
    with _fitting(rows, labels, penalties, subset, crops, memory, gram, threads) as (fit, classes, groups):
        return fit.solved(classes, groups, choose)


def left_out(
    rows: Rows,
    labels: np.ndarray,
    penalties: Sequence[float],
    *,
    subset: np.ndarray | None = None,
    crops: int = 1,
    memory: int = MEMORY,
    gram: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """The predictions that `solve` has, (penalties, rows, classes), and no hyperplanes. Raises as it."""
    with _fitting(rows, labels, penalties, subset, crops, memory, gram, threads) as (fit, classes, groups):
        return fit.left_out(len(classes), groups)


@contextmanager
def _fitting(
    rows: Rows,
    labels: np.ndarray,
    penalties: Sequence[float],
    subset: np.ndarray | None,
    crops: int,
    memory: int,
    gram: np.ndarray | None,
    threads: int | None,
) -> Iterator[tuple[_Fit, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]]:
    numbers = np.arange(len(labels)) if subset is None else subset
    wanted = np.asarray(penalties, np.float64)
    if not len(wanted) or not ((wanted > 0) & np.isfinite(wanted)).all():
        raise BadInput(f"Penalties should be numbers above 0. Found: {', '.join(map(str, penalties)) or 'none'}.")
    check_finite(rows)
    known = labels[numbers]
    if known.ndim == 1 and len(np.unique(known)) < 2:
        raise BadInput(f"The classifier should have rows of at least two classes. Found: {len(np.unique(known))}.")
    classes, signs = signs_of(known)
    groups = list(_patterns(signs))
    itemsize = 0.25 if isinstance(rows, PackedCodes) else float(rows.dtype.itemsize)
    estimate(len(numbers), rows.shape[1], len(classes), len(wanted), memory, itemsize, crops, len(groups), threads)
    with thread_pool(threads) as pool:
        _, diagonal = Chosen(rows, numbers, crops, pool).centre()
        yield _Fit(rows, numbers, crops, signs, wanted, diagonal or 1.0, gram, pool), classes, groups


def _patterns(signs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which rows count, and for which classes (numbers)."""
    _, first, which = np.unique(signs != 0, axis=0, return_index=True, return_inverse=True)
    for place, example in enumerate(first.tolist()):
        yield np.flatnonzero(signs[example] != 0), np.flatnonzero(which.ravel() == place)


@dataclass(frozen=True)
class _Fit:
    """signs (classes, rows), 0 for a row that does not count; penalties are in units of `scale`."""

    rows: Rows
    numbers: np.ndarray
    crops: int
    signs: np.ndarray
    penalties: np.ndarray
    scale: float
    gram: np.ndarray | None
    pool: Executor

    def left_out(self, classes: int, groups: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """(penalties, rows, classes): 0 where a row does not count."""
        found = np.zeros((len(self.penalties), len(self.numbers), classes))
        for counted, members in groups:
            self._leave_out(self._spectrum(counted, members), counted, members, found)
        return found

    def _leave_out(self, spectrum: Spectrum | None, counted: np.ndarray, members: np.ndarray, out: np.ndarray) -> None:
        if spectrum is not None and len(counted) > self.crops:
            out[:, counted[:, None], members] = spectrum.left_out(self.scale * self.penalties)

    def solved(self, classes: np.ndarray, groups: list[tuple[np.ndarray, np.ndarray]], choose: Choice) -> RidgeSolution:
        left_out = np.zeros((len(self.penalties), len(self.numbers), len(classes)))
        tried: list[list[tuple[np.ndarray, np.ndarray]]] = []
        spectrum: Spectrum | None = None
        for counted, members in groups:
            spectrum = self._spectrum(counted, members)
            self._leave_out(spectrum, counted, members, left_out)
            if len(groups) > 1:  # a decomposition is large: what comes of it is kept, for every penalty
                tried.append([self._planes(spectrum, members, penalty) for penalty in self.penalties])
                spectrum = None
        penalty = float(self.penalties[place := choose(left_out)])
        weights, intercepts = np.zeros((len(classes), self.rows.shape[1])), np.zeros(len(classes))
        for number, (_, members) in enumerate(groups):
            found = tried[number][place] if tried else self._planes(spectrum, members, penalty)
            weights[members], intercepts[members] = found
        del spectrum
        model = LinearModel(classes, weights, intercepts)
        objective, gap = self._certified(model, groups, penalty)
        path = path_of(len(self.numbers), self.rows.shape[1])
        return RidgeSolution(model, penalty, self.scale, left_out, objective, gap, path)

    def _chosen(self, counted: np.ndarray) -> Chosen:
        return Chosen(self.rows, self.numbers[counted], self.crops, self.pool)

    def _spectrum(self, counted: np.ndarray, members: np.ndarray) -> Spectrum | None:
        """Of the rows that count for some classes; None if there are none."""
        if not len(counted):
            return None
        chosen = self._chosen(counted)
        targets = np.ascontiguousarray(self.signs[np.ix_(members, counted)].T, np.float64)
        mean, _ = chosen.centre()
        if path_of(len(counted), chosen.features) == "primal":
            return PrimalSpectrum(chosen, targets, mean)
        return DualSpectrum(chosen, targets, mean, self._products(counted))

    def _products(self, counted: np.ndarray) -> np.ndarray:
        if self.gram is None:
            return products.gram(self.rows[self.numbers[counted]], np.float64, pool=self.pool)
        return self.gram[np.ix_(counted, counted)].astype(np.float64)

    def _planes(self, spectrum: Spectrum | None, members: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        empty = np.zeros((len(members), self.rows.shape[1])), np.zeros(len(members))
        return empty if spectrum is None else spectrum.hyperplanes(self.scale * penalty)

    def _certified(
        self, model: LinearModel, groups: list[tuple[np.ndarray, np.ndarray]], penalty: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The objective of every class, and how far it can be above its minimum, relative to it.

        Any a of sum 0 gives a dual objective a.y - |a|^2 / 2 - |X'a|^2 / 2p, which is at most the minimum. At the
        residuals r it is the objective minus |X'r - p w|^2 / 2p.
        """
        absolute = self.scale * penalty
        objective, gap = np.zeros(len(model.classes)), np.zeros(len(model.classes))
        for counted, members in groups:
            if not len(counted):
                continue
            chosen, weights = self._chosen(counted), model.weights[members]
            mean, _ = chosen.centre()
            squares = np.zeros(len(members))

            def residuals(
                span: slice,
                values: np.ndarray,
                at: np.ndarray = counted,
                members: np.ndarray = members,
                weights: np.ndarray = weights,
                middle: np.ndarray = model.intercepts[members] + weights @ mean,
                squares: np.ndarray = squares,
            ) -> np.ndarray:
                left: np.ndarray = self.signs[np.ix_(members, at[span])].T - middle - values @ weights.T
                squares += np.einsum("nk,nk->k", left, left)
                return left

            apart = chosen.gathered(mean, residuals).T - absolute * weights
            found = 0.5 * squares + 0.5 * absolute * np.einsum("kd,kd->k", weights, weights)
            objective[members] = found
            gap[members] = np.einsum("kd,kd->k", apart, apart) / (2 * absolute) / np.where(found > 0, found, 1.0)
        return objective, gap
