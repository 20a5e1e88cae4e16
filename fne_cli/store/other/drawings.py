"""Figures as files of a folder, each a PNG and an SVG, and a record there that says what they were made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput, DifferentOutput
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output.notes import read_record, record_path
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state
from fne_cli.store.output.up_to_date import follow, is_older


class Drawings:
    """The figures of these names. `maker`, plot or report, names the record; `digest` says what they show.

    Use as a context manager to draw: the record is written before the first, so that what an interrupted run leaves is
    known as ours, and again when all are there. Raises the errors of Output.
    """

    def __init__(self, folder: Path, maker: str, names: Sequence[str], digest: str, origin: Origin) -> None:
        self._folder, self._names, self._digest, self._origin = folder, names, digest, origin
        self._record = folder / maker

    def are_there(self, overwrite: bool, origin: str, progress: Progress = SILENT) -> bool:
        """Whether the folder, made if need be, has them. Raises DifferentOutput if it has others of their names.

        Those that the same command has drawn of inputs that have changed are drawn again, and `progress` is told.
        origin: what they are made from, for the message.
        """
        try:
            os.makedirs(self._folder, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self._folder} should be a folder for figures. Found: {error.strerror}.") from error
        record = read_record(self._record)
        ours = record.get("fingerprint") == self._digest
        there = [path.name for name in self._names for path in self._paths(name) if path.exists()]
        if there and not ours and not overwrite:
            as_drawn = record.get("figures", self._states()) == self._states()
            if as_drawn and isinstance(record.get("settings"), dict) and isinstance(record.get("sources"), list):
                head = {"network": None, **record}
                follow(self._record, self._origin, head, progress, f"{there[0]} in {self._folder}")
                return False
            raise DifferentOutput(
                f"{self._folder} has {there[0]}, which was not made from {origin}, or with other options.\n"
                "Choose another folder, or give --overwrite to replace it."
            )
        self._check_replaceable(record)
        done = ours and not overwrite and record.get("figures") == self._states()
        if done:
            self._refresh()
        return done

    def _check_replaceable(self, record: Mapping[str, Any]) -> None:
        """Raises DifferentOutput for a file that no record knows as a figure of ours, and that is not empty."""
        if record and "figures" not in record:
            return  # of a run that was interrupted: nobody knows how far it came
        known = record.get("figures")
        for name in self._names:
            states = known.get(name) if isinstance(known, dict) else None
            for number, path in enumerate(self._paths(name)):
                if path.exists() and path.stat().st_size:
                    state = states[number] if isinstance(states, list) and len(states) == 2 else None
                    if state != file_state(path):
                        raise DifferentOutput(
                            f"{path} exists, so it should be the figure that fne has drawn there to be replaced. "
                            "Found: another file.\nChoose another folder, or remove that file."
                        )

    def _refresh(self) -> None:
        """Give figures that are up to date today's time if what they are made from is newer, as `refresh` does."""
        files = [path for name in self._names for path in self._paths(name)]
        if files and any(is_older(path, self._origin.paths) for path in files):
            with suppress(OSError):
                for path in files:
                    os.utime(path)
                self._note({"figures": self._states()})

    def draw(self, name: str, function: Callable[..., None], *contents: Any, **tables: Any) -> None:
        """Call function(PNG, SVG, ...), which writes both."""
        png, svg = self._paths(name)
        with Output(png) as one, Output(svg) as other:
            function(one.into, other.into, *contents, **tables)
            one.accept()
            other.accept()

    def __enter__(self) -> Self:
        self._note({})
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._note({"figures": self._states()})

    def _note(self, state: Mapping[str, Any]) -> None:
        with Output(record_path(self._record)) as output:  # it says what a full disk is
            output.write_json({"fingerprint": self._digest, **self._origin.noted_whole(self._record), **state})
            output.accept()

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.png", self._folder / f"{name}.svg"

    def _states(self) -> dict[str, Any]:
        return {
            name: [file_state(path) if path.exists() else None for path in self._paths(name)] for name in self._names
        }
