"""OUTPUT.run.json: who, when, how long, how fast. All that may differ between two runs with the same result."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """A value as it looks after a journey through JSON (tuples are lists)."""
    return json.loads(json.dumps(value))


def file_state(path: Path) -> dict[str, Any]:
    """Size and modification time of a file, as make looks at it."""
    status = os.stat(path)
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


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
