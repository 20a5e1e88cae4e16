"""The last decomposition, for embeddings that take other numbers of its axes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fne_cli.numerics.embedding.pieces.principal import Decomposition

_MOST = 1 << 28  # bytes of vectors

_kept: ContextVar[dict[Hashable, Decomposition] | None] = ContextVar("kept", default=None)


@contextmanager
def keeping() -> Iterator[None]:
    """While it is open, the last decomposition stays, of up to 256 MiB."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def known(key: Hashable) -> Decomposition | None:
    """The last decomposition, if it was that of this key, and is kept."""
    return (_kept.get() or {}).get(key)


def keep(key: Hashable, found: Decomposition) -> None:
    """Keep a decomposition in the place of the last one, if they are kept, and the key is not None."""
    kept = _kept.get()
    if kept is not None:
        kept.clear()
        if key is not None and 8 * found.vectors.shape[0] ** 2 <= _MOST:
            kept[key] = found
