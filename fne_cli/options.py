"""Named values of a command line or a file as objects, and the names that they mean. A leaf like ``errors``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeVar, cast

_Options = TypeVar("_Options")


def taken(kind: type[_Options], values: dict[str, Any]) -> _Options:
    """What the values say of a dataclass of options; they are the rest then."""
    names = [field.name for field in dataclasses.fields(cast("type[Any]", kind))]
    return kind(**{name: values.pop(name) for name in names if name in values})


def meant(pattern: str, names: Iterable[str]) -> set[str]:
    """The names that a pattern means: the one that is exactly it, or else those that the glob matches."""
    there = set(names)
    return {pattern} if pattern in there else {name for name in there if fnmatchcase(name, pattern)}
