"""How many threads may compute. A leaf like ``errors``."""

from __future__ import annotations

import os


def processors() -> int:
    """Processors that this process may use; NUMBA_NUM_THREADS if that is less, as where workers share a machine."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return max(1, min(own, int(limit))) if limit.isdecimal() else own
