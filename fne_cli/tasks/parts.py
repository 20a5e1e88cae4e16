"""OUTPUT.parts: what tasks leave on a shared file system for the process that gave them out, and for its next attempt.

A task is a function of a step, by name, and plain settings. Its result is a small JSON object, with arrays in
files beside it if there is more to say. The object is written last: where it stands, the task is finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput
from fne_cli.store.format.text import canonical_json
from fne_cli.store.output.own import check_folder
from fne_cli.store.output.record import software
from fne_cli.tasks.engine import Cluster, Engine
from fne_cli.tasks.files import Result, TaskFiles

PARTS = ".parts"  # the end of the folder's name
_NAME = re.compile(r"\.?[0-9a-f]{16}-.+")


class Parts:
    """Gives tasks to a cluster and keeps their results until the output is complete. Use as a context manager.

    Names in OUTPUT.parts begin with a digest of what the results depend on (`made_of`, plain, and the versions of the
    software): what an earlier attempt finished counts, what one with other settings left is removed. inputs: the
    fingerprints of the files that tasks read, by path. The workers are started when there is something to do.
    """

    def __init__(self, output: Path, made_of: Any, inputs: Mapping[Path, str], cluster: Cluster) -> None:
        self.sizes = cluster.sizes
        self.folder = _folder(output)
        content = canonical_json({"made_of": made_of, "software": software("numba", "scipy", "scikit-learn")})
        self._digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        self.inputs = {os.path.abspath(path): digest for path, digest in inputs.items()}
        self._cluster = cluster
        self._engine: Engine | None = None
        self._stack = ExitStack()

    def files(self, label: str) -> TaskFiles:
        """What the task of this label leaves."""
        return TaskFiles(self.folder, f"{self._digest}-{label}")

    def results(
        self,
        function: str,
        tasks: Sequence[Mapping[str, Any]],
        label: str,
        sizes: Sequence[int] | None = None,
        unit: str = "rows",
    ) -> Iterator[tuple[Result, TaskFiles]]:
        """What the tasks find, in their order, with the files that they leave.

        function: the name of a `task`, as the engine knows it. label: tells these tasks from others of the same output.
        sizes: how many `unit`s each has, for the progress.
        """
        files = [self.files(f"{label}-{number:05d}") for number in range(len(tasks))]
        found = {number: result for number, own in enumerate(files) if (result := own.result()) is not None}
        open_ = [number for number in range(len(tasks)) if number not in found]
        asked = [self._task(files[number], tasks[number]) for number in open_]
        following = 0
        for number, result in self._run(function, asked, unit, sizes and [sizes[number] for number in open_]):
            found[open_[number]] = result
            while following in found:
                yield found.pop(following), files[following]
                following += 1
        for number in range(following, len(tasks)):
            yield found.pop(number), files[number]

    def _task(self, files: TaskFiles, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "folder": str(files.folder),
            "name": files.name,
            "inputs": list(self.inputs),
            "settings": {**settings, "inputs": self.inputs},
        }

    def _run(
        self, function: str, tasks: Sequence[Mapping[str, Any]], unit: str, sizes: Sequence[int] | None
    ) -> Iterator[tuple[int, Result]]:
        if tasks:
            if self._engine is None:
                self._engine = self._stack.enter_context(self._cluster.start())
            # closed before the engine, also when whoever takes the results fails
            yield from self._stack.enter_context(closing(self._engine.run(function, tasks, unit=unit, sizes=sizes)))

    def __enter__(self) -> Self:
        check_folder(self.folder)
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self.folder} should be a folder to write to. Found: {error.strerror}.") from error
        _remove(self.folder, lambda name: not name.startswith(self._digest))
        self.folder.mkdir(exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        try:
            self._stack.__exit__(kind, *error)
        finally:
            _remove(self.folder, lambda name: kind is None or name.startswith("."))

    def agreed(self, numbers: Mapping[str, int]) -> dict[str, int]:
        """What an earlier attempt has kept of these, so that the parts it finished fit; else the same again.

        For what a command finds out by looking at its machine: free memory, processors.
        """
        found = self.files("agreed").result() or {}
        sound = found.keys() == numbers.keys() and all(type(number) is int for number in found.values())
        return dict(found if sound else numbers)

    def agree(self, numbers: Mapping[str, int]) -> None:
        """Keep these for the next attempt."""
        with self.files("agreed").writing("json") as file:
            file.write(canonical_json(numbers).encode())


def remove_parts(output: Path) -> None:
    """What an earlier attempt with a cluster has left, if anything."""
    _remove(_folder(output), lambda name: True)


def _folder(output: Path) -> Path:
    return Path(os.path.abspath(output.with_name(output.name + PARTS)))


def _remove(folder: Path, chosen: Callable[[str], bool]) -> None:
    """Only what has a name as we give it; then the folder, if nothing is left in it."""
    with contextlib.suppress(OSError):
        if folder.is_symlink():
            return
        for name in os.listdir(folder):
            if _NAME.fullmatch(name) and chosen(name):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
        folder.rmdir()
