"""An output appears whole or not at all: locked and written as OUTPUT.partial, then synced and renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput, Busy, DamagedFile, DoesNotFit, FneError
from fne_cli.store.format.text import parse_json
from fne_cli.store.output.notes import (
    announce_record,
    left_of_record,
    place_record,
    record_path,
    settle_record,
    write_json,
)
from fne_cli.store.output.own import is_at, open_own, scratch_of, sweep, sync
from fne_cli.store.output.record import pretty, sha256_of
from fne_cli.store.output.sealed import DIGEST, is_intact, with_digest, without_digest


class Output:
    """The right to write `path`. Use as a context manager; without `accept`, `path` stays as it was.

    What an earlier run left in OUTPUT.partial is discarded, and so is what this one leaves on an error; with `keep` it
    stays if the journal, OUTPUT.partial.json, says how much of it counts. Raises Busy if another process holds the
    right, BadInput if the place cannot be written, DoesNotFit if the disk is full.
    """

    def __init__(self, path: Path, keep: bool = False) -> None:
        if not path.name:
            raise BadInput(f"{path} should be a file to write. Found: a folder.")
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.journal = path.with_name(path.name + ".partial.json")
        self.keep = keep
        self._lock: int | None = None

    @property
    def resumable(self) -> bool:
        """Whether an earlier run left a partial file with its journal."""
        try:
            return os.path.getsize(self.partial) > 0 and os.path.exists(self.journal)
        except OSError:
            return False

    @property
    def into(self) -> Path:
        """Where to write OUTPUT.partial: the very file that is locked, even if its name has become somebody's link."""
        if self._lock is None:
            raise ValueError(f"{self.path} should be locked")
        return Path(f"/proc/self/fd/{self._lock}")

    def __enter__(self) -> Self:
        self.check_place()
        while self._lock is None:
            lock = open_own(self.partial)
            try:
                self._claim(lock)
                # Between open and lock the other process may have renamed or removed the file we hold.
                ours = is_at(lock, self.partial)
            except BaseException:
                os.close(lock)
                raise
            if ours:
                self._lock = lock
            else:
                os.close(lock)
        try:
            self._tidy()
        except OSError as error:
            self.__exit__(type(error), error)
            raise
        return self

    def _claim(self, lock: int) -> None:
        """Lock a file. Raises Busy or BadInput."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{self.path} is being written by another process. Wait for it, or stop it.") from None
        except OSError as error:
            raise BadInput(
                f"{self.path} should be on a file system with locks (flock). Found: {error.strerror}.\n"
                "Write to a local disk, or mount this one with locks."
            ) from error

    def _settle(self) -> None:
        settle_record(self.path)
        sweep(scratch_of(self.journal))

    def _tidy(self) -> None:
        """Make whole, or remove, what a killed process has left."""
        self._settle()
        if not self.keep:
            self.clear()
        elif self.journal.exists() and not self.resumable:
            self.journal.unlink()  # its file is gone

    def tidy(self) -> None:
        """What entering does, for an output that is as it should be: unless somebody else is at work on it."""
        if self._lock is not None:
            self._settle()
            return
        left = (self.partial, self.journal, scratch_of(self.journal), *left_of_record(self.path))
        if any(map(os.path.lexists, left)):
            with contextlib.suppress(FneError, OSError), self:
                pass

    def check_place(self) -> None:
        """Raises BadInput if no file can stand there."""
        parent = self.path.parent
        if not os.path.isdir(parent):
            raise BadInput(f"{self.path} should be in an existing folder. Found: no folder {parent}. mkdir -p {parent}")
        if os.path.islink(self.path):
            raise BadInput(
                f"{self.path} should be a file to write. Found: a link, to {os.readlink(self.path)}.\n"
                "Name the file that it points to, or remove the link."
            )
        if os.path.isdir(self.path):
            raise BadInput(f"{self.path} should be a file to write. Found: a folder.")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise BadInput(f"{self.path} should be a file to write. Found: a device or a pipe.")

    def _check_ours(self) -> None:
        """Raises Busy if OUTPUT.partial has been removed under us, by whoever: a new one is not ours to accept."""
        if self._lock is None or not is_at(self._lock, self.partial):
            raise self._gone()

    def _gone(self) -> Busy:
        return Busy(
            f"{self.partial} should be the file that this command has written. Found: another file, or none.\n"
            f"Somebody has removed it, and maybe begun {self.path.name} again."
        )

    def sync(self) -> None:
        """What was written to OUTPUT.partial is on the disk when this returns."""
        sync(self.into)

    def write_json(self, document: Mapping[str, Any]) -> None:
        """Make OUTPUT.partial a JSON file, with its digest."""
        self.into.write_bytes(pretty(with_digest(document), allow_nan=False))

    def note(self, state: Mapping[str, Any]) -> None:
        """Replace the journal, OUTPUT.partial.json, atomically; it is on the disk when this returns."""
        write_json(self.journal, state)

    def read_journal(self) -> dict[str, Any]:
        """The journal of the interrupted run. Raises DamagedFile."""
        try:
            state = parse_json(self.journal.read_bytes())
            whole = (
                isinstance(state, dict)
                and (DIGEST not in state or is_intact(state))
                and 0 <= state["committed"] <= state["images"]
                and isinstance(state["inputs"], dict)
                and isinstance(state["runs"], list)
            )
        except (OSError, ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            raise DamagedFile(
                f"{self.journal} should say how far the unfinished work has come. Found: something else.\n"
                "--overwrite begins again."
            )
        return without_digest(state)

    def clear(self) -> None:
        """Forget what an earlier run left: no journal, an empty partial file (the lock stays)."""
        if self.journal.exists():  # it goes first: a journal must never speak of another file
            self.journal.unlink()
            sync(self.path.parent)
        os.truncate(self.into, 0)

    def begin_with(self, content: Path, state: Mapping[str, Any]) -> None:
        """Make OUTPUT.partial a copy of a file, to be changed, with the journal that says what is in it."""
        self.clear()
        with open(content, "rb") as source, open(self.into, "r+b") as target:
            shutil.copyfileobj(source, target, 1 << 24)
        self.sync()
        self.note(state)

    def take(self, content: Path, state: Mapping[str, Any]) -> None:
        """Make a finished file beside it OUTPUT.partial, without a copy, with the journal that says what it is."""
        self.clear()
        lock = open_own(content, create=False)
        try:
            self._claim(lock)
            os.replace(content, self.partial)
        except BaseException:
            os.close(lock)
            raise
        if self._lock is not None:
            os.close(self._lock)
        self._lock = lock
        sync(self.path.parent)
        self.note(state)

    def set_aside(self, place: Path) -> None:
        """Move OUTPUT.partial to `place`, and hold the right to write the output by a new, empty one. Raises Busy."""
        self._check_ours()
        os.replace(self.partial, place)
        fresh = open_own(self.partial)
        try:
            self._claim(fresh)
        except BaseException:
            os.close(fresh)
            raise
        if self._lock is not None:
            os.close(self._lock)
        self._lock = fresh
        self._check_ours()
        self.journal.unlink(missing_ok=True)
        sync(self.path.parent)

    def accept(self, record: Mapping[str, Any] | None = None) -> None:
        """Sync OUTPUT.partial, rename it to OUTPUT, and write OUTPUT.run.json if there is a record. Raises Busy.

        The record is on the disk before, and known as this file's: a process killed in between loses none.
        """
        self._check_ours()
        self.sync()
        if record is None:
            record_path(self.path).unlink(missing_ok=True)  # it speaks of the file that is replaced now
        else:
            announce_record(self.path, record, self.into)
        os.replace(self.partial, self.path)
        # From here on another process may begin the output again: what it has made since is not touched.
        if record is not None:
            place_record(self.path)
        sync(self.path.parent)
        if not os.path.lexists(self.partial):
            self.journal.unlink(missing_ok=True)

    def accept_noted(self, record: Mapping[str, Any]) -> None:
        """As `accept`, of a file that does not say itself what it is: the record has its SHA-256."""
        self._check_ours()
        self.accept({**record, "sha256": sha256_of(self.into)})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if self._lock is None:
            return
        failure = self._failure(error, os.fstat(self._lock))
        if is_at(self._lock, self.partial) and not (self.keep and self.resumable):
            with contextlib.suppress(OSError):
                settle_record(self.path)
                self.journal.unlink(missing_ok=True)
                self.partial.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None
        if failure is not None:
            raise failure from error

    def _failure(self, error: BaseException | None, state: os.stat_result) -> FneError | None:
        """What to say of an error that the disk made. From HDF5 it comes as others, too."""
        if not isinstance(error, OSError | ValueError | RuntimeError | KeyError):
            return None
        if self._lock is not None and not any(is_at(self._lock, place) for place in (self.partial, self.path)):
            return self._gone()
        told = re.search(r"errno = (\d+)", str(error))
        code = int(told[1]) if told else getattr(error, "errno", None)
        if code is None:
            return None
        if code not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return BadInput(f"{self.path} cannot be written. Found: {os.strerror(code) if told else error}.")
        free = shutil.disk_usage(self.path.parent).free
        missing = max(0, state.st_size - state.st_blocks * 512)
        size = f"becomes {state.st_size:,} bytes; {missing:,} of them are still to be written"
        again = ": it goes on from the last committed image" if self.keep and self.resumable else ""
        return DoesNotFit(
            f"The disk of {self.path.absolute().parent} is full. {self.path.name} "
            f"{size if missing else f'has {state.st_size:,} bytes so far'}; {free:,} are free.\n"
            f"Make room and run the same command again{again}."
        )
