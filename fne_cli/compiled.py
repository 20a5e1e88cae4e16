"""Machine code from numba, without the interpreter's lock, kept on the disk between runs where the disk allows it.

It is made, or read, when it is first called. Half a second of imports and of reading is nothing for who computes, and
too long for who only asks whether an output is up to date.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import update_wrapper
from types import CodeType
from typing import Any, TypeVar

from fne_cli.imports import lean

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
_making = threading.RLock()  # a kernel may need others
_PARTS = ("load", "_load_index", "_save_index", "_save_data", "_data_name", "_index_path")


def compiled(*signatures: str, any_order: bool = False) -> Callable[[Kernel], Kernel]:
    """Compile a function on its first call, for the given signatures or for what it is called with.

    In strict arithmetic. any_order: sums may be added in the order that is fastest on this processor, as libraries of
    linear algebra do. A cache that cannot be written (a read-only installation without a home) costs seconds of
    compiling, not the run.
    """
    loose = {"reassoc", "contract"} if any_order else False

    def make(function: Kernel) -> Any:
        numba = _loaded()
        try:
            kernel: Any = numba.njit(nogil=True, cache=True, fastmath=loose)(function)
            _keep_whole(kernel)
        except (RuntimeError, OSError):
            kernel = numba.njit(nogil=True, fastmath=loose)(function)
        for signature in signatures:
            kernel.compile(signature)
        if signatures:
            kernel.disable_compile()
        return kernel

    def decorate(function: Kernel) -> Kernel:
        late: Any = _Late(function, make)
        return late

    return decorate


def intrinsic(function: Callable[..., Any]) -> Any:
    """As numba's decorator of this name, for kernels of `compiled`."""

    def make(own: Callable[..., Any]) -> Any:
        return _loaded().extending.intrinsic(own)

    return _Late(function, make)


class _Late:
    """Stands for what numba makes of a function until somebody wants it; from then on that has its name."""

    def __init__(self, function: Any, make: Callable[[Any], Any]) -> None:
        self._function, self._make = function, make
        self._made: Any = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self._ready()(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._ready(), name)

    def _ready(self) -> Any:
        if self._made is None:
            with _making:
                if self._made is None:
                    self._made = self._new()
        return self._made

    def _new(self) -> Any:
        """Make it. The functions that it calls are to be numba's, too."""
        names = self._function.__globals__
        for name in _names_in(self._function.__code__):
            if isinstance(other := names.get(name), _Late) and other is not self:
                names[name] = other._ready()
        made, own = self._make(self._function), self._function.__name__
        if names.get(own) is self:
            names[own] = made
        return made


def _names_in(code: CodeType) -> Iterator[str]:
    """What a function takes from its module, also within functions of its own."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)


def _loaded() -> Any:
    with lean():
        import numba
        import numba.extending
    return numba


def _keep_whole(kernel: Any) -> None:
    """Have the kernel's cache written and read as a whole; a numba that keeps it in another way is left alone."""
    cache: Any = getattr(kernel, "_cache", None)
    entries = getattr(cache, "_cache_file", None)
    if all(hasattr(entries, name) for name in _PARTS):
        cache._cache_file = _LockedEntries(entries)


class _LockedEntries:
    """The cache of one function: an index of signatures, and a file of machine code for each of them.

    numba gives the next free number to a file, writes that into the index, and then the file, without a lock. Two
    processes that compile different signatures in the same moment take the same number, and each runs the other's code;
    one that is killed between the two leaves a number for the code of an older version of the function. Here a lock is
    held, and the code is there before the index names it.
    """

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    def load(self, key: Any) -> Any:
        """The machine code for a signature, None if there is none."""
        with self._locked(fcntl.LOCK_SH):
            try:
                return self._entries.load(key)
            except (OSError, EOFError, pickle.UnpicklingError):  # what is damaged is compiled again
                return None

    def save(self, key: Any, data: Any) -> None:
        """Keep it; a disk that is full costs only the next run's time."""
        entries = self._entries
        with contextlib.suppress(OSError), self._locked(fcntl.LOCK_EX):
            index = entries._load_index()
            taken = set(index.values())
            free = (name for number in range(1, len(taken) + 2) if (name := entries._data_name(number)) not in taken)
            name = index.get(key) or next(free)
            entries._save_data(name, data)
            if key not in index:
                entries._save_index({**index, key: name})

    def flush(self) -> None:
        """Forget everything."""
        self._entries.flush()

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Hold the lock, which goes with the process; a folder that has no place for it is nobody else's to write."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            handle = os.open(self._entries._index_path + ".lock", flags, 0o666)
        except OSError:
            yield
            return
        try:
            with contextlib.suppress(OSError):  # no locks there
                fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)
