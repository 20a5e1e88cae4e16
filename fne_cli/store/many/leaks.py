"""Images that stand in files more than once: by their bytes, whatever they are called and labelled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from fne_cli.store.many.joined import BLOCK
from fne_cli.store.many.known import identities, key_of


class ImageTable(Protocol):
    """An image table that is read in blocks, as JoinedFiles."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Entries start ... stop - 1 of a column, text as bytes of UTF-8."""
        ...


def first_of_same(files: ImageTable) -> np.ndarray:
    """(n,) int64: for each image the first one of the same bytes and box; itself where there is no other before it.

    By the SHA-256 of the image tables; an image that was never read has none, and is like no other. Goes through the
    tables twice and holds 24 bytes per image, and the names of the contents that do occur twice.
    """
    count = len(files)
    first = np.arange(count)
    keys = np.zeros(count, np.uint64)
    read = np.zeros(count, bool)
    for start, contents in _blocks(files):
        stop = start + len(contents)
        keys[start:stop] = np.fromiter((key_of(*one) for one in contents), np.uint64, len(contents))
        read[start:stop] = [bool(content) for content, _ in contents]
    order = np.argsort(keys, kind="stable")
    alike = keys[order[1:]] == keys[order[:-1]]
    twice = np.zeros(count, bool)
    twice[order[1:][alike]] = twice[order[:-1][alike]] = True
    twice &= read
    if not twice.any():
        return first
    seen: dict[tuple[str, str], int] = {}
    for start, contents in _blocks(files, twice):  # a key of 64 bits may be that of two contents
        for place in np.flatnonzero(twice[start : start + len(contents)]).tolist():
            first[start + place] = seen.setdefault(contents[place], start + place)
    return first


def _blocks(files: ImageTable, wanted: np.ndarray | None = None) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Where a block of the image table starts, and what its images are known by; only blocks with some of `wanted`."""
    for start in range(0, len(files), BLOCK):
        if wanted is not None and not wanted[start : start + BLOCK].any():
            continue
        columns = (files.column(name, start, start + BLOCK).tolist() for name in ("sha256", "path"))
        contents, names = ([value.decode() for value in column] for column in columns)
        yield start, list(identities(contents, names))
