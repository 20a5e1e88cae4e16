"""A task on the disk: the files that a worker must see, and those that it leaves in OUTPUT.parts."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, DoesNotFit, FneError, Stopped
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.text import parse_json
from fne_cli.store.many.joined import JoinedFiles

Result = dict[str, Any]

_SHARED = "With --cluster, inputs and outputs lie on a file system that all machines share, under one path."
_PATIENCE = 90.0  # seconds until what one machine wrote can be seen on another: NFS looks again after 60 at most


@dataclass(frozen=True)
class TaskFiles:
    """The files that a task leaves in a folder; each one's name begins with the task's."""

    folder: Path
    name: str

    def path(self, what: str) -> Path:
        """OUTPUT.parts/TASK.WHAT."""
        return self.folder / f"{self.name}.{what}"

    @contextmanager
    def writing(self, what: str) -> Iterator[BinaryIO]:
        """A file that gets its name when it is complete and on the disk."""
        scratch = self.folder / f".{self.name}.{what}.{platform.node()}-{os.getpid()}"
        try:
            scratch.unlink(missing_ok=True)
            with open(scratch, "xb") as file:  # new: never what a link of this name points to
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, self.path(what))
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise

    def save(self, **arrays: np.ndarray) -> None:
        """Write arrays as TASK.NAME.npy."""
        for name, values in arrays.items():
            with self.writing(f"{name}.npy") as file:
                np.save(file, values, allow_pickle=False)

    def load(self, name: str) -> np.ndarray:
        """An array that `save` wrote, memory-mapped. Raises DamagedFile."""
        return self.beside(self.path(f"{name}.npy").name)

    def beside(self, file: str) -> np.ndarray:
        """The same, of any task."""
        path = wait_for(self.folder / file)
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DamagedFile(f"{path} should be an array. Found: {error}.\nRemove {self.folder}.") from error
        return array

    def discard(self, files: Iterable[str]) -> None:
        """Remove files of this task that nobody needs any more."""
        for what in files:
            self.path(what).unlink(missing_ok=True)

    def result(self) -> Result | None:
        """What the task found, None if it is not finished."""
        try:
            found = parse_json(self.path("json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def task(work: Callable[[Any, TaskFiles, Progress], Result]) -> Callable[[Mapping[str, Any], Progress], Result]:
    """Make a task of work(settings, files, progress): look whether the worker sees the inputs, and keep the result."""

    @functools.wraps(work)
    def run(asked: Mapping[str, Any], progress: Progress = SILENT) -> Result:
        files = TaskFiles(Path(asked["folder"]), asked["name"])
        for path in (*asked["inputs"], asked["folder"]):
            if not wait_for(Path(path), patience=1.0).exists():
                raise BadInput(f"Worker {platform.node()} should see {path}. Found: no such file there.\n{_SHARED}")
        found = files.result()
        if found is None:
            try:
                with progress.deferred() as stop:
                    found = work(asked["settings"], files, _Interruptible(progress, stop))
                with files.writing("json") as file:
                    file.write(json.dumps(found).encode())
            except OSError as error:
                raise _failure(error, files.folder) from error
        return found

    return run


def _failure(error: OSError, folder: Path) -> FneError:
    where = f"worker {platform.node()}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DoesNotFit(
            f"The disk of {error.filename or folder} is full, {where} says.\n"
            "Make room and run the same command again: it goes on with what is finished."
        )
    return BadInput(f"{error.filename or folder} should be a place to read and write, {where} says. Found: {error}.")


class _Interruptible(Progress):
    """The progress of a task that ends when it gets on and nobody wants it any more."""

    def __init__(self, progress: Progress, asked: Callable[[], int | None]) -> None:
        self._progress, self._asked = progress, asked
        self.note, self.detail = progress.note, progress.detail  # type: ignore[method-assign]  # passed on as they are

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """As it does, and raises Stopped."""
        with self._progress.track(total, unit, done) as advance:

            def interruptible(count: int) -> None:
                advance(count)
                if (code := self._asked()) is not None:
                    raise Stopped("Stopped.", code)

            yield interruptible


def check_same_file(path: Path, found: str, inputs: Mapping[str, str]) -> None:
    """Raise BadInput on a worker that sees another file under a path than the command does; `found`: its fingerprint.

    inputs: fingerprints by absolute path.
    """
    if inputs[str(path)] != found:
        raise BadInput(
            f"Worker {platform.node()} should see the same {path} as the command. Found: another file there.\n{_SHARED}"
        )


def open_inputs(settings: Mapping[str, Any], *kinds: str) -> JoinedFiles:
    """On a worker: the files of a task, settings["paths"], which are those that the command read."""
    files = JoinedFiles([Path(path) for path in settings["paths"]], *kinds)
    try:
        for path, digest in files.fingerprints.items():
            check_same_file(path, digest, settings["inputs"])
    except BaseException:
        files.close()
        raise
    return files


def wait_for(path: Path, patience: float = _PATIENCE) -> Path:
    """Wait for a file that another machine says is there."""
    deadline = time.monotonic() + patience
    while not path.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            os.listdir(path.parent)  # has NFS look again
        time.sleep(0.2)
    return path
