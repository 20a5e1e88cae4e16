"""What becomes of activations before a classifier sees them: one module for each kind, found by its name.

Adding one is a module here with a subclass of Embedding or Standardizing that it calls EMBEDDING: `fne evaluate
--embedding NAME`, `fne run`, saved classifiers, FullNetworkEmbedding and the page know it then. What has no name can be
put together of pieces (`pieces`).
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes import HIGH, LOW

if TYPE_CHECKING:
    from fne_cli.numerics.statistics.moments import Moments

PUBLISHED = (LOW, HIGH)


class Embedding(ABC):
    """One kind; an instance is fitted, and knows what it needs of the training rows.

    title: what people call it. dtype: of its rows; int8 rows are codes, and kept in two bits each. arrays: the names of
    what `state` has. takes_thresholds: whether it depends on those of ternary codes. by_layer: whether it matters where
    layers begin. fixed: whether it was fitted beforehand, and `fit` looks at no rows.
    """

    title: ClassVar[str]
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)
    arrays: ClassVar[tuple[str, ...]] = ()
    takes_thresholds: ClassVar[bool] = False
    by_layer: ClassVar[bool] = False
    fixed: ClassVar[bool] = False

    @classmethod
    def fit(
        cls,
        rows: Iterable[np.ndarray],
        widths: Sequence[int],
        thresholds: tuple[float, float] = PUBLISHED,
        labels: np.ndarray | None = None,
    ) -> Self:
        """The embedding for training rows, which come in batches of (rows, features) float32 or float16.

        rows may be gone through several times. widths: how many features each layer has, in the network's order.
        labels: of the rows, (n,) or (n, classes) with 1 for those that a row has; only some kinds look at them.
        """
        return cls.of_state({}, widths, thresholds)

    @classmethod
    def of_state(
        cls, state: Mapping[str, np.ndarray], widths: Sequence[int], thresholds: tuple[float, float] = PUBLISHED
    ) -> Self:
        """The same again, of `state`, the layers' widths and the thresholds."""
        return cls()

    def state(self) -> dict[str, np.ndarray]:
        """What it knows of the training rows: arrays of float64, (features,) each.

        Of one whose rows have other columns than the features, `axes` is (columns, features), `deviations` (columns,).
        """
        return {}

    @abstractmethod
    def encode(self, rows: np.ndarray) -> np.ndarray:
        """(rows, features) float32 or float16 -> (rows, columns) of `dtype`."""

    @classmethod
    def columns(cls, features: int) -> int:
        """How many columns an encoded row has."""
        return features

    @classmethod
    def fit_bytes(cls, rows: int, features: int, widest: int) -> int:
        """What `fit` takes in memory besides a batch, where that is not little. widest: features of a layer at most."""
        return 0

    @classmethod
    def row_bytes(cls, columns: int) -> int:
        """What an encoded row takes in memory."""
        return cls.dtype.itemsize * columns


@dataclass(frozen=True)
class Standardizing(Embedding):
    """One that begins with z-scores. mean, std: (features,) float64, of the training rows."""

    mean: np.ndarray
    std: np.ndarray
    thresholds: tuple[float, float] = PUBLISHED

    arrays: ClassVar[tuple[str, ...]] = ("mean", "std")

    @classmethod
    def fit(
        cls,
        rows: Iterable[np.ndarray],
        widths: Sequence[int],
        thresholds: tuple[float, float] = PUBLISHED,
        labels: np.ndarray | None = None,
    ) -> Self:
        """As Embedding has it."""
        moments = moments_of(rows, sum(widths))
        return cls(moments.mean, moments.std, thresholds)

    @classmethod
    def of_state(
        cls, state: Mapping[str, np.ndarray], widths: Sequence[int], thresholds: tuple[float, float] = PUBLISHED
    ) -> Self:
        """As Embedding has it."""
        return cls(state["mean"], state["std"], thresholds)

    def state(self) -> dict[str, np.ndarray]:
        """As Embedding has it."""
        return {"mean": self.mean, "std": self.std}


def moments_of(rows: Iterable[np.ndarray], features: int) -> Moments:
    """The moments of rows that come in batches of (rows, features) float32 or float16, however they are cut."""
    from fne_cli.numerics.statistics.moments import Sums  # not for those who only want names

    sums = Sums(features)
    for batch in rows:
        sums.add(batch)
    return sums.moments()


def names() -> tuple[str, ...]:
    """Of all kinds, the published one first."""
    own = (module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return tuple(sorted(own, key=lambda name: name != "fne"))


def embedding(name: str) -> type[Embedding]:
    """The kind of this name, or of these pieces. Raises BadInput for none."""
    if name in names():
        kind: type[Embedding] = importlib.import_module(f"{__name__}.{name}").EMBEDDING
    else:
        kind = importlib.import_module(f"{__name__}.pieces").composed(name)
    return kind


def fixed(fitted: Embedding) -> type[Embedding]:
    """A kind that is always this one, whatever rows it is fitted to."""
    own = type(fitted)
    return type(
        "Fixed",
        (own,),
        {
            "fixed": True,
            "fit": classmethod(lambda cls, *rows, **labels: fitted),
            "fit_bytes": classmethod(lambda cls, *sizes: 0),
            "__module__": __name__,
        },
    )


def spelled(name: str) -> str:
    """The one way in which an embedding is written. Raises BadInput for none."""
    pieces: str = name if name in names() else importlib.import_module(f"{__name__}.pieces").spelled_text(name)
    return pieces


def arrays_of(name: str) -> tuple[str, ...] | None:
    """The names of what an embedding knows of the training rows; None if there is no such embedding."""
    try:
        return embedding(name).arrays if name == spelled(name) else None
    except BadInput:
        return None
