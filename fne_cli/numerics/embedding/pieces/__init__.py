"""Embeddings put together of pieces: what happens to values, the weights of layers, and then a reduction.

`z,root,depth:3` is: z-scores, their signed roots, layers weighted by (place / number of layers)^3; with `pca:256`
behind it, the first 256 principal components of that. Named combinations are modules beside this one that call
`composed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import PUBLISHED, Embedding, moments_of
from fne_cli.numerics.embedding.pieces.kinds import Piece, Stage
from fne_cli.numerics.embedding.pieces.text import parsed, spelled_text

if TYPE_CHECKING:
    from fne_cli.numerics.statistics.moments import Moments

__all__ = ["Composed", "composed", "parsed", "spans_of", "spelled_text"]

_ARRAYS = ("mean", "std", "scale", "centre", "axes", "deviations")


@dataclass(frozen=True)
class Composed(Embedding):
    """One made of `pieces`, a subclass for each combination.

    widths: features of each layer. mean, std: of the training rows if there are z-scores; scale: what every feature is
    multiplied by if layers are weighed; centre: the mean of these rows before a reduction, all (features,). axes:
    (columns, features) of the reduction; deviations: (columns,), what its columns are divided by. All float64, and
    empty if there are none. explained: (components,), the share of their variance that each principal component has,
    of one that was fitted in this process; empty of others.
    """

    widths: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray
    scale: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    explained: np.ndarray = field(default_factory=lambda: np.empty(0), compare=False)

    pieces: ClassVar[tuple[Piece, ...]] = ()
    reduction: ClassVar[int] = 0
    discriminants: ClassVar[int] = 0
    classwise: ClassVar[str] = ""

    @classmethod
    def fit(
        cls,
        rows: Iterable[np.ndarray],
        widths: Sequence[int],
        thresholds: tuple[float, float] = PUBLISHED,
        labels: np.ndarray | None = None,
    ) -> Self:
        """As Embedding has it. Rows are gone through once for z-scores, once for every weight, thrice for a reduction.

        Raises BadInput if the rows have fewer principal components than are wanted, or no labels where they are needed.
        """
        features, state = sum(widths), {}
        if "mean" in cls.arrays:
            moments = moments_of(rows, features)
            state = {"mean": moments.mean, "std": moments.std}
        if "scale" in cls.arrays:
            state["scale"] = cls._scale(rows, widths, state, labels)
        if not cls.reduction:
            return cls.of_state(state, widths)
        reduced, explained = cls._reduced(rows, features, cls.of_state(state, widths), labels)
        return replace(cls.of_state(state | reduced, widths), explained=explained)

    @classmethod
    def _scale(
        cls,
        rows: Iterable[np.ndarray],
        widths: Sequence[int],
        state: Mapping[str, np.ndarray],
        labels: np.ndarray | None,
    ) -> np.ndarray:
        features, layers = sum(widths), np.ones(len(widths))
        plain = cls.of_state({**state, "scale": np.ones(features)}, widths)
        for piece in cls.pieces:
            if piece.name == "equal":
                encoded = moments_of((plain.changed(batch) for batch in rows), features)
                energy = np.array([float((encoded.std[span] ** 2).sum()) for span in spans_of(widths)])
                layers *= 1 / np.sqrt(np.where(energy > 0, energy, 1.0))
            elif piece.name == "depth":
                layers *= (np.arange(1, len(widths) + 1) / len(widths)) ** piece.number
            elif piece.name == "aligned":
                layers *= cls._aligned(lambda: (plain.changed(batch) for batch in rows), widths, labels) ** piece.number
        return np.repeat(layers, widths)

    @staticmethod
    def _aligned(
        batches: Callable[[], Iterable[np.ndarray]], widths: Sequence[int], labels: np.ndarray | None
    ) -> np.ndarray:
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.embedding.pieces.aligned import alignments

        if labels is None:
            raise _without_labels("aligned")
        with thread_pool() as pool:
            return alignments(batches, labels, spans_of(widths), pool)

    @classmethod
    def _reduced(
        cls, rows: Iterable[np.ndarray], features: int, plain: Self, labels: np.ndarray | None
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Centre, axes and maybe deviations; and the share of the variance that each component explains."""
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.embedding.pieces import classwise, kept, principal

        if (by_class := cls.classwise) and labels is None:
            raise _without_labels(by_class)

        def batches() -> Iterable[np.ndarray]:
            return (plain.unreduced(batch) for batch in rows)

        # rows that can be told from others have an identity; other numbers of axes begin with the same decomposition
        identity = getattr(rows, "identity", None)
        before = tuple(str(piece) for piece in cls.pieces if piece.stage < Stage.REDUCTION)
        key = None if identity is None else (identity, plain.widths, before)
        with thread_pool() as pool:
            found = kept.known(key)
            if found is None:
                moments: Moments = moments_of(batches(), features)
                found = principal.decomposed(batches, moments.count, moments.mean, pool)
                kept.keep(key, found)
            axes = found.axes(cls.reduction, batches, pool)
            if by_class and labels is not None:
                axes = classwise.turned(axes, found.centre, batches, labels, cls.discriminants, by_class, pool)
            state = {"centre": found.centre, "axes": axes}
        if "deviations" in cls.arrays:
            exponent = next(piece.number for piece in cls.pieces if piece.name == "whiten")
            deviations = found.deviations(cls.reduction)
            state["deviations"] = deviations if exponent == 1 else deviations**exponent
        return state, found.squares[: cls.reduction] / found.squares.sum()

    @classmethod
    def of_state(
        cls, state: Mapping[str, np.ndarray], widths: Sequence[int], thresholds: tuple[float, float] = PUBLISHED
    ) -> Self:
        """As Embedding has it."""
        return cls(tuple(widths), *(state.get(name, np.empty(0)) for name in _ARRAYS))

    def state(self) -> dict[str, np.ndarray]:
        """As Embedding has it."""
        return {name: getattr(self, name) for name in self.arrays}

    def __reduce__(self) -> tuple[Any, ...]:
        """Its class is made when it is asked for: pickle and copy find it by its pieces."""
        return _of_pieces, (",".join(map(str, self.pieces)), self.state(), self.widths)

    @classmethod
    def columns(cls, features: int) -> int:
        """As Embedding has it."""
        return cls.discriminants or cls.reduction or features

    @classmethod
    def fit_bytes(cls, rows: int, features: int, widest: int) -> int:
        """As Embedding has it."""
        return max(cls._reduction_bytes(rows, features), cls._aligned_bytes(widest))

    @classmethod
    def _aligned_bytes(cls, widest: int) -> int:
        if not any(piece.name == "aligned" for piece in cls.pieces):
            return 0
        from fne_cli.numerics.embedding.pieces.aligned import bytes_of  # compiled: who asks for a title need not wait

        return bytes_of(widest)

    @classmethod
    def _reduction_bytes(cls, rows: int, features: int) -> int:
        if not cls.reduction:
            return 0
        from fne_cli.machine import processors
        from fne_cli.numerics.embedding.pieces.principal import bytes_of

        more = 8 * cls.reduction * (rows + 6 * cls.reduction + features) if cls.classwise else 0
        return bytes_of(rows, features, cls.reduction, processors()) + more

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """As Embedding has it."""
        values = self.unreduced(rows)
        if self.reduction:
            from fne_cli.numerics.embedding.pieces.principal import projected

            found = projected(values, self.centre, self.axes)
            values = (found / self.deviations if "deviations" in self.arrays else found).astype(np.float32)
        for piece in self.pieces:
            if piece.stage is Stage.REDUCED and piece.kind.change is not None:
                piece.kind.change(values, piece.number)
        return values

    def unreduced(self, rows: np.ndarray) -> np.ndarray:
        """The rows before a reduction, (rows, features) float32."""
        values = self.changed(rows)
        if "scale" in self.arrays:
            values *= self.scale.astype(np.float32)
        for piece in self.pieces:
            if piece.stage is Stage.ROWS and piece.kind.change is not None:
                piece.kind.change(values, piece.number)
        return values

    def changed(self, rows: np.ndarray) -> np.ndarray:
        """The values of every layer before the layers are weighed, (rows, features) float32."""
        values = rows.astype(np.float32)
        for piece in self.pieces:
            if piece.stage is Stage.SCORES:
                from fne_cli.numerics.codes.ternary import Scores  # compiled: who asks for a title need not wait

                Scores(self.mean, self.std).write(rows, values)
            elif piece.stage is Stage.VALUES and piece.kind.change is not None:
                for span in spans_of(self.widths):
                    piece.kind.change(values[:, span], piece.number)
        return values


def _without_labels(piece: str) -> BadInput:
    return BadInput(
        f"The piece {piece} of an embedding should have a label of every training row. Found: rows without one."
    )


def _of_pieces(text: str, state: Mapping[str, np.ndarray], widths: Sequence[int]) -> Composed:
    return composed(text).of_state(state, widths)


def spans_of(widths: Sequence[int]) -> list[slice]:
    """The columns of each layer."""
    ends = list(accumulate(widths))
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


@lru_cache(maxsize=64)
def composed(text: str, title: str = "") -> type[Composed]:
    """The embedding of the pieces that a text names; the same for the same text. Raises BadInput."""
    pieces = parsed(text)
    stages = {piece.stage for piece in pieces}
    arrays: tuple[str, ...] = ()
    if Stage.SCORES in stages:
        arrays += ("mean", "std")
    if Stage.WEIGHTS in stages:
        arrays += ("scale",)
    if Stage.REDUCTION in stages:
        arrays += ("centre", "axes")
    by_class = next((piece for piece in pieces if piece.name in ("within", "lda")), None)
    if Stage.WHITENING in stages and by_class is None:
        arrays += ("deviations",)
    own = {
        "pieces": pieces,
        "title": title or spelled_text(text),
        "arrays": arrays,
        "reduction": next((int(piece.number) for piece in pieces if piece.stage is Stage.REDUCTION), 0),
        "classwise": by_class.name if by_class is not None else "",
        "discriminants": int(by_class.number) if by_class is not None else 0,
        "by_layer": any(piece.kind.by_layer for piece in pieces),
        "__module__": __name__,
    }
    return type("Composed", (Composed,), own)
