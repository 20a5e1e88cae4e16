"""An output appears whole or not at all: locked and written as OUTPUT.partial, then synced and renamed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput, Busy


class Output:
    """The right to write `path`. Use as a context manager; without `accept`, `path` stays as it was.

    On an error OUTPUT.partial is deleted, unless `keep` is set: then a later run can go on with it.
    Raises Busy if another process holds the right, BadInput if the place cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.journal = path.with_name(path.name + ".partial.json")
        self.keep = False
        self._lock: int | None = None

    @property
    def resumable(self) -> bool:
        """Whether an earlier run left a partial file with its journal."""
        return self.partial.exists() and self.partial.stat().st_size > 0 and self.journal.exists()

    def __enter__(self) -> Self:
        parent = self.path.parent
        if not parent.is_dir():
            raise BadInput(f"{self.path} should be in an existing folder. Found: no folder {parent}. mkdir -p {parent}")
        if self.path.is_dir():
            raise BadInput(f"{self.path} should be a file to write. Found: a folder.")
        while self._lock is None:
            try:
                lock = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise BadInput(f"{self.partial} cannot be written: {error.strerror}.") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise Busy(f"{self.path} is being written by another process. Wait for it, or stop it.") from None
            # Between open and lock the other process may have renamed or removed the file we hold.
            if self.partial.exists() and os.path.samestat(os.fstat(lock), os.stat(self.partial)):
                self._lock = lock
            else:
                os.close(lock)
        return self

    def write_json(self, document: Mapping[str, Any]) -> None:
        """Make OUTPUT.partial a JSON file."""
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        self.partial.write_text(text + "\n", encoding="utf-8")

    def note(self, state: Mapping[str, Any]) -> None:
        """Replace the journal, OUTPUT.partial.json, atomically."""
        write_json(self.journal, state)

    def read_journal(self) -> dict[str, Any]:
        """The journal of the interrupted run."""
        state: dict[str, Any] = json.loads(self.journal.read_text())
        return state

    def clear(self) -> None:
        """Forget what an earlier run left: an empty partial file (the lock stays), no journal."""
        os.truncate(self.partial, 0)
        self.journal.unlink(missing_ok=True)

    def begin_with(self, content: Path, state: Mapping[str, Any]) -> None:
        """Make OUTPUT.partial a copy of a file, to be changed, with the journal that says what is in it."""
        self.clear()
        with open(content, "rb") as source, open(self.partial, "r+b") as target:
            shutil.copyfileobj(source, target, 1 << 24)
        self.note(state)

    def accept(self, record: Mapping[str, Any] | None = None) -> None:
        """Sync OUTPUT.partial, rename it to OUTPUT, and write OUTPUT.run.json if there is a record."""
        sync(self.partial)
        os.replace(self.partial, self.path)
        sync(self.path.parent)
        if record is not None:
            write_json(record_path(self.path), record)
        self.journal.unlink(missing_ok=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._lock is None:
            return
        if not self.keep and self.partial.exists() and os.path.samestat(os.fstat(self._lock), os.stat(self.partial)):
            self.partial.unlink()
            self.journal.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None


def record_path(path: Path) -> Path:
    """Where the run record of an output stands: OUTPUT.run.json."""
    return path.with_name(path.name + ".run.json")


def read_record(path: Path) -> dict[str, Any]:
    """The run record of an output, or {} if there is none that can be read."""
    try:
        record = json.loads(record_path(path).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as JSON so that a reader sees the old file or the new one, never a part."""
    scratch = path.with_name(path.name + ".new")
    with open(scratch, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def sync(path: Path) -> None:
    """Fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
