"""The pieces that there are. A piece of the stage VALUES changes the values of a layer, each row by itself."""

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


@dataclass(frozen=True)
class Kind:
    """What a piece of a name does: `says`, for people; number: what stands behind its colon, "" for nothing.

    change: of VALUES, changes (rows, features of a layer) float32 in place, given the number. by_layer: whether it
    matters where layers begin.
    """

    says: str
    stage: Stage
    number: str = ""
    change: Callable[[np.ndarray, float], None] | None = None
    by_layer: bool = False


def _root(values: np.ndarray, _: float) -> None:
    values[:] = np.copysign(np.sqrt(np.abs(values)), values)


def _unit(values: np.ndarray, _: float) -> None:
    norms = np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
    values /= np.where(norms == 0, 1.0, norms)


def _clip(values: np.ndarray, limit: float) -> None:
    values.clip(-limit, limit, out=values)


KINDS = {
    "z": Kind("z-scores, by the moments of the training rows", Stage.SCORES),
    "unit": Kind("each layer of each row divided by its length", Stage.VALUES, change=_unit, by_layer=True),
    "root": Kind("signed roots, sign(x) * sqrt(|x|)", Stage.VALUES, change=_root),
    "clip": Kind("cut at -LIMIT and LIMIT", Stage.VALUES, "LIMIT", _clip),
    "equal": Kind(
        "layers at equal energy: divided by the root of their training rows' mean squared distance from their mean",
        Stage.WEIGHTS,
        by_layer=True,
    ),
    "depth": Kind("layers times (place / number of layers)^POWER", Stage.WEIGHTS, "POWER", by_layer=True),
}


@dataclass(frozen=True)
class Piece:
    """A piece with its number, 0 for one that has none."""

    name: str
    number: float = 0.0

    @property
    def kind(self) -> Kind:
        """What it does."""
        return KINDS[self.name]

    @classmethod
    def of(cls, text: str, whole: str) -> Self:
        """The piece that a text names, a part of `whole`. Raises BadInput."""
        name, colon, number = text.partition(":")
        if name not in KINDS:
            raise BadInput(f"{known()} Found: {whole!r}.")
        wanted = KINDS[name].number
        try:
            value = float(number) if wanted else 0.0
        except ValueError:
            value = math.nan
        if bool(colon) != bool(wanted) or not math.isfinite(value) or (wanted and not 0 < value <= 1000):
            form = f"{name}:{wanted}, with a number above 0 and up to 1000" if wanted else f"{name} alone"
            raise BadInput(f"A piece of an embedding should be {form}. Found: {text!r} in {whole!r}.")
        return cls(name, value)

    def __str__(self) -> str:
        return f"{self.name}:{self.number!r}".removesuffix(".0") if self.kind.number else self.name


def known() -> str:
    """What an embedding can be, in words."""
    from fne_cli.numerics.embedding import names

    pieces = ", ".join(f"{name}:{kind.number}" if kind.number else name for name, kind in KINDS.items())
    return (
        f"The embedding should be one of {', '.join(names())}; or pieces with commas between them, such as "
        f"z,root,depth:3, of {pieces}."
    )
