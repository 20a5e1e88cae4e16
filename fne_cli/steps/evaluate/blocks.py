"""Blocks of classes of one large fit as tasks of workers: their arrays pass through OUTPUT.parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fne_cli.numerics.svm.remote import WORKS, Arrays, BlockJob
from fne_cli.progress import Progress
from fne_cli.tasks.files import Result, TaskFiles, task
from fne_cli.tasks.parts import Parts


class Blocks:
    """What `numerics.svm.remote` asks for, by workers. An interrupted evaluation asks in the same order again.

    memory: bytes that a worker may hold of the arrays that blocks share; larger ones it reads from the file.
    """

    def __init__(self, parts: Parts, memory: int) -> None:
        self._parts, self._memory, self._calls = parts, memory, 0
        self.groups = parts.sizes.class_groups
        self._shared: dict[str, tuple[np.ndarray, str]] = {}

    def __call__(self, work: str, shared: Arrays, jobs: Sequence[BlockJob]) -> Iterator[Arrays]:
        """Call WORKS[work] for each job, and yield the arrays that it returns, in order."""
        self._calls += 1
        label = f"{work}-{self._calls:05d}"
        common = {"work": work, "memory": self._memory, "shared": self._share(label, shared)}
        tasks = []
        for number, (settings, arrays) in enumerate(jobs):
            own = self._parts.files(f"{label}-{number:05d}")
            if own.result() is None:
                own.save(**{f"in-{name}": values for name, values in arrays.items()})
            tasks.append(
                {**common, "own": {name: f"{own.name}.in-{name}.npy" for name in arrays}, "settings": settings}
            )
        found = self._parts.results("block", tasks, label, [1] * len(tasks), "blocks of classes")
        for (result, files), (_, arrays) in zip(found, jobs, strict=True):
            yield {name: files.load(name) for name in result["arrays"]}
            files.discard(f"in-{name}.npy" for name in arrays)

    def _share(self, label: str, arrays: Arrays) -> dict[str, str]:
        """The files of arrays that all blocks of a call have; as a rule those of the call before."""
        for name, values in arrays.items():
            before, where = self._shared.get(name, (None, label))
            if before is values:
                continue
            if before is not None:
                self._parts.files(where).discard([f"{name}.npy"])
            files = self._parts.files(label)
            if not files.path(f"{name}.npy").exists():
                files.save(**{name: values})
            self._shared[name] = (values, label)
        return {name: self._parts.files(self._shared[name][1]).path(f"{name}.npy").name for name in arrays}


@task
def solve_block(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: a function of WORKS for one block."""
    arrays = {name: files.beside(file) for name, file in settings["own"].items()}
    for name, file in settings["shared"].items():
        values = files.beside(file)
        arrays[name] = np.array(values) if values.nbytes <= settings["memory"] // 2 else values
    found = WORKS[settings["work"]](settings["settings"], arrays)
    files.save(**found)
    return {"arrays": list(found)}
