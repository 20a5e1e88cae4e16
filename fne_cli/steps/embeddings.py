"""The embeddings by name, for whoever offers a choice of them."""

from __future__ import annotations

from fne_cli.numerics.embedding import embedding, names, spelled

__all__ = ["names", "spelled", "takes_thresholds"]


def takes_thresholds(name: str) -> bool:
    """Whether an embedding depends on the thresholds of ternary codes."""
    return embedding(name).takes_thresholds
