"""The pieces that there are. Those that have a `change` change values, each row by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np

from fne_cli.errors import BadInput


class Stage(IntEnum):
    """In which order pieces stand."""

    SCORES = 0
    VALUES = 1
    WEIGHTS = 2
    ROWS = 3
    REDUCTION = 4
    WHITENING = 5
    REDUCED = 6


@dataclass(frozen=True)
class Kind:
    """What a piece of a name does: `says`, for people; number: what stands behind its colon, "" for nothing.

    change: changes (rows, features) float32 in place, given the number; of VALUES those of a layer. by_layer: whether
    it matters where layers begin. reduced: whether it may stand behind a reduction, too. most: the largest number;
    whole: whether it is a whole one; usual: the one that is meant, and not written, where none stands there.
    """

    says: str
    stage: Stage
    number: str = ""
    change: Callable[[np.ndarray, float], None] | None = None
    by_layer: bool = False
    reduced: bool = False
    most: int = 1000
    whole: bool = False
    usual: float | None = None

    def form(self, name: str) -> str:
        """How it is written."""
        number = f":{self.number}" if self.number else ""
        return f"{name}[{number}]" if self.usual is not None else name + number


def _root(values: np.ndarray, _: float) -> None:
    values[:] = np.copysign(np.sqrt(np.abs(values)), values)


def _power(values: np.ndarray, exponent: float) -> None:
    values[:] = np.copysign(np.abs(values) ** exponent, values)


def _unit(values: np.ndarray, _: float) -> None:
    norms = np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
    values /= np.where(norms == 0, 1.0, norms)


def _clip(values: np.ndarray, limit: float) -> None:
    values.clip(-limit, limit, out=values)


KINDS = {
    "z": Kind("z-scores, by the moments of the training rows", Stage.SCORES),
    "unit": Kind("each layer of each row divided by its length", Stage.VALUES, change=_unit, by_layer=True),
    "root": Kind("signed roots, sign(x) * sqrt(|x|)", Stage.VALUES, change=_root, reduced=True),
    "power": Kind("signed powers, sign(x) * |x|^EXPONENT", Stage.VALUES, "EXPONENT", _power, reduced=True, most=4),
    "clip": Kind("cut at -LIMIT and LIMIT", Stage.VALUES, "LIMIT", _clip, reduced=True),
    "equal": Kind(
        "layers at equal energy: divided by the root of their training rows' mean squared distance from their mean",
        Stage.WEIGHTS,
        by_layer=True,
    ),
    "aligned": Kind(
        "layers times (alignment of their training rows with the labels)^POWER", Stage.WEIGHTS, "POWER", by_layer=True
    ),
    "depth": Kind("layers times (place / number of layers)^POWER", Stage.WEIGHTS, "POWER", by_layer=True),
    "length": Kind("the whole row divided by its length", Stage.ROWS, change=_unit, reduced=True),
    "pca": Kind(
        "the first COUNT principal components, by mean and axes of the training rows",
        Stage.REDUCTION,
        "COUNT",
        most=1_000_000,
        whole=True,
    ),
    "whiten": Kind(
        "principal components divided by (their standard deviation)^EXPONENT, 1 if none is given",
        Stage.WHITENING,
        "EXPONENT",
        most=1,
        usual=1.0,
    ),
    "within": Kind(
        "principal components times the inverse root of their covariance within classes, shrunk as Ledoit and Wolf say",
        Stage.WHITENING,
    ),
    "lda": Kind(
        "the first COUNT discriminants of principal components: as within, then the axes along which classes differ",
        Stage.WHITENING,
        "COUNT",
        most=1_000_000,
        whole=True,
    ),
}


@dataclass(frozen=True)
class Piece:
    """A piece with its number, 0 for one that has none. reduced: whether it stands behind a reduction."""

    name: str
    number: float = 0.0
    reduced: bool = False

    @property
    def kind(self) -> Kind:
        """What it does."""
        return KINDS[self.name]

    @property
    def stage(self) -> Stage:
        """When it does it."""
        return Stage.REDUCED if self.reduced and self.kind.reduced else self.kind.stage

    @classmethod
    def of(cls, text: str, whole: str, reduced: bool = False) -> Self:
        """The piece that a text names, a part of `whole`, behind a reduction or not. Raises BadInput."""
        name, colon, number = text.partition(":")
        if reduced and name == "unit":
            name = "length"  # there are no layers any more
        if name not in KINDS:
            raise BadInput(f"{known()} Found: {whole!r}.")
        kind = KINDS[name]
        wanted = kind.number
        given = bool(colon) or kind.usual is None
        try:
            value = (float(number) if given else kind.usual or 0.0) if wanted else 0.0
        except ValueError:
            value = math.nan
        fits = not wanted or (0 < value <= kind.most and not (kind.whole and value % 1))
        if (given and bool(colon) != bool(wanted)) or not math.isfinite(value) or not fits:
            number = f"a {'whole ' * kind.whole}number above 0 and up to {kind.most}"
            form = f"{kind.form(name)}, with {number}" if wanted else f"{name} alone"
            raise BadInput(f"A piece of an embedding should be {form}. Found: {text!r} in {whole!r}.")
        return cls(name, value, reduced)

    def __str__(self) -> str:
        written = self.kind.number and self.number != self.kind.usual
        return f"{self.name}:{self.number!r}".removesuffix(".0") if written else self.name


def known() -> str:
    """What an embedding can be, in words."""
    from fne_cli.numerics.embedding import names

    pieces = ", ".join(kind.form(name) for name, kind in KINDS.items())
    return (
        f"The embedding should be one of {', '.join(names())}; or pieces with commas between them, such as "
        f"z,root,depth:3, of {pieces}."
    )
