"""OUTPUT.parts: what tasks leave on a shared file system for the process that gave them out, and for its next attempt.

A task is a function of this package, by name, and plain settings. Its result is a small JSON object, with arrays in
files beside it if there is more to say. The object is written last: where it stands, the task is finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from fne_cli.errors import BadInput
from fne_cli.store.format.schema import canonical_json
from fne_cli.store.output.record import software
from fne_cli.tasks.place import Place, Result

_NAME = re.compile(r"\.?[0-9a-f]{16}-.+")


class Engine(Protocol):
    """Runs functions that it knows by name, on plain settings, wherever it likes, until each has ended once."""

    def run(
        self, function: str, tasks: Sequence[Any], *, unit: str = "parts", sizes: Sequence[int] | None = None
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield the number of each task and its result, in the order they end in. sizes: in `unit`s, for people."""


Cluster = Callable[[], AbstractContextManager[Engine]]
"""Starts the workers, or finds them. A step calls it when there is work for them."""


class Parts:
    """Gives tasks to a cluster and keeps their results until the output is complete. Use as a context manager.

    Names in OUTPUT.parts begin with a digest of what the results depend on (`made_of`, plain, and the versions of the
    software): what an earlier attempt finished counts, what one with other settings left is removed. inputs: the
    fingerprints of the files that tasks read, by path. The workers are started when there is something to do.
    """

    def __init__(self, output: Path, made_of: Any, inputs: Mapping[Path, str], cluster: Cluster) -> None:
        self.folder = _folder(output)
        content = canonical_json({"made_of": made_of, "software": software("numba", "scipy", "scikit-learn")})
        self._digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        self.inputs = {os.path.abspath(path): digest for path, digest in inputs.items()}
        self._cluster = cluster
        self._engine: Engine | None = None
        self._stack = ExitStack()

    @classmethod
    def of(
        cls, output: Path, made_of: Any, inputs: Mapping[Path, str], cluster: Cluster | None
    ) -> AbstractContextManager[Parts | None, bool | None]:
        """The parts of an output that a cluster works on; without one, None, and what one has left goes at the end."""
        return _without(output) if cluster is None else cls(output, made_of, inputs, cluster)

    def place(self, label: str) -> Place:
        """Where the task of this label leaves its files."""
        return Place(self.folder, f"{self._digest}-{label}")

    def results(
        self,
        function: str,
        tasks: Sequence[Mapping[str, Any]],
        label: str,
        sizes: Sequence[int] | None = None,
        unit: str = "rows",
    ) -> Iterator[tuple[Result, Place]]:
        """What the tasks find, in their order, with the place of their files.

        function: the name of a `kept` one. label: tells these tasks from others of the same output. sizes: how many
        `unit`s each has, for the progress.
        """
        places = [self.place(f"{label}-{number:05d}") for number in range(len(tasks))]
        found = {number: result for number, place in enumerate(places) if (result := place.result()) is not None}
        open_ = [number for number in range(len(tasks)) if number not in found]
        asked = [self._task(places[number], tasks[number]) for number in open_]
        following = 0
        for number, result in self._run(function, asked, unit, sizes and [sizes[number] for number in open_]):
            found[open_[number]] = result
            while following in found:
                yield found.pop(following), places[following]
                following += 1
        for number in range(following, len(tasks)):
            yield found.pop(number), places[number]

    def _task(self, place: Place, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "folder": str(place.folder),
            "name": place.name,
            "inputs": list(self.inputs),
            "settings": {**settings, "inputs": self.inputs},
        }

    def _run(
        self, function: str, tasks: Sequence[Mapping[str, Any]], unit: str, sizes: Sequence[int] | None
    ) -> Iterator[tuple[int, Result]]:
        if tasks:
            if self._engine is None:
                self._engine = self._stack.enter_context(self._cluster())
            # closed before the engine, also when whoever takes the results fails
            yield from self._stack.enter_context(closing(self._engine.run(function, tasks, unit=unit, sizes=sizes)))

    def __enter__(self) -> Self:
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
        found = self.place("agreed").result() or {}
        sound = found.keys() == numbers.keys() and all(type(number) is int for number in found.values())
        return dict(found if sound else numbers)

    def agree(self, numbers: Mapping[str, int]) -> None:
        """Keep these for the next attempt."""
        with self.place("agreed").writing("json") as file:
            file.write(canonical_json(numbers).encode())


def _folder(output: Path) -> Path:
    return Path(os.path.abspath(output.with_name(output.name + ".parts")))


@contextmanager
def _without(output: Path) -> Iterator[None]:
    yield
    _remove(_folder(output), lambda name: True)


def _remove(folder: Path, chosen: Callable[[str], bool]) -> None:
    """Only what has a name as we give it; then the folder, if nothing is left in it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if _NAME.fullmatch(name) and chosen(name):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
        folder.rmdir()
