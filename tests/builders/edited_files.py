"""Files of the format that somebody has changed, and sealed again: only what they claim can give them away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from fne_cli.store.format.seal import seal, unseal


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """The open file, to be changed."""
    unseal(path)
    with h5py.File(path, "r+", locking=False) as file:
        yield file
    seal(path)
