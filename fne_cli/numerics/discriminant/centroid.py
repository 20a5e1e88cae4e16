"""The nearest mean: a row is of the class whose mean it makes the smallest angle with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import Rows
from fne_cli.numerics.ridge.products import BLOCK, Chosen
from fne_cli.numerics.svm.solver import MEMORY, Costed, LinearModel, signs_of


@dataclass(frozen=True)
class CentroidEstimate(Costed):
    """What a fit will take: bytes besides the rows at the peak, and floating-point operations."""

    bytes: int
    operations: float
    path: str = "centroid"


def estimate(rows: int, features: int, classes: int, memory: int = MEMORY) -> CentroidEstimate:
    """What `centroids` will do with (rows, features) rows. Raises DoesNotFit with the numbers if that is too much."""
    needed = 8 * (5 * classes * features + 3 * min(rows, BLOCK) * (features + classes))
    if needed > memory:
        raise DoesNotFit(
            f"The means of {classes:,} classes and {features:,} features should fit into {memory / 2**20:,.1f} MiB. "
            f"They need {needed / 2**20:,.1f} MiB. Allow more memory."
        )
    return CentroidEstimate(int(needed), 4.0 * rows * features * classes)


def centroids(
    rows: Rows,
    labels: np.ndarray,
    *,
    subset: np.ndarray | None = None,
    memory: int = MEMORY,
    threads: int | None = None,
) -> LinearModel:
    """The mean of each class's rows, these of length 1, as a hyperplane of length 1 through the origin.

    rows (n, features) and labels as `svm.solve` takes them; subset: ascending numbers of those to learn from. The
    decision value is the cosine of the angle to the mean, times the length of the row. With several labels it is that
    of the rows of a class minus that of the rows without it; a class that lacks either is 0. Raises BadInput for fewer
    than two classes, DoesNotFit as `estimate`.
    """
    numbers = np.arange(len(labels)) if subset is None else subset
    known = labels[numbers]
    if known.ndim == 1 and len(np.unique(known)) < 2:
        raise BadInput(f"The classifier should have rows of at least two classes. Found: {len(np.unique(known))}.")
    classes, signs = signs_of(known)
    estimate(len(numbers), rows.shape[1], len(classes), memory)
    asked = (1, -1) if known.ndim == 2 else (1,)
    members = np.concatenate([signs == one for one in asked]).T

    def shares(span: slice, values: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(np.einsum("nd,nd->n", values, values))[:, None]
        if not np.isfinite(lengths).all():
            raise BadInput("The rows should be finite numbers. Found: NaN or infinite values.")
        return np.divide(members[span], lengths, out=np.zeros(members[span].shape), where=lengths > 0)

    with thread_pool(threads) as pool:
        sums = Chosen(rows, numbers, 1, pool).gathered(np.zeros(rows.shape[1]), shares).T
    lengths = np.sqrt(np.einsum("kd,kd->k", sums, sums))[:, None]
    means = np.divide(sums, lengths, out=np.zeros(sums.shape), where=lengths > 0)
    if known.ndim == 2:
        both = (signs == 1).any(axis=1) & (signs == -1).any(axis=1)
        means = np.where(both[:, None], means[: len(classes)] - means[len(classes) :], 0.0)
    return LinearModel(classes, means, np.zeros(len(classes)))
