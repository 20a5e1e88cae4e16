"""Images that are the same picture by their bytes: what must not stand in training and test at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fne_cli.store.many.known import identities


def pictures(contents: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """(n,) int64: images with the same bytes, and the same box in them, have the same number; -1 if never read.

    contents: the SHA-256 of each image's bytes, "" for none. names: their ids.
    """
    known: dict[tuple[str, str], int] = {}
    numbers = (known.setdefault(one, len(known)) if one[0] else -1 for one in identities(contents, names))
    return np.fromiter(numbers, np.int64, len(names))


def copies(pictures: np.ndarray, images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Those of `images` that are the same picture as one of `others`, both numbers of images, (m,)."""
    own = pictures[images]
    return images[np.isin(own, pictures[others]) & (own >= 0)]


def original(pictures: np.ndarray, copy: int, others: np.ndarray) -> int:
    """The first of `others` that is the same picture as an image of which `copies` said so."""
    return int(others[np.flatnonzero(pictures[others] == pictures[copy])[0]])
