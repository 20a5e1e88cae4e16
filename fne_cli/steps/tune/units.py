"""The trainings of a tuning by their names: what came of each, on the disk as soon as it is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, Stopped
from fne_cli.networks.running.energy import joules
from fne_cli.progress import Progress
from fne_cli.store.output import checkpoint
from fne_cli.training.loop import Loop


class Units:
    """finished: what came of each training, with the seconds and, where the driver of the GPU tells, joules it took.

    head: what stands in every checkpoint. runs: the last is the record of this process, kept up to date.
    """

    def __init__(self, output: Path, head: Mapping[str, Any], runs: list[dict[str, Any]]) -> None:
        self.output, self.head, self.runs = output, head, runs
        self.finished: dict[str, dict[str, Any]] = {}
        self.began = time.monotonic()
        self._found: tuple[Mapping[str, Any], Mapping[str, np.ndarray]] | None = None
        self._begin("")

    def take_up(self, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from a checkpoint. Raises DamagedFile for one that is of no tuning."""
        try:
            self.finished = {str(name): dict(unit) for name, unit in head["finished"].items()}
            for unit in (*self.finished.values(), head):
                float(unit["seconds"])
                float(unit["joules"] or 0)
            if head["unit"]:
                self._found = head, arrays
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedFile(
                f"{checkpoint.place_of(self.output)} should be a checkpoint of this tuning. Found: {error}.",
                remedy="--overwrite begins again.",
            ) from error

    def do(self, name: str, work: Callable[[], dict[str, Any]], progress: Progress) -> dict[str, Any]:
        """What came of a training: as it is known, or by doing it. Raises Stopped when a signal came meanwhile."""
        if name not in self.finished:
            self._begin(name)
            self.finished[name] = work() | self._taken()
            self._begin("")
            checkpoint.write(self.output, {**self.head, **self.state(), "runs": self.runs}, {})
            with progress.deferred() as asked:
                code = asked()
            if code is not None:
                raise Stopped("Stopped between two trainings. Run the same command again to go on.", code)
        return self.finished[name]

    def goes_on(self, loop: Loop) -> bool:
        """Whether the checkpoint that was found is of the training under way, which then goes on from there."""
        found, self._found = self._found, None
        if found is None or found[0]["unit"] != self._name:
            return False
        self._seconds, self._joules = float(found[0]["seconds"]), float(found[0]["joules"] or 0)
        loop.go_on(*found)
        return True

    def state(self) -> dict[str, Any]:
        """What a checkpoint has of it."""
        return {"finished": self.finished, "unit": self._name, **self._taken()}

    def _begin(self, name: str) -> None:
        self._name, self._since, self._meter = name, time.monotonic(), joules()
        self._seconds = self._joules = 0.0  # what earlier processes spent on it

    def _taken(self) -> dict[str, float | None]:
        now = joules()
        energy = None if now is None or self._meter is None else self._joules + now - self._meter
        return {"seconds": self._seconds + time.monotonic() - self._since, "joules": energy}
