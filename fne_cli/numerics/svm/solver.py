"""The linear SVM of the method: one-vs-rest, squared hinge, L2, intercept as a constant feature 1 (LinearSVC).

`solve` is the way in; `estimate` says beforehand which path it takes and what that costs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.svm.certified import Hyperplanes
from fne_cli.numerics.svm.totals import Totals

if TYPE_CHECKING:
    from fne_cli.numerics.codes.packed import Rows
    from fne_cli.numerics.svm.remote import Remote

Path = Literal["gram", "direct", "newton"]

FEW_FEATURES, FEW_ROWS = 128, 4096
"""Measured: up to so many features Newton's method, up to so many rows the Gram matrix is faster than streaming."""

MEMORY = 4 << 30
"""Bytes that `solve` may take besides the rows. Fixed, so that the path does not depend on the machine."""


RATE = 5e10
"""Multiplications and additions per second: of float32 matrix products on all processors."""


@dataclass(frozen=True)
class LinearModel:
    """One hyperplane per class: weights (classes, features), intercepts (classes,), classes (classes,) int."""

    classes: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray

    def decisions(self, rows: Rows) -> np.ndarray:
        """(rows, classes) float64: signed distances, not normalised."""
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.codes.packed import dense, spans

        out = np.empty((len(rows), len(self.weights)))

        def fill(span: slice) -> None:
            out[span] = dense(rows[span], slice(0, rows.shape[1]), np.float64) @ self.weights.T

        with thread_pool() as pool:
            list(pool.map(fill, spans(len(rows), 512)))
        return out + self.intercepts


class Costed:
    """What takes a known number of floating-point operations."""

    operations: float

    def seconds(self, rate: float = RATE) -> float:
        """Time at `rate` multiplications and additions per second."""
        return self.operations / rate


@dataclass(frozen=True)
class FitEstimate(Costed):
    """What a fit will take: the path, bytes besides the rows at the peak, and floating-point operations.

    The operations assume 25 passes (gram), 50 (direct) or 8 steps (newton); it depends on how the classes overlap.
    """

    path: Path
    bytes: int
    operations: float


@dataclass(frozen=True)
class Solution(Totals):
    """A fit and its certificate; per class (classes,): objective (primal), gap (relative), support_vectors, passes.

    alpha (classes, rows) are the dual variables. A fit whose largest gap is above the tolerance ran out of passes.
    """

    model: LinearModel
    objective: np.ndarray
    gap: np.ndarray
    support_vectors: np.ndarray
    passes: np.ndarray
    alpha: np.ndarray
    path: Path
    seconds: float


def estimate(
    rows: int,
    features: int,
    classes: int,
    memory: int = MEMORY,
    itemsize: int = 2,
    path: str = "auto",
    threads: int | None = None,
) -> FitEstimate:
    """What `solve` will do with (rows, features) rows: itemsize 2 for codes, 8 for others.

    threads: by default as many as there are processors; the memory that Newton's method needs depends on them.

    Newton's method is taken for many rows of few features, the Gram path for few rows or rows <= 2 * features, where
    its passes are the cheaper ones; each only if it fits into `memory` bytes. Raises DoesNotFit with the numbers if the
    chosen path needs more than `memory`.
    """
    from fne_cli.machine import processors
    from fne_cli.numerics.svm import dual, gram, streaming

    state = 8 * classes * (3 * rows + 2 * features)
    gram_bytes = itemsize * rows * (rows + gram.COLUMNS) + state + 4 * 32 * rows * 8
    direct_bytes = (
        state + 12 * classes * features + 2 * 8 * streaming.BLOCK * features + 2048 * features * max(1, itemsize // 2)
    )
    newton_bytes = 8 * rows * (1 + (threads or processors())) * (features + 1) + 3 * 8 * classes * rows
    if path == "auto":
        if features <= FEW_FEATURES and rows > 2 * features and newton_bytes <= memory:
            path = "newton"
        else:
            path = "gram" if gram_bytes <= memory and rows <= max(2 * features, FEW_ROWS) else "direct"
    needed, work = {
        "newton": (newton_bytes, 8.0 * classes * rows * features * (features + 8)),
        "gram": (
            gram_bytes,
            rows * rows * features + 4.0 * classes * rows * features + 50.0 * classes * rows * (rows + dual.BLOCK),
        ),
        "direct": (direct_bytes, 8.0 * classes * rows * features + 100.0 * rows * features * (2 * classes + 128)),
    }[path]
    if needed > memory:
        raise DoesNotFit(
            f"The SVM of {rows:,} rows, {features:,} features and {classes:,} classes should fit into "
            f"{memory / 2**20:,.1f} MiB. It needs {needed / 2**20:,.1f} MiB ({path}). Allow more memory."
        )
    return FitEstimate(path, int(needed), work)  # type: ignore[arg-type]  # a key of the table above


def solve(
    rows: Rows,
    labels: np.ndarray,
    cost: float = 1.0,
    tolerance: float = 1e-4,
    *,
    memory: int = MEMORY,
    path: Literal["auto", "gram", "direct", "newton"] = "auto",
    gram: np.ndarray | None = None,
    subset: np.ndarray | None = None,
    seed: int = 0,
    max_passes: int = 1000,
    threads: int | None = None,
    remote: Remote | None = None,
    planned_threads: int | None = None,
) -> Solution:
    """Fit one hyperplane per class to rows (n, features), int8, PackedCodes or floats, and labels.

    labels: (n,), one class per row, or (n, classes) int8 with 1 present, 0 absent, -1 a row that does not count for
    this class. Stops when the relative duality gap of every class, computed in float64, is at most `tolerance`. `gram`
    is the Gram matrix of the rows if it exists already, `subset` the indices (or mask) of the rows to train on; the
    others get no alpha. Deterministic for a seed, whatever the number of threads, wherever blocks of the problems are
    solved (`remote`; not by Newton's method). Raises BadInput for fewer than two classes or values that are not
    finite, DoesNotFit as `estimate`, which counts on `planned_threads`.
    """
    from fne_cli.numerics.codes.packed import is_ternary, spans

    began = time.monotonic()
    if cost <= 0 or tolerance <= 0:
        raise BadInput(f"C and the tolerance should be above 0. Found: {cost} and {tolerance}.")
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "f":
        for span in spans(len(rows), 512):  # no mask as large as the rows
            if not np.isfinite(rows[span]).all():
                raise BadInput("The rows should be finite numbers. Found: NaN or infinite values.")
    classes, signs = signs_of(labels, subset)
    # two classes are mirror images of each other: one problem
    mirrored = labels.ndim == 1 and len(classes) == 2
    if mirrored:
        signs = signs[1:]
    if gram is None:
        itemsize = 2 if is_ternary(rows) else 8
        taken = estimate(len(labels), rows.shape[1], len(signs), memory, itemsize, path, planned_threads).path
    else:
        taken = "gram"
    found = _Solver(rows, signs, cost, tolerance, gram, seed, max_passes, threads, remote).solved(taken)
    weights, intercepts, alpha = found.weights, found.intercepts, found.alpha
    objective, gap, passes = found.objective, found.gap, found.passes
    if mirrored:
        weights, intercepts = np.concatenate([-weights, weights]), np.concatenate([-intercepts, intercepts])
        alpha, objective, gap, passes = (np.concatenate([part, part]) for part in (alpha, objective, gap, passes))
    return Solution(
        model=LinearModel(classes, weights, intercepts),
        objective=objective,
        gap=gap,
        support_vectors=(alpha > 0).sum(axis=1),
        passes=passes,
        alpha=alpha,
        path=taken,
        seconds=time.monotonic() - began,
    )


def signs_of(labels: np.ndarray, subset: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The classes of labels as in `solve`, and one problem for each: (classes, n) int8, 1, -1, or 0 for left out.

    Raises BadInput for fewer than two classes.
    """
    if labels.ndim == 2:
        signs = np.where(labels.T == 1, 1, np.where(labels.T == 0, -1, 0)).astype(np.int8)
        if subset is not None:
            left_out = np.ones(len(labels), bool)
            left_out[subset] = False
            signs[:, left_out] = 0
        return np.arange(labels.shape[1]), signs
    from fne_cli.numerics.svm.dual import one_vs_rest

    classes = np.unique(labels if subset is None else labels[subset])
    if len(classes) < 2:
        raise BadInput(f"The SVM should have rows of at least two classes. Found: {len(classes)}.")
    return classes, one_vs_rest(labels, classes, subset)


@dataclass(frozen=True)
class _Solver:
    """What a path is asked for; `gram` is the Gram matrix if it exists already."""

    rows: Rows
    signs: np.ndarray
    cost: float
    tolerance: float
    gram: np.ndarray | None
    seed: int
    max_passes: int
    threads: int | None
    remote: Remote | None

    def solved(self, path: Path) -> Hyperplanes:
        """The hyperplanes by a path."""
        return {"gram": self._by_gram, "direct": self._directly, "newton": self._by_newton}[path]()

    def _by_gram(self) -> Hyperplanes:
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.codes.packed import is_ternary
        from fne_cli.numerics.svm.dual import solve_dual
        from fne_cli.numerics.svm.gram import gram as gram_of
        from fne_cli.numerics.svm.gram import weights_of
        from fne_cli.numerics.svm.remote import solve_dual_remotely

        rows, signs, gram = self.rows, self.signs, self.gram
        with thread_pool(self.threads) as pool:
            if gram is None:
                small = is_ternary(rows) and rows.shape[1] < np.iinfo(np.int16).max
                gram = gram_of(rows, np.int16 if small else None, pool=pool)
            solver = partial(solve_dual, pool=pool)
            if self.remote is not None:
                solver = partial(solve_dual_remotely, self.remote)
            dual = solver(gram, signs, self.cost, self.tolerance, seed=self.seed, max_passes=self.max_passes)
            del gram
            weights, intercepts = weights_of(rows, dual.alpha * signs, pool)
        return Hyperplanes(dual.alpha, dual.objective, dual.dual, dual.passes, weights, intercepts)

    def _by_newton(self) -> Hyperplanes:
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.svm.newton import solve_primal

        with thread_pool(self.threads) as pool:
            return solve_primal(self.rows, self.signs, self.cost, self.tolerance, pool, self.max_passes)

    def _directly(self) -> Hyperplanes:
        from fne_cli.numerics.svm.remote import solve_streamed_remotely
        from fne_cli.numerics.svm.streaming import shuffled, solve_streamed

        if self.remote is not None:
            return solve_streamed_remotely(
                self.remote, self.rows, self.signs, self.cost, self.tolerance,
                seed=self.seed, max_passes=self.max_passes,
            )  # fmt: skip
        return solve_streamed(
            shuffled(self.rows, np.flatnonzero(self.signs.any(axis=0))),
            self.signs,
            self.rows.shape[1],
            self.cost,
            self.tolerance,
            seed=self.seed,
            max_passes=self.max_passes,
            threads=self.threads,
        )
