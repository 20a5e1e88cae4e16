"""Embeddings put together of pieces: what happens to values, one after the other, and then the weights of layers.

`z,root,depth:3` is: z-scores, their signed roots, layers weighted by (place / number of layers)^3. Named combinations
are modules beside this one that call `composed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, ClassVar, Self

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import PUBLISHED, Embedding, moments_of
from fne_cli.numerics.embedding.pieces.kinds import Piece, Stage, known

_MOST = 200  # characters of what pieces are read from: names of results and classifiers may come from anywhere


@dataclass(frozen=True)
class Composed(Embedding):
    """One made of `pieces`, a subclass for each combination.

    widths: features of each layer. mean, std: of the training rows if there are z-scores, else empty. scale: what every
    feature is multiplied by at the end if layers are weighed, else empty. All (features,) float64.
    """

    widths: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray
    scale: np.ndarray

    pieces: ClassVar[tuple[Piece, ...]] = ()

    @classmethod
    def fit(
        cls, rows: Iterable[np.ndarray], widths: Sequence[int], thresholds: tuple[float, float] = PUBLISHED
    ) -> Self:
        """As Embedding has it. Rows are gone through once for z-scores, and once more for equal energy."""
        features, state = sum(widths), {}
        if "mean" in cls.arrays:
            moments = moments_of(rows, features)
            state = {"mean": moments.mean, "std": moments.std}
        if "scale" not in cls.arrays:
            return cls.of_state(state, widths)
        plain = cls.of_state({**state, "scale": np.ones(features)}, widths)
        layers = np.ones(len(widths))
        for piece in cls.pieces:
            if piece.name == "equal":
                encoded = moments_of((plain.encode(batch) for batch in rows), features)
                energy = np.array([float((encoded.std[span] ** 2).sum()) for span in spans_of(widths)])
                layers *= 1 / np.sqrt(np.where(energy > 0, energy, 1.0))
            elif piece.name == "depth":
                layers *= (np.arange(1, len(widths) + 1) / len(widths)) ** piece.number
        return cls.of_state({**state, "scale": np.repeat(layers, widths)}, widths)

    @classmethod
    def of_state(
        cls, state: Mapping[str, np.ndarray], widths: Sequence[int], thresholds: tuple[float, float] = PUBLISHED
    ) -> Self:
        """As Embedding has it."""
        return cls(tuple(widths), *(state.get(name, np.empty(0)) for name in ("mean", "std", "scale")))

    def state(self) -> dict[str, np.ndarray]:
        """As Embedding has it."""
        return {name: getattr(self, name) for name in self.arrays}

    def __reduce__(self) -> tuple[Any, ...]:
        """Its class is made when it is asked for: pickle and copy find it by its pieces."""
        return _of_pieces, (",".join(map(str, self.pieces)), self.state(), self.widths)

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        values = rows.astype(np.float32)
        for piece in self.pieces:
            if piece.name == "z":
                from fne_cli.numerics.codes.ternary import Scores  # compiled: who asks for a title need not wait

                Scores(self.mean, self.std).write(rows, values)
            elif piece.kind.change is not None:
                for span in spans_of(self.widths):
                    piece.kind.change(values[:, span], piece.number)
        if "scale" in self.arrays:
            values *= self.scale.astype(np.float32)
        return values


def _of_pieces(text: str, state: Mapping[str, np.ndarray], widths: Sequence[int]) -> Composed:
    return composed(text).of_state(state, widths)


def spans_of(widths: Sequence[int]) -> list[slice]:
    """The columns of each layer."""
    ends = list(accumulate(widths))
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


def parsed(text: str) -> tuple[Piece, ...]:
    """The pieces that a text names. Raises BadInput."""
    if len(text) > _MOST:
        raise BadInput(f"{known()} Found: {len(text):,} characters.")
    pieces = tuple(Piece.of(part.strip(), text) for part in text.split(","))
    names = [piece.name for piece in pieces]
    stages = [piece.kind.stage for piece in pieces]
    if len(set(names)) < len(names) or stages != sorted(stages):
        raise BadInput(
            f"Every piece of an embedding should be there once, z first, equal and depth last. Found: {text!r}."
        )
    return pieces


@lru_cache(maxsize=64)
def composed(text: str, title: str = "") -> type[Composed]:
    """The embedding of the pieces that a text names; the same for the same text. Raises BadInput."""
    pieces = parsed(text)
    arrays: tuple[str, ...] = ()
    if any(piece.name == "z" for piece in pieces):
        arrays += ("mean", "std")
    if any(piece.kind.stage is Stage.WEIGHTS for piece in pieces):
        arrays += ("scale",)
    own = {
        "pieces": pieces,
        "title": title or spelled_text(text),
        "arrays": arrays,
        "by_layer": any(piece.kind.by_layer for piece in pieces),
        "__module__": __name__,
    }
    return type("Composed", (Composed,), own)


def spelled_text(text: str) -> str:
    """The one way in which the pieces that a text names are written. Raises BadInput."""
    return ",".join(map(str, parsed(text)))
