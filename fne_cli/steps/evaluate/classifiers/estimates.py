"""What a fit will take, whichever the classifier: known before there are rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fne_cli.errors import DoesNotFit
from fne_cli.numerics.discriminant import centroid, lda
from fne_cli.numerics.logistic import solver as logistic
from fne_cli.numerics.neighbours import model as neighbours
from fne_cli.numerics.ridge import solver as ridge
from fne_cli.numerics.svm import solver as svm
from fne_cli.steps.evaluate.options import ClassifierOptions

EACH, VALUE = 0.012, 1.1e-8
"""Seconds of a fit, and of a value of the rows that it reads, beside what the solver takes.

Measured as the processor's time of 40 fits of 3,104 features and 300 of 207 on average, on 1,797 rows each.
"""


def beside(rows: int, features: int) -> float:
    """Seconds of one fit beside its solver: so many rows are read, encoded and classified."""
    return EACH + VALUE * rows * features


class Estimate(Protocol):
    """The path of a fit, and its bytes besides the rows."""

    @property
    def path(self) -> str:
        """What it is called in results."""

    @property
    def bytes(self) -> int:
        """At the peak."""

    def seconds(self) -> float:
        """About how long it takes on all processors."""


@dataclass(frozen=True)
class Sizes:
    """Of a fit: rows, features and classes, and how many rows an image has. ternary: rows are codes.

    several: an image may have several labels. patterns: in how many ways classes ignore rows.
    asked: how many rows are classified; as many as there are if it is not known.
    """

    rows: int
    features: int
    classes: int
    crops: int = 1
    ternary: bool = False
    several: bool = False
    asked: int | None = None
    patterns: int = 1


def estimate(how: ClassifierOptions, sizes: Sizes, memory: int, threads: int | None = None) -> Estimate | None:
    """What one fit takes at most; None for scikit-learn's SVM. Raises DoesNotFit with the numbers."""
    rows, features, classes = sizes.rows, sizes.features, sizes.classes
    packed = 0.25 if sizes.ternary else 4.0
    match how.kind:
        case "ridge":
            count = len(how.penalties)
            found: Estimate | None = ridge.estimate(
                rows, features, classes, count, memory, packed, sizes.crops, sizes.patterns, threads
            )
        case "lda":
            found = lda.estimate(rows, features, classes, memory, packed, classes if sizes.several else 1)
        case "logistic":
            found = logistic.estimate(rows, features, classes, memory, packed)
        case "knn":
            asked = rows if sizes.asked is None else sizes.asked
            found = neighbours.estimate(rows, asked, features, classes, how.neighbours, memory, sizes.ternary)
        case "centroid":
            found = centroid.estimate(rows, features, classes, memory)
        case _ if how.solver == "liblinear":
            found = None
            needed = 3 * 8 * rows * features
            if needed > memory:
                raise DoesNotFit(
                    f"scikit-learn's LinearSVC makes about three float64 copies of {rows:,} rows of {features:,} "
                    f"features: {needed / 2**30:.1f} GiB of {memory / 2**30:.1f} GiB. Leave --solver out."
                )
        case _:
            found = svm.estimate(rows, features, classes, memory, 2 if sizes.ternary else 8, threads=threads)
    return found
