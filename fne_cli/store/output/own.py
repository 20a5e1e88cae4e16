"""Files that a command writes beside its output, by names that anybody can foresee: never through a link.

In a folder that others can write to, a link of such a name would have us overwrite what it points to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fne_cli.errors import BadInput, Busy

_PATIENCE = 60.0
"""Seconds to wait for another process that writes a few kilobytes."""
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class _NotOurs(BadInput):
    """Somebody has put another thing there."""

    def __init__(self, path: Path, found: str, way: str = "Remove it") -> None:
        super().__init__(
            f"{path} should be a file that fne alone writes, or none. Found: {found}.\n"
            f"Nothing was written to it. {way}, or write to another output."
        )


def open_own(path: Path, create: bool = True) -> int:
    """A descriptor of a file of ours, empty if it is new. Raises BadInput if it cannot be had, or is no such file.

    No such file is a link, a device or a pipe, a file that has other names too, and in a folder such as /tmp, where
    everybody may write but nobody may replace what others have, a file of somebody else.
    """
    try:
        return _opened(path, create)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error


def _opened(path: Path, create: bool) -> int:
    """The same; raises the OSError, or _NotOurs."""
    try:
        handle = os.open(path, _OPEN | (os.O_CREAT if create else 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _NotOurs(path, "a link, which is not followed") from error
        if error.errno == errno.ENXIO:
            raise _NotOurs(path, "a device or a pipe") from error
        raise
    try:
        state, folder = os.fstat(handle), os.stat(path.parent)
        if not stat.S_ISREG(state.st_mode):
            raise _NotOurs(path, "a device or a pipe")
        if state.st_nlink > 1:
            way = "Make it a file of its own (cp it and mv the copy here)"
            raise _NotOurs(path, f"a file with {state.st_nlink} names", way)
        sticky = folder.st_mode & stat.S_ISVTX and folder.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
        if sticky and state.st_uid not in (os.geteuid(), folder.st_uid):
            raise _NotOurs(path, "a file of another user, in a folder where everybody may write")
    except BaseException:
        os.close(handle)
        raise
    return handle


def check_folder(folder: Path) -> None:
    """Raises BadInput if a folder that we are to make, or have made, is a link."""
    if folder.is_symlink():
        raise BadInput(
            f"{folder} should be a folder that fne alone writes to, or none. Found: a link, which is not followed.\n"
            "Remove it, or write to another output."
        )


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when it is complete and on the disk: PATH.new until then.

    A reader sees the old file or the new one; of processes that write at once, each waits for the other. A link of that
    name is removed. Raises OSError, Busy if the other does not get done; then nothing is left.
    """
    scratch = scratch_of(path)
    with os.fdopen(_locked(scratch), "r+b") as file:
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(scratch, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                if is_at(file.fileno(), scratch):  # else it has its name, and this is another process's
                    scratch.unlink()
            if isinstance(error, OSError) and error.filename is None:
                error.filename = os.fspath(path)
            raise
    sync(path.parent)


def _locked(scratch: Path) -> int:
    """A descriptor of the file, which nobody else writes while it is open."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            handle = _opened(scratch, create=True)
        except _NotOurs:
            scratch.unlink()  # if it can be: of this name nothing is anybody's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() > end:
                raise Busy(f"{scratch} is being written by another process. Wait for it, or stop it.") from None
            time.sleep(0.01)
            continue
        except OSError:
            pass  # a file system without locks
        if is_at(handle, scratch):
            return handle
        os.close(handle)  # the other process was done with it


def sweep(scratch: Path) -> None:
    """Remove what a killed process has left of `replacing`, unless another one is just writing it."""
    if not os.path.lexists(scratch):
        return
    try:
        handle = _opened(scratch, create=False)
    except _NotOurs:
        with contextlib.suppress(OSError):
            scratch.unlink()  # a link, mostly: of this name nothing is anybody's
        return
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(handle, scratch):
            scratch.unlink()
    except OSError:
        pass  # somebody has it
    finally:
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Whether the file behind a descriptor is what stands at a path; a link that leads to it is not."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


def scratch_of(path: Path) -> Path:
    """PATH.new."""
    return path.with_name(path.name + ".new")


def sync(path: Path) -> None:
    """Fsync a file or a folder; some network file systems refuse it for folders, and need none."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (stat.S_ISDIR(os.fstat(handle).st_mode) and error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF)):
            raise
    finally:
        os.close(handle)
