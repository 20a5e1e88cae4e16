"""The linear SVM of the method: one-vs-rest, squared hinge, L2, intercept as a constant feature 1 (LinearSVC).

`solve` is the way in; `estimate` says beforehand which path it takes and what that costs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.svm.totals import Totals
from fne_cli.numerics.svm.ways import Path, Solver

if TYPE_CHECKING:
    from fne_cli.numerics.codes.packed import Rows
    from fne_cli.numerics.svm.remote import Remote

FEW_FEATURES, FEW_ROWS, ROWS_TO_COLUMNS = 128, 4096, 4
"""Measured: up to so many features Newton's method, up to so many rows the Gram matrix is faster than streaming; from
so many rows for each feature on the rows themselves are faster than their Gram matrix."""

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

    The operations assume 25 passes (gram, rows), 50 (direct) or 8 steps (newton), and that a third of the rows has to
    be looked at; it depends on how the classes overlap.
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
    its passes are the cheaper ones; each only if it fits into `memory` bytes. Where a Gram matrix of rows that are no
    codes would be much larger than they are, its steps are made on the rows themselves. Raises DoesNotFit with the
    numbers if the chosen path needs more than `memory`.
    """
    from fne_cli.machine import processors
    from fne_cli.numerics.svm import gram, passes, streaming

    state = 8 * classes * (3 * rows + 2 * features)
    gram_bytes = (itemsize if itemsize < 8 else 12) * rows * (rows + gram.COLUMNS) + state + 4 * 32 * rows * 8
    direct_bytes = (
        state + 12 * classes * features + 2 * 8 * streaming.BLOCK * features + 2048 * features * max(1, itemsize // 2)
    )
    rows_bytes = state + 8 * rows * (features + 1) + 2 * 8 * classes * rows
    newton_bytes = 8 * rows * (1 + (threads or processors())) * (features + 1) + 3 * 8 * classes * rows
    if path == "auto":
        if features <= FEW_FEATURES and rows > 2 * features and newton_bytes <= memory:
            path = "newton"
        else:
            path = "gram" if gram_bytes <= memory and rows <= max(2 * features, FEW_ROWS) else "direct"
            if path == "gram" and itemsize > 2 and rows >= ROWS_TO_COLUMNS * (features + 1):
                path = "rows"
    needed, work = {
        "newton": (newton_bytes, 8.0 * classes * rows * features * (features + 8)),
        "gram": (
            gram_bytes,
            rows * rows * features
            + 4.0 * classes * rows * features
            + 50.0 / 3 * classes * rows * (rows + passes.BLOCK),
        ),
        "rows": (rows_bytes, (8.0 + 4 * 25 / 3) * classes * rows * features),
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
    path: Literal["auto", "gram", "rows", "direct", "newton"] = "auto",
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
    found = Solver(rows, signs, cost, tolerance, gram, seed, max_passes, threads, remote).solved(taken)
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
