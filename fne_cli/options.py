"""Named values of a command line or a file as objects: a frozen dataclass takes its own. A leaf like ``errors``."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, cast

_Options = TypeVar("_Options")


def taken(kind: type[_Options], values: dict[str, Any]) -> _Options:
    """What the values say of a dataclass of options; they are the rest then."""
    names = [field.name for field in dataclasses.fields(cast("type[Any]", kind))]
    return kind(**{name: values.pop(name) for name in names if name in values})
