"""The bytes of an image file, or of the part of an archive that is one."""

from __future__ import annotations

import contextlib
import os
import stat

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.formats import may_be_image, not_an_image

_HEAD, _LARGE = 64, 1 << 28  # bytes: enough to know a format by; what is not read only to find that it is none
MAX_BYTES = 1 << 31  # more than any image of so many pixels; a disk image named .jpg must not fill the memory


def read_file(path: str, offset: int = 0, size: int | None = None) -> bytes:
    """The bytes of a regular file, or `size` bytes of it from `offset`. Raises BadImage."""
    try:
        with open(path, "rb", opener=_not_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadImage(Status.UNREADABLE, "should be a regular file")
            available = max(0, status.st_size - offset)
            size = available if size is None else min(size, available)
            if size > MAX_BYTES:
                raise BadImage(Status.TOO_LARGE, f"{size} bytes, more than the limit of {MAX_BYTES}")
            file.seek(offset)
            head = file.read(min(size, _HEAD))
            if size > _LARGE and not may_be_image(head):  # such as a disk's image, or a file that is one large hole
                raise BadImage(Status.NOT_AN_IMAGE, not_an_image(size, head))
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError as error:
        raise BadImage(Status.MISSING, "no such file") from error
    except OSError as error:
        raise BadImage(Status.UNREADABLE, f"cannot be read: {error.strerror}") from error


def read_ahead(path: str, offset: int = 0, size: int | None = None) -> None:
    """Have the system fetch what `read_file` will read, without waiting for it; whatever is wrong, that will tell."""
    with contextlib.suppress(OSError, ValueError):
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.posix_fadvise(file, offset, size or 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


def stored_bytes(path: str, offset: int = 0, size: int | None = None) -> int:
    """How many bytes `read_file` will read; 0 where it will not."""
    try:
        available = max(0, os.stat(path).st_size - offset)
    except (OSError, ValueError):
        return 0
    size = available if size is None else min(size, available)
    return size if size <= MAX_BYTES else 0


def _not_waiting(path: str, flags: int) -> int:
    """An opener for which a FIFO without a writer does not hang the job."""
    return os.open(path, flags | os.O_NONBLOCK)
