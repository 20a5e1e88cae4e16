"""Pieces as a text names them, and the one way in which they are written."""

from __future__ import annotations

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import embedding, names
from fne_cli.numerics.embedding.pieces.kinds import Piece, Stage, known

_MOST = 200  # characters of what pieces are read from: names of results and classifiers may come from anywhere
_PIECES = {"l2": "length", "standardized": "z", "clipped": "z,clip:2.5", "raw": ""}
"""Embeddings that are code of their own, and what they are in pieces."""


def parsed(text: str) -> tuple[Piece, ...]:
    """The pieces that a text names. Raises BadInput."""
    if len(text) > _MOST:
        raise BadInput(f"{known()} Found: {len(text):,} characters.")
    parts = [part.strip() for part in text.split(",")]
    behind = next((place for place, part in enumerate(parts) if part.startswith("pca:")), len(parts))
    pieces = tuple(Piece.of(part, text, place > behind) for place, part in enumerate(parts))
    stages = [piece.stage for piece in pieces]
    whitening = [piece for piece in pieces if piece.stage is Stage.WHITENING]
    once = len({(piece.name, piece.stage) for piece in pieces}) == len(pieces) and len(whitening) <= 1
    if not once or stages != sorted(stages):
        raise BadInput(
            "Every piece of an embedding should be there once: z first, equal, aligned and depth behind other pieces, "
            "then length, pca, and one of whiten, within and lda; root, power, clip and length again behind pca. "
            f"Found: {text!r}."
        )
    if whitening and Stage.REDUCTION not in stages:
        raise BadInput(f"The piece {whitening[0].name} should stand behind pca:COUNT. Found: {text!r}.")
    components = next((piece.number for piece in pieces if piece.stage is Stage.REDUCTION), 0.0)
    if whitening and whitening[0].name == "lda" and whitening[0].number > components:
        raise BadInput(f"{whitening[0]} should have at most the components of pca:COUNT before it. Found: {text!r}.")
    return pieces


def spelled_text(text: str) -> str:
    """The one way in which the pieces that a text names are written. Raises BadInput."""
    return ",".join(map(str, parsed(text)))


def reduced_text(before: str, components: int, whitening: str = "", power: float | None = None) -> str:
    """The pieces of a reduction to principal components, at length 1: `before`, then pca, and what stands behind it.

    before: pieces, or the name of an embedding that is made of such. whitening: one of whiten, within and lda, with its
    number. Raises BadInput for an embedding that is reduced already, or cannot be.
    """
    text = before
    if before in names():
        own = getattr(embedding(before), "pieces", None)
        if own is None and before not in _PIECES:
            raise BadInput(f"The embedding before a reduction should be made of pieces. Found: {before}.")
        text = _PIECES[before] if own is None else ",".join(map(str, own))
    if text and any(piece.stage > Stage.ROWS for piece in parsed(text)):
        raise BadInput(f"The embedding before a reduction should have no pca. Found: {before!r}.")
    behind = "" if power is None else f"power:{power!r}"
    return spelled_text(",".join(part for part in (text, f"pca:{components}", whitening, behind, "length") if part))
