"""Reading and computing in threads, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from fne_cli.processors import processors

Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_THREADS = 16


def threads(batch_rows: int, rows_each: int) -> int:
    """How many threads may hold `rows_each` rows each when `batch_rows` may be in memory: one at least, a core each."""
    return max(1, min(processors(), MAX_THREADS, batch_rows // max(1, rows_each)))


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Yield work(task) for each task, in their order, computed by `workers` threads.

    At most workers + 1 results wait, so memory is bounded. An error of a task is raised in its turn; leaving early
    waits for the tasks that have begun and drops the others.
    """
    remaining = iter(tasks)
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fne-reader")
    try:
        pending.extend(pool.submit(work, task) for task in islice(remaining, workers + 1))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(work, task) for task in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
