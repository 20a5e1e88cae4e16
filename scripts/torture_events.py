"""What a process asks of the file system through Python, one event after the other."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "os.link"}
CALLS = ("fsync", "fdatasync", "write", "pwrite", "ftruncate")


def at_event(folder: Path, count: Callable[[], None]) -> None:
    """Have this process call `count` before everything that it asks of the file system below a folder."""
    below = str(folder)

    def look(event: str, details: tuple[Any, ...]) -> None:
        if event not in EVENTS or (event == "open" and not _writes(details)):
            return
        with contextlib.suppress(TypeError, OSError):
            if os.path.abspath(os.fsdecode(details[0])).startswith(below):
                count()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            count()
            return function(*arguments, **more)

        return call

    sys.addaudithook(look)
    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def _writes(details: tuple[Any, ...]) -> bool:
    """Whether the audit event "open" is of a file that is written: by its mode, or its flags."""
    _, mode, flags = details
    return any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool(flags & (os.O_RDWR | os.O_WRONLY))
