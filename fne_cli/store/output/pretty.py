"""JSON for people and programs: an entry per line, but the numbers of a list on one, as the rows of a matrix are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def pretty(value: Any, allow_nan: bool = True) -> bytes:
    """The value as UTF-8 text with a newline at its end. Raises ValueError for NaN unless allowed, TypeError.

    Half characters, which a file's name may have, become the escapes that JSON has for them.
    """
    write = json.JSONEncoder(ensure_ascii=False, allow_nan=allow_nan).encode
    return "".join([*_parts(value, "\n", write), "\n"]).encode("utf-8", "backslashreplace")


def _parts(value: Any, newline: str, write: Any) -> Iterator[str]:
    inner = newline + "  "
    if isinstance(value, Mapping) and value:
        for number, (key, entry) in enumerate(value.items()):
            # the encoder alone knows what a key that is no text becomes
            yield f"{',' if number else '{'}{inner}{write({key: None})[1:-5]}"
            yield from _parts(entry, inner, write)
        yield newline + "}"
    elif isinstance(value, list | tuple) and any(isinstance(entry, list | tuple | Mapping | str) for entry in value):
        for number, entry in enumerate(value):
            yield f"{',' if number else '['}{inner}"
            yield from _parts(entry, inner, write)
        yield newline + "]"
    else:
        yield write(value)
