"""OUTPUT.parts: what tasks leave on a shared file system for the process that gave them out, and for its next attempt.

A task is a function of this package, by name, and plain settings. Its result is a small JSON object, with arrays in
files beside it if there is more to say. The object is written last: where it stands, the task is finished.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, Stopped
from fne_cli.progress import SILENT, Progress
from fne_cli.store.claims import parse_json
from fne_cli.store.schema import canonical_json
from fne_cli.store.several import Several
from fne_cli.store.software import software

Result = dict[str, Any]

_SHARED = "With --cluster, inputs and outputs lie on a file system that all machines share, under one path."
_NAME = re.compile(r"\.?[0-9a-f]{16}-.+")
_PATIENCE = 90.0  # seconds until what one machine wrote can be seen on another: NFS looks again after 60 at most


class Engine(Protocol):
    """Runs functions that it knows by name, on plain settings, wherever it likes, until each has ended once."""

    def run(
        self, function: str, tasks: Sequence[Any], *, unit: str = "parts", sizes: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of each task and its result, in the order they end in. sizes: in `unit`s, for people."""


Cluster = Callable[[], AbstractContextManager[Engine]]
"""Starts the workers, or finds them. A step calls it when there is work for them."""


@dataclass(frozen=True)
class Place:
    """Where a task may leave files; every file's name begins with the task's."""

    folder: Path
    name: str

    def path(self, what: str) -> Path:
        """OUTPUT.parts/TASK.WHAT."""
        return self.folder / f"{self.name}.{what}"

    @contextmanager
    def writing(self, what: str) -> Iterator[BinaryIO]:
        """A file that gets its name when it is complete and on the disk."""
        scratch = self.folder / f".{self.name}.{what}.{platform.node()}-{os.getpid()}"
        try:
            with open(scratch, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, self.path(what))
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise

    def save(self, **arrays: np.ndarray) -> None:
        """Write arrays as TASK.NAME.npy."""
        for name, values in arrays.items():
            with self.writing(f"{name}.npy") as file:
                np.save(file, values, allow_pickle=False)

    def load(self, name: str) -> np.ndarray:
        """An array that `save` wrote, memory-mapped. Raises DamagedFile."""
        return self.beside(self.path(f"{name}.npy").name)

    def beside(self, file: str) -> np.ndarray:
        """The same, of any task."""
        path = visible(self.folder / file)
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DamagedFile(f"{path} should be an array. Found: {error}.\nRemove {self.folder}.") from error
        return array

    def discard(self, files: Iterable[str]) -> None:
        """Remove files of this task that nobody needs any more."""
        for what in files:
            self.path(what).unlink(missing_ok=True)

    def result(self) -> Result | None:
        """What the task found, None if it is not finished."""
        try:
            found = parse_json(self.path("json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def kept(work: Callable[[Any, Place, Progress], Result]) -> Callable[[Mapping[str, Any], Progress], Result]:
    """Make a task of work(settings, place, progress): look whether the worker sees the files, and keep the result."""

    @functools.wraps(work)
    def run(task: Mapping[str, Any], progress: Progress = SILENT) -> Result:
        place = Place(Path(task["folder"]), task["name"])
        for path in (*task["inputs"], task["folder"]):
            if not os.path.exists(path):
                raise BadInput(f"Worker {platform.node()} should see {path}. Found: no such file there.\n{_SHARED}")
        found = place.result()
        if found is None:
            with progress.deferred() as asked:
                found = work(task["settings"], place, _Interruptible(progress, asked))
            with place.writing("json") as file:
                file.write(json.dumps(found).encode())
        return found

    return run


class _Interruptible(Progress):
    """The progress of a task that ends when it gets on and nobody wants it any more."""

    def __init__(self, progress: Progress, asked: Callable[[], int | None]) -> None:
        self._progress, self._asked = progress, asked
        self.note, self.detail = progress.note, progress.detail  # type: ignore[method-assign]  # passed on as they are

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """As it does, and raises Stopped."""
        with self._progress.track(total, unit, done) as advance:

            def interruptible(count: int) -> None:
                advance(count)
                if (code := self._asked()) is not None:
                    raise Stopped("Stopped.", code)

            yield interruptible


def check_same(path: Path, found: str, inputs: Mapping[str, str]) -> None:
    """Raise BadInput on a worker that sees another file under a path than the command does; `found`: its fingerprint.

    inputs: fingerprints by absolute path.
    """
    if inputs[str(path)] != found:
        raise BadInput(
            f"Worker {platform.node()} should see the same {path} as the command. Found: another file there.\n{_SHARED}"
        )


def reopened(settings: Mapping[str, Any]) -> Several:
    """On a worker: the activations files of a task, settings["paths"], which are those that the command read."""
    files = Several([Path(path) for path in settings["paths"]])
    try:
        for path, digest in files.fingerprints.items():
            check_same(path, digest, settings["inputs"])
    except BaseException:
        files.close()
        raise
    return files


class Parts:
    """Gives tasks to a cluster and keeps their results until the output is complete. Use as a context manager.

    Names in OUTPUT.parts begin with a digest of what the results depend on (`made_of`, plain, and the versions of the
    software): what an earlier attempt finished counts, what one with other settings left is removed. inputs: the
    fingerprints of the files that tasks read, by path. The workers are started when there is something to do.
    """

    def __init__(self, output: Path, made_of: Any, inputs: Mapping[Path, str], cluster: Cluster) -> None:
        self.folder = Path(os.path.abspath(output.with_name(output.name + ".parts")))
        content = canonical_json({"made_of": made_of, "software": software("numba", "scipy", "scikit-learn")})
        self._digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        self.inputs = {os.path.abspath(path): digest for path, digest in inputs.items()}
        self._cluster = cluster
        self._engine: Engine | None = None
        self._stack = ExitStack()

    @classmethod
    def of(
        cls, output: Path, made_of: Any, inputs: Mapping[Path, str], cluster: Cluster | None
    ) -> AbstractContextManager[Parts | None, None]:
        """The parts of an output that a cluster works on; without one, None."""
        if cluster is None:
            return nullcontext()
        return cls(output, made_of, inputs, cluster)

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
            yield from self._engine.run(function, tasks, unit=unit, sizes=sizes)

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self.folder} should be a folder to write to. Found: {error.strerror}.") from error
        self._remove(lambda name: not name.startswith(self._digest))
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        try:
            self._stack.__exit__(kind, *error)
        finally:
            self._remove(lambda name: kind is None or name.startswith("."))
            with contextlib.suppress(OSError):
                self.folder.rmdir()  # if nothing is left in it

    def _remove(self, chosen: Callable[[str], bool]) -> None:
        """Only what has a name as we give it."""
        for name in os.listdir(self.folder):
            if _NAME.fullmatch(name) and chosen(name):
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()


def visible(path: Path) -> Path:
    """Wait for a file that another machine says is there."""
    deadline = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        os.listdir(path.parent)  # has NFS look again
        time.sleep(0.2)
    return path
