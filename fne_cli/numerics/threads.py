"""Threads that divide the work the same way whatever their number, so that results do not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from fne_cli.machine import processors


@contextmanager
def workers(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of `threads` (default: all processors) in which every matrix product stays on the thread that asks for it.

    A BLAS that splits a product over its own threads rounds differently with their number; the callers split the work
    into pieces of fixed size instead. The limit holds for the whole process while the pool is open.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or processors()) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
