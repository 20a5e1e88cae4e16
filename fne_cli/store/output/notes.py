"""OUTPUT.run.json, the run record of an output: where it stands, and that a kill at any point loses none.

The record of an output that is about to get its name is complete as OUTPUT.run.json.next before. It says which file it
is of. A process killed between the two renames leaves it under that name; whoever reads the record finds it there, and
the next run of the command puts it in its place.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fne_cli.store.format.text import parse_json
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


def refresh(path: Path, inputs: Iterable[Path]) -> None:
    """Give an output that is up to date, and its record, today's time if an input is newer.

    To make it would else be out of date for ever, and all that is made from it.
    """
    if is_older(path, inputs):
        touch(path)


def touch(path: Path) -> None:
    """Give an output and its record, which may know it by its time, today's, if that can be done."""
    record = read_record(path)
    with contextlib.suppress(OSError):  # of somebody else, or where nothing may be written: it is as good as before
        if "output" in record:
            refresh_noted(path, record, file_state(path))
        else:
            os.utime(path)
            os.utime(record_path(path))


def is_older(path: Path, inputs: Iterable[Path]) -> bool:
    """Whether an input is newer than the output, as make looks at it."""
    with contextlib.suppress(OSError, ValueError):
        return os.stat(path).st_mtime_ns < max(os.stat(one).st_mtime_ns for one in inputs)
    return False


def refresh_noted(path: Path, record: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """As `refresh`, of a file that the record knows by its time; killed in between, it knows both times."""
    now = time.time_ns()
    with contextlib.suppress(OSError):
        write_json(record_path(path), {**record, "output": {**state, "mtime_ns": now}, "same_as": state})
        os.utime(path, ns=(now, now))
        if file_state(path)["mtime_ns"] != now:  # a file system whose clock is coarser
            write_json(record_path(path), {**record, "output": file_state(path)})


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".run.json.next")
