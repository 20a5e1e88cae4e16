"""Figures as files of a folder, each a PNG and an SVG or more, and a record there of what they were made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput, DifferentOutput, FneError
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output.notes import is_older, read_record, record_path
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, sha256_of
from fne_cli.store.output.up_to_date import follow


class Drawings:
    """The figures of these names. `maker`, plot or report, names the record; `digest` says what they show.

    endings: of the files of each figure; what a record of fewer says is of the first of them.

    Use as a context manager to draw: the record is written before the first, so that what an interrupted run leaves is
    known as ours, and again when all are there. Raises the errors of Output.
    """

    def __init__(
        self, folder: Path, maker: str, names: Sequence[str], digest: str, origin: Origin,
        endings: Sequence[str] = (".png", ".svg"),
    ) -> None:  # fmt: skip
        self._folder, self._names, self._digest, self._origin = folder, names, digest, origin
        self._endings = endings
        self._record = folder / maker
        self._others: Any = None

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
            as_drawn = "figures" not in record or self._as_noted(record)
            if as_drawn and isinstance(record.get("settings"), dict) and isinstance(record.get("sources"), list):
                head = {"network": None, **record}
                follow(self._record, self._origin, head, progress, f"{there[0]} in {self._folder}")
                return False
            raise DifferentOutput(
                f"{self._folder} has {there[0]}, which was not made from {origin}, or with other options.\n"
                "Choose another folder, or give --overwrite to replace it."
            )
        self._check_replaceable(record)
        done = ours and not overwrite and self._as_noted(record)
        if done:
            self._refresh()
        return done

    def _check_replaceable(self, record: Mapping[str, Any]) -> None:
        """Raises DifferentOutput for a file that no record knows as a figure of ours, and that is not empty."""
        if record and "figures" not in record:
            return  # of a run that was interrupted: nobody knows how far it came
        for name in self._names:
            for path, state in self._noted(record, name):
                if path.exists() and path.stat().st_size and not _is_same(path, state):
                    raise DifferentOutput(
                        f"{path} exists, so it should be the figure that fne has drawn there to be replaced. "
                        "Found: another file.\nChoose another folder, or remove that file."
                    )

    def _as_noted(self, record: Mapping[str, Any]) -> bool:
        """Whether the figures are those that the record speaks of."""
        return all(
            path.exists() and _is_same(path, state) for name in self._names for path, state in self._noted(record, name)
        )

    def _refresh(self) -> None:
        """Give figures that are up to date today's time if what they are made from is newer, as `refresh` does.

        What a killed run left beside them goes.
        """
        files = [path for name in self._names for path in self._paths(name)]
        for path in (record_path(self._record), *files):
            Output(path).tidy()
        if files and any(is_older(path, self._origin.paths) for path in files):
            with suppress(OSError, FneError):
                for path in files:
                    os.utime(path)
                self._note({"figures": self._states()})

    def draw(self, name: str, function: Callable[..., None], *contents: Any, **tables: Any) -> None:
        """Call function(PNG, SVG, ...), which writes all of them."""
        with ExitStack() as stack:
            outputs = [stack.enter_context(Output(path)) for path in self._paths(name)]
            function(*(output.into for output in outputs), *contents, **tables)
            for output in outputs:
                output.accept()

    def __enter__(self) -> Self:
        self._others = read_record(self._record).get("figures")
        self._note({})
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            others = self._others if isinstance(self._others, dict) else {}
            self._note({"figures": {**others, **self._states()}})

    def _note(self, state: Mapping[str, Any]) -> None:
        with Output(record_path(self._record)) as output:  # it says what a full disk is
            output.write_json({"fingerprint": self._digest, **self._origin.noted_whole(self._record), **state})
            output.accept()

    def _paths(self, name: str) -> list[Path]:
        return [self._folder / f"{name}{ending}" for ending in self._endings]

    def _noted(self, record: Mapping[str, Any], name: str) -> list[tuple[Path, Any]]:
        """The files of a figure, and what a record says of each, None where it says nothing."""
        known = record.get("figures")
        states = known.get(name) if isinstance(known, dict) else None
        return list(zip_longest(self._paths(name), states[: len(self._endings)] if isinstance(states, list) else []))

    def _states(self) -> dict[str, Any]:
        return {
            name: [file_state(path) | {"sha256": sha256_of(path)} for path in self._paths(name)] for name in self._names
        }


def _is_same(path: Path, state: Any) -> bool:
    """Whether a file is the one that was noted, by size and time, or by its bytes: the times of a copy are others."""
    if not isinstance(state, dict):
        return False
    found = file_state(path)
    return found == {key: state.get(key) for key in found} or state.get("sha256") == sha256_of(path)
