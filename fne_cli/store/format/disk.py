"""Files and the disk: a new HDF5 file that takes no space yet, space set aside, what was written made durable.

A blank file has a place for every chunk, without a byte of the chunks having been written. HDF5 fills chunks that have
a filter (here the checksum) as soon as they are allocated, whatever the fill time says: the file would be written
twice. The filling is zeros, and so is the checksum of zeros: here they become holes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5f, h5p

_SMALL = 4096  # bytes; below that a hole saves nothing
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_blank(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """Make `path` an HDF5 file with what `fill` creates in it; whole chunks of zeros take no space.

    The file may exist and be locked. Raises the OSError of the disk, if it is full.
    """
    with open(path, "ab") as file:  # emptied, not replaced: whoever holds a lock on it keeps it
        file.truncate(0)
    with _Holes(path) as holes, _no_collection():
        file = h5py.File(holes, "w", rdcc_nbytes=0)
        try:
            fill(file)
            file.flush()
        except BaseException as error:
            holes.dead = True
            file.close()
            raise holes.error or error from None
        file.close()
    if holes.error is not None:
        raise holes.error


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """HDF5 calls back into Python here; a collection then could close other HDF5 files while HDF5 is at work."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def reserve(handle: int, size: int) -> None:
    """Have the file system set aside the first `size` bytes of a file. Raises OSError if there is no room.

    A file system that knows no reservation (NFS 3, ZFS) is left alone; posix_fallocate would write all of it there.
    """
    library = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if fallocate is None or not size:
        return
    while fallocate(handle, 0, ctypes.c_int64(0), ctypes.c_int64(size)):
        code = ctypes.get_errno()
        if code in _FULL:
            raise OSError(code, os.strerror(code))
        if code != errno.EINTR:
            return


def close_written(file: h5py.File) -> None:
    """Close a file of the default driver. After an error, which is the disk's, it must not be touched again.

    HDF5 writes once more as it closes. If that fails the file is half closed: to ask HDF5 anything about it crashes the
    process, and at its end HDF5 tries again. That then goes into the void.
    """
    handle = file.id.get_vfd_handle()
    state = os.fstat(handle)
    try:
        file.close()
    except BaseException:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), state):  # else the number may be another file's by now
                _divert(handle)
        raise


def close_without_writing(file: h5py.File) -> None:
    """Close a file of the default driver, and let HDF5 write into the void whatever it still holds back.

    On a full disk HDF5 cannot close a file, tries again when the process ends, and crashes it.
    """
    _divert(file.id.get_vfd_handle())
    file.close()


def _divert(handle: int) -> None:
    """Have what is written to a file go nowhere."""
    sink = os.memfd_create("fne-discarded", os.MFD_CLOEXEC)
    try:
        os.dup2(sink, handle, inheritable=False)
    finally:
        os.close(sink)


def in_memory(path: Path) -> h5py.File:
    """A copy of a small file in memory, to be changed there; `h5py.File.id.get_file_image` has what it has become.

    HDF5 lays it out as on a disk. On a full disk it cannot close datasets and attributes whose bytes it still holds
    back, and crashes the process when that ends: here nothing of it ever touches the disk.
    """
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(1 << 16, False)
    access.set_file_image(path.read_bytes())
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    return h5py.File(h5f.open(b"in memory", h5f.ACC_RDWR, access))


class WriteBehind:
    """Has the disk write what a file has received every `step` bytes, while more is computed.

    Otherwise the kernel keeps it, and the fsync at the end takes as long as all the computing did.
    """

    def __init__(self, descriptor: int, step: int = 1 << 25) -> None:
        self._descriptor, self._step = descriptor, step
        self._waiting = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fne-sync")
        self._last: Future[None] | None = None

    def wrote(self, count: int) -> None:
        """Count bytes. Raises the OSError that the disk had with earlier ones."""
        self._waiting += count
        if self._waiting < self._step or (self._last is not None and not self._last.done()):
            return
        self.wait()
        self._waiting = 0
        self._last = self._pool.submit(os.fdatasync, self._descriptor)

    def wait(self) -> None:
        """Until the disk is idle. Raises its OSError."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        """Wait without an error; the descriptor may be closed then."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Holes(io.RawIOBase):
    """A file for h5py's fileobj driver that leaves zeros out.

    An exception inside the driver leaves HDF5 with a file that it cannot close: an error is kept in `error` instead,
    and from then on nothing is written.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._at = 0
        self._end = 0
        self.error: OSError | None = None
        self.dead = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As for any file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (os.fstat(self._handle).st_size if start is None else start)
        return self._at

    def tell(self) -> int:
        """As for any file."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As for any file."""
        content = os.pread(self._handle, len(buffer), self._at)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def write(self, content: Any) -> int:
        """As for any file, but for zeros behind its end, where there is nothing else anyway."""
        size = len(content)
        try:
            hole = self._at >= self._end and size >= _SMALL and not np.frombuffer(content, np.uint8).any()
            if not (hole or self.dead):
                view, at = memoryview(content), self._at
                while view:
                    written = os.pwrite(self._handle, view, at)
                    view, at = view[written:], at + written
                self._end = max(self._end, at)
        except OSError as error:
            self.error, self.dead = error, True
        self._at += size
        return size

    def truncate(self, size: int | None = None) -> int:
        """As for any file."""
        size = self._at if size is None else size
        try:
            if not self.dead:
                os.ftruncate(self._handle, size)
        except OSError as error:
            self.error, self.dead = error, True
        return size

    def close(self) -> None:
        """As for any file."""
        if not self.closed:
            os.close(self._handle)
        super().close()
