"""What this machine has for a process: processors, memory, threads that round alike. A leaf like ``errors``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def processors() -> int:
    """Processors that this process may use; NUMBA_NUM_THREADS if that is less, as where workers share a machine."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return max(1, min(own, int(limit))) if limit.isdecimal() else own


_GROUPS = (  # limit, use, and what of it are pages of files, of version 2 and version 1 of control groups
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that are free on this machine, or within the limit of this container or batch job if that is less.

    Where neither can be read, 2 GiB.
    """
    found = []
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    for folder in (groups, *_own_groups(proc, groups)):
        for limit, used, statistics, pages in _GROUPS:
            try:
                taken = int((folder / used).read_text()) - _counted(folder / statistics, pages)
                found.append(int((folder / limit).read_text()) - taken)
            except (OSError, ValueError):  # also "max"
                continue
    return max(0, min(found)) if found else 2 << 30


def _counted(statistics: Path, name: str) -> int:
    """An entry of memory.stat: files' pages count as used, though the kernel gives them up when memory is wanted."""
    try:
        lines = statistics.read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)
    except (OSError, ValueError, IndexError):
        return 0


def _own_groups(proc: Path, groups: Path) -> list[Path]:
    """The control group of this process and those around it, as batch systems set them up."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    folders: list[Path] = []
    for line in lines:
        own = groups / line.rpartition(":")[2].lstrip("/")
        while own != groups and groups in own.parents:
            folders.append(own)
            own = own.parent
    return folders


@contextmanager
def thread_pool(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of `threads` (default: all processors) in which every matrix product stays on the thread that asks for it.

    A BLAS that splits a product over its own threads rounds differently with their number; the callers split the work
    into pieces of fixed size instead. The limit holds for the whole process while the pool is open.
    """
    import scipy.linalg.cython_blas  # noqa: F401  # the one of compiled code, which it would load when it is first called

    with (
        _libraries(len(sys.modules)).limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(threads or processors()) as pool,
    ):
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def one_thread() -> Iterator[None]:
    """While it is open, BLAS and OpenMP use one thread, in the whole process: sums have the same order everywhere."""
    import scipy.linalg.cython_blas  # noqa: F401  # as above

    with _libraries(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(1)
def _libraries(modules: int) -> ThreadpoolController:
    """Those that have threads of their own. They are looked for again when modules have been loaded since."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
