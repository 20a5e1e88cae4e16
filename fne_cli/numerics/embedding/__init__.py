"""What becomes of activations before a classifier sees them: one module for each kind, found by its name.

Adding one is a module here with a subclass of Embedding or Standardizing that it calls EMBEDDING: `fne evaluate
--embedding NAME`, `fne run`, saved classifiers, FullNetworkEmbedding and the page know it then.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes import HIGH, LOW

PUBLISHED = (LOW, HIGH)


class Embedding(ABC):
    """One kind; an instance is fitted, and knows what it needs of the training rows.

    title: what people call it. dtype: of its rows; int8 rows are codes, and kept in two bits each. arrays: the names of
    what `state` has. takes_thresholds: whether it depends on those of ternary codes.
    """

    title: ClassVar[str]
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)
    arrays: ClassVar[tuple[str, ...]] = ()
    takes_thresholds: ClassVar[bool] = False

    @classmethod
    def fit(cls, rows: Iterable[np.ndarray], features: int, thresholds: tuple[float, float] = PUBLISHED) -> Self:
        """The embedding for training rows, which come in batches of (rows, features) float32 or float16."""
        return cls.of_state({}, thresholds)

    @classmethod
    def of_state(cls, state: Mapping[str, np.ndarray], thresholds: tuple[float, float] = PUBLISHED) -> Self:
        """The same again, of `state` and the thresholds."""
        return cls()

    def state(self) -> dict[str, np.ndarray]:
        """What it knows of the training rows: arrays of float64, (features,) each."""
        return {}

    @abstractmethod
    def encode(self, rows: np.ndarray) -> np.ndarray:
        """(rows, features) float32 or float16 -> the same shape, of `dtype`."""

    @classmethod
    def row_bytes(cls, features: int) -> int:
        """What an encoded row takes in memory."""
        return cls.dtype.itemsize * features


@dataclass(frozen=True)
class Standardizing(Embedding):
    """One that begins with z-scores. mean, std: (features,) float64, of the training rows."""

    mean: np.ndarray
    std: np.ndarray
    thresholds: tuple[float, float] = PUBLISHED

    arrays: ClassVar[tuple[str, ...]] = ("mean", "std")

    @classmethod
    def fit(cls, rows: Iterable[np.ndarray], features: int, thresholds: tuple[float, float] = PUBLISHED) -> Self:
        """As Embedding has it."""
        from fne_cli.numerics.statistics.moments import Sums  # not for those who only want names

        sums = Sums(features)
        for batch in rows:
            sums.add(batch)
        moments = sums.moments()
        return cls(moments.mean, moments.std, thresholds)

    @classmethod
    def of_state(cls, state: Mapping[str, np.ndarray], thresholds: tuple[float, float] = PUBLISHED) -> Self:
        """As Embedding has it."""
        return cls(state["mean"], state["std"], thresholds)

    def state(self) -> dict[str, np.ndarray]:
        """As Embedding has it."""
        return {"mean": self.mean, "std": self.std}


def names() -> tuple[str, ...]:
    """Of all kinds, the published one first."""
    return tuple(sorted((module.name for module in pkgutil.iter_modules(__path__)), key=lambda name: name != "fne"))


def embedding(name: str) -> type[Embedding]:
    """The kind of this name. Raises BadInput for none."""
    if name not in names():
        raise BadInput(f"The embedding should be one of {', '.join(names())}. Found: {name!r}.")
    kind: type[Embedding] = importlib.import_module(f"{__name__}.{name}").EMBEDDING
    return kind
