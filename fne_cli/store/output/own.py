"""Files that a command writes beside its output, by names that anybody can foresee: never through a link.

In a folder that others can write to, a link of such a name would have us overwrite what it points to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fne_cli.errors import BadInput

_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_own(path: Path, create: bool = True) -> int:
    """A descriptor of a file of ours, empty if it is new. Raises BadInput if somebody has put another thing there.

    That is a link, a device or a pipe, a file that has other names too, and in a folder such as /tmp, where everybody
    may write but nobody may replace what others have, a file of somebody else.
    """
    try:
        handle = os.open(path, _OPEN | (os.O_CREAT if create else 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _not_ours(path, "a link, which is not followed") from error
        if error.errno == errno.ENXIO:
            raise _not_ours(path, "a device or a pipe") from error
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error
    try:
        state, folder = os.fstat(handle), os.stat(path.parent)
        if not stat.S_ISREG(state.st_mode):
            raise _not_ours(path, "a device or a pipe")
        if state.st_nlink > 1:
            raise _not_ours(path, f"a file with {state.st_nlink} names")
        sticky = folder.st_mode & stat.S_ISVTX and folder.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
        if sticky and state.st_uid not in (os.geteuid(), folder.st_uid):
            raise _not_ours(path, "a file of another user, in a folder where everybody may write")
    except BaseException:
        os.close(handle)
        raise
    return handle


def _not_ours(path: Path, found: str) -> BadInput:
    return BadInput(
        f"{path} should be a file that fne alone writes, or none. Found: {found}.\n"
        "Nothing was written to it. Remove it, or write to another output."
    )


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
    name is removed. Raises OSError; then nothing is left.
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
                scratch.unlink()
            if isinstance(error, OSError) and error.filename is None:
                error.filename = os.fspath(path)
            raise
    sync(path.parent)


def _locked(scratch: Path) -> int:
    """A descriptor of the file, which nobody else writes while it is open."""
    while True:
        try:
            handle = open_own(scratch)
        except BadInput:
            scratch.unlink()  # if it can be: of this name nothing is anybody's
            continue
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if is_at(handle, scratch):
            return handle
        os.close(handle)  # the other process was done with it


def sweep(scratch: Path) -> None:
    """Remove what a killed process has left of `replacing`, unless another one is just writing it."""
    if not os.path.lexists(scratch):
        return
    try:
        handle = open_own(scratch, create=False)
    except BadInput:
        with contextlib.suppress(OSError):
            scratch.unlink()  # a link, mostly: of this name nothing is anybody's
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
