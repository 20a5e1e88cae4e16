"""Functions compiled by numba: without the interpreter lock, kept on the disk between runs where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on the first call. Strict IEEE arithmetic: no reordering, no fused operations."""
    try:
        ready: F = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache folder can be written
        ready = numba.njit(nogil=True)(function)
    return ready
