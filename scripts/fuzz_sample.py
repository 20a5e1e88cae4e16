"""A good file that fuzz_files.py spoils."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A good file. read: what a command makes of the file, as a digest. guarded: whether each of its bits is."""

    kind: str
    path: Path
    read: Callable[[Path], str]
    spoil: Callable[[random.Random, Path, Path], bool]  # (chance, good file, scratch); True: changed behind the guard
    guarded: bool = False


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def simple(function: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, Path, Path], bool]:
    """What spoils a file, of what spoils its bytes."""

    def spoil(chance: random.Random, good: Path, scratch: Path) -> bool:
        scratch.write_bytes(function(chance, good.read_bytes()))
        return True

    return spoil
