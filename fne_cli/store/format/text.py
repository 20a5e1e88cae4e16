"""JSON as it is written, and as it is read with distrust. Without NumPy: who is up to date need not wait for it."""

from __future__ import annotations

import json
import math
from typing import Any

_DEPTH = 32
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON that depends on the content alone: sorted keys, no spaces, characters as they are."""
    return _CANONICAL.encode(value)


class NoNumber(ValueError):
    """What some programs write as a number into JSON, and JSON does not have: NaN, Infinity, one beyond float64."""


def parse_json(text: str | bytes) -> Any:
    """JSON as fne writes it: finite numbers, no deep nesting. Raises ValueError, of numbers that are none NoNumber."""

    def refuse(constant: str) -> Any:
        raise NoNumber(f"{constant[:40]} is not a number")

    def number(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else refuse(digits)

    try:
        value = json.loads(text, parse_constant=refuse, parse_float=number)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return value
    raise ValueError("JSON that is nested too deeply")
