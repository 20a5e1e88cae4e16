"""Machine code from numba, without the interpreter's lock, kept on the disk between runs where the disk allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(*signatures: str) -> Callable[[Kernel], Kernel]:
    """Compile a function for the given signatures at once, or without any on its first call, in strict arithmetic.

    A cache that cannot be written (a read-only installation without a home) costs seconds of compiling, not the run.
    """

    def decorate(function: Kernel) -> Kernel:
        wanted = list(signatures) or None
        try:
            ready: Kernel = numba.njit(wanted, nogil=True, cache=True)(function)
        except (RuntimeError, OSError):
            ready = numba.njit(wanted, nogil=True)(function)
        return ready

    return decorate
