"""OUTPUT.run.json and the other JSON that we write: who, when, how long, with which software.

It has all that may differ between two runs with the same result.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fne_cli.version import __version__


def plain(value: Any) -> Any:
    """A value as it looks after a journey through JSON (tuples are lists)."""
    return json.loads(json.dumps(value))


def file_state(path: Path) -> dict[str, Any]:
    """Size and modification time of a file, as make looks at it."""
    status = os.stat(path)
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_run(software: Mapping[str, str], device: str = "") -> dict[str, Any]:
    """The record of this process's share of the work; `time_run` completes it as it goes on."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "host": platform.node(),
        "device": device or None,
        "software": dict(software),
        "images": 0,
        "seconds": 0.0,
        "images_per_second": None,
    }


def time_run(run: dict[str, Any], seconds: float) -> None:
    """Set how long the run has taken so far, and how fast it is."""
    run["seconds"] = round(seconds, 3)
    run["images_per_second"] = round(run["images"] / seconds, 3) if seconds > 0 else None


def pretty(value: Any, allow_nan: bool = True) -> bytes:
    """The value as UTF-8 text with a newline at its end. Raises ValueError for NaN unless allowed, TypeError.

    Half characters, which a file's name may have, become the escapes that JSON has for them.
    """
    write = json.JSONEncoder(ensure_ascii=False, allow_nan=allow_nan).encode
    return "".join([*_parts(value, "\n", write), "\n"]).encode("utf-8", "backslashreplace")


_PLAIN = {int, float, bool, type(None)}
"""What nearly all long lists are of; they stand on one line."""


def _nested(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping | str)


def _parts(value: Any, newline: str, write: Any) -> Iterator[str]:
    inner = newline + "  "
    if isinstance(value, Mapping) and value:
        for number, (key, entry) in enumerate(value.items()):
            # the encoder alone knows what a key that is no text becomes
            yield f"{',' if number else '{'}{inner}{write({key: None})[1:-5]}"
            yield from _parts(entry, inner, write)
        yield newline + "}"
    elif isinstance(value, list | tuple) and not _PLAIN.issuperset(map(type, value)) and any(map(_nested, value)):
        for number, entry in enumerate(value):
            yield f"{',' if number else '['}{inner}"
            yield from _parts(entry, inner, write)
        yield newline + "]"
    else:
        yield write(value)


def software(*packages: str) -> dict[str, str]:
    """Versions of fne, Python, NumPy, h5py and `packages`, by name; packages that are not installed are left out."""
    from importlib import metadata  # with the libraries of electronic mail: who is up to date need not wait

    versions = {"fne": __version__, "python": platform.python_version()}
    for name in ("numpy", "h5py", *packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
