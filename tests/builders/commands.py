"""How a command ended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """Its exit code, and what it printed."""

    code: int
    out: str
    err: str
