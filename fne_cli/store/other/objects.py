"""What the entries of a JSON object claim to be, looked at before they are believed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fne_cli.errors import DamagedFile

MOST = 1 << 53  # what a float still counts


class Claim:
    """A JSON object of a file, whose entries are asked for by type. Raises DamagedFile naming file and place."""

    def __init__(self, path: Path, place: str, value: Any) -> None:
        self.path, self.place = path, place
        if not isinstance(value, dict):
            raise DamagedFile(f"{path}: {place} should be a JSON object. Found: {brief(value)}.")
        self.value: dict[str, Any] = value

    def wrong(self, key: str, expected: str, found: Any) -> DamagedFile:
        """The error for an entry that is not as expected."""
        where = f"{self.place}.{key}" if self.place else key
        return DamagedFile(f"{self.path}: {where} should be {expected}. Found: {brief(found)}.")

    def text(self, key: str, default: str | None = None) -> str:
        """A text; null and a missing entry are the default, if there is one."""
        found = self.value.get(key)
        if found is None and default is not None:
            return default
        if not isinstance(found, str):
            raise self.wrong(key, "a text", found)
        return found

    def table(self, key: str) -> dict[str, Any]:
        """An object, {} if it is missing."""
        found = self.value.get(key, {})
        if not isinstance(found, dict):
            raise self.wrong(key, "a JSON object", found)
        return found

    def texts(self, key: str) -> dict[str, str]:
        """An object of texts, {} if it is missing."""
        found = self.table(key)
        if not all(isinstance(value, str) for value in found.values()):
            raise self.wrong(key, "an object of texts", found)
        return found

    def listed(self, key: str) -> list[Any]:
        """An array, [] if it is missing."""
        found = self.value.get(key, [])
        if not isinstance(found, list):
            raise self.wrong(key, "a JSON array", found)
        return found

    def parts(self, key: str) -> Iterator[Claim]:
        """The objects of an array."""
        where = f"{self.place}.{key}" if self.place else key
        for number, value in enumerate(self.listed(key)):
            yield Claim(self.path, f"{where}[{number}]", value)

    def number(self, key: str) -> float | None:
        """A number of 0 or more, None for null and a missing entry."""
        found = self.value.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < MOST:
            raise self.wrong(key, "a number of 0 or more", found)
        return float(found)

    def share(self, key: str) -> float | None:
        """A number in 0 ... 1, None for null and a missing entry."""
        found = self.value.get(key)
        if found is not None and not is_share(found):
            raise self.wrong(key, "a number in 0 ... 1", found)
        return None if found is None else float(found)

    def signed(self, key: str, most: float = 1) -> float | None:
        """A number in -most ... most, None for null and a missing entry."""
        found = self.value.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not -most <= found <= most:
            raise self.wrong(key, f"a number in -{most:g} ... {most:g}", found)
        return float(found)

    def count(self, key: str) -> int:
        """A whole number of 0 or more, 0 for a missing entry."""
        found = self.value.get(key, 0)
        if type(found) is not int or not 0 <= found < MOST:
            raise self.wrong(key, "a whole number of 0 or more", found)
        return found

    def below(self, key: str) -> Path | None:
        """The path of a file below the folder of this one, None for null and a missing entry."""
        found = self.text(key, "")
        if not found:
            return None
        if os.path.isabs(found) or ".." in found.split("/") or "\0" in found:
            raise self.wrong(key, "a path below the folder of this file", found)
        return self.path.parent / found


def is_share(value: Any) -> bool:
    """Whether a value of a JSON file is a number in 0 ... 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def brief(value: Any) -> str:
    """A value of a JSON file in a few words, for an error."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:50] + "..."
