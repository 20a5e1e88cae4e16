"""Machine code from numba, kept on disk between runs where the disk allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(*signatures: str) -> Callable[[Kernel], Kernel]:
    """Compile a function for the given signatures at once, without the interpreter's lock.

    A cache that cannot be written (a read-only installation without a home) costs seconds of compiling, not the run.
    """

    def decorate(function: Kernel) -> Kernel:
        try:
            return numba.njit(list(signatures), nogil=True, cache=True)(function)
        except (RuntimeError, OSError):
            return numba.njit(list(signatures), nogil=True)(function)

    return decorate
