"""OUTPUT.run.json, the run record of an output: where it stands, and that a kill at any point loses none.

The record of an output that is about to get its name is complete as OUTPUT.run.json.next before. It says which file it
is of. A process killed between the two renames leaves it under that name; whoever reads the record finds it there, and
the next run of the command puts it in its place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fne_cli.store.format.claims import parse_json
from fne_cli.store.output.own import replacing, scratch_of, sweep, sync
from fne_cli.store.output.record import file_state, pretty
from fne_cli.store.output.sealed import DIGEST, is_intact, with_digest, without_digest


def record_path(path: Path) -> Path:
    """Where the run record of an output stands: OUTPUT.run.json."""
    return path.with_name(path.name + ".run.json")


def read_record(path: Path) -> dict[str, Any]:
    """The run record of an output, or {} if there is none that can be read."""
    return _waiting(path) or _read(record_path(path))


def _waiting(path: Path) -> dict[str, Any]:
    """The record that a process killed just before left under its first name, if it is of the file that is there."""
    found = _read(_next(path))
    try:
        return found if found and found.get("output") == file_state(path) else {}
    except OSError:
        return {}


def _read(place: Path) -> dict[str, Any]:
    try:
        if not place.is_file():  # a pipe would have us wait for ever
            return {}
        record = parse_json(place.read_bytes())
    except (OSError, ValueError):
        return {}
    whole = isinstance(record, dict) and (DIGEST not in record or is_intact(record))
    typed = whole and isinstance(record.get("inputs", {}), dict) and isinstance(record.get("runs", []), list)
    return without_digest(record) if typed else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as JSON with its digest: a reader sees the old file or the new one, never a part.

    It is on the disk when this returns.
    """
    with replacing(path) as file:
        file.write(pretty(with_digest(value)))


def announce_record(path: Path, record: Mapping[str, Any], content: Path) -> None:
    """Have the record wait for `content` to become the output; `place_record` is to follow."""
    write_json(_next(path), {**record, "output": file_state(content)})


def place_record(path: Path) -> None:
    """Give the announced record its name, as its output has just got one. Perhaps somebody has come and done it."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(_next(path), record_path(path))


def settle_record(path: Path) -> None:
    """What a killed process left: the waiting record gets its name, if it is of the output that is there, or goes.

    The lock is held.
    """
    if _waiting(path):
        place_record(path)
        sync(path.parent)
    elif os.path.lexists(_next(path)):
        _next(path).unlink(missing_ok=True)
    for place in (_next(path), record_path(path)):
        sweep(scratch_of(place))


def left_of_record(path: Path) -> list[Path]:
    """What a killed process may have left of it."""
    return [_next(path), scratch_of(_next(path)), scratch_of(record_path(path))]


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".run.json.next")
