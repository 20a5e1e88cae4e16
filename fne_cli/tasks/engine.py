"""What a step asks of whoever runs its tasks: the protocol of an engine, and the workers that a command was given."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


class Engine(Protocol):
    """Runs functions that it knows by name, on plain settings, wherever it likes, until each has ended once."""

    @property
    def workers(self) -> int:
        """How many tasks are worked on at a time when everybody has come."""

    @property
    def threads(self) -> int | None:
        """Threads that a worker may use for itself; None for all of its machine's."""

    def run(
        self,
        function: str,
        tasks: Sequence[Any],
        *,
        unit: str = "parts",
        sizes: Sequence[int] | None = None,
        done: Sequence[int] | None = None,
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield the number of each task and its result, in the order they end in.

        sizes: how many `unit`s each task has, for people; without a unit nobody is told. done: how many of them an
        earlier run did.
        """


@dataclass(frozen=True)
class TaskSizes:
    """How much work one task is.

    row_bytes: of stored rows that it reads. features: of a layer that `fne analyze` compares, or as many as have
    feature_bytes of values; every such task reads the whole layer (two cores: reading takes 9 ns for each value,
    computing 66 to 150). class_groups: groups of 32 classes that a block of a shared fit has, as many as processors
    that a worker is sure to have. fit_seconds: a fit that takes longer, on two cores, is shared by all workers.
    """

    row_bytes: int = 1 << 30
    features: int = 1024
    feature_bytes: int = 1 << 34
    class_groups: int = 4
    fit_seconds: float = 600.0


@dataclass(frozen=True)
class Cluster:
    """Workers to share a step with. start: finds them, or starts them; a step calls it when there is work for them.

    local_workers: how many of them share the memory of this machine.
    """

    start: Callable[[], AbstractContextManager[Engine]]
    local_workers: int = 1
    sizes: TaskSizes = field(default_factory=TaskSizes)
