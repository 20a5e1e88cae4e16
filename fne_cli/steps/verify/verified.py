"""What was found of a file that was read whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verified:
    """What was read, and one line for each thing that is wrong. rows: how many of `unit` it has."""

    path: Path
    kind: str
    rows: int
    bytes: int
    problems: list[str]
    unit: str = "rows"
