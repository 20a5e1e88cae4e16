"""Shares of every word in a descriptor, from logits."""

from __future__ import annotations

import numpy as np

BLOCK = 1024
"""Rows that are treated at once: their shares stay in the processor's cache. Fixed, as sums are rounded by blocks."""


def to_shares(logits: np.ndarray) -> None:
    """(n, words) logits become shares, in place: non-negative, and 1 in each row together."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)


def by_atom(atoms: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The rows of each atom that has any, BLOCK of them at most at a time: (atom, row numbers)."""
    return [
        (int(atom), rows[start : start + BLOCK])
        for atom in np.unique(atoms)
        for rows in [np.flatnonzero(atoms == atom)]
        for start in range(0, len(rows), BLOCK)
    ]
