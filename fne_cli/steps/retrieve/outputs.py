"""The files of a measurement of retrieval: results, and a line for each query."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.retrieve.measure import Measured
from fne_cli.store.other.cells import as_cell
from fne_cli.store.output.notes import record_path
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded, up_to_date
from fne_cli.vectors.items import Items

COLUMNS = ("embedding", "setup", "query", "relevant", "nearest", "nearest_is_relevant")


class Outputs:
    """RESULTS, and --per-query, None where it was not asked for. Use as a context manager to write them."""

    def __init__(self, results: Path | None, per_query: Path | None, origin: Origin) -> None:
        self._origin = origin
        self._results, self._per_query = results, per_query
        paths = [path.resolve() for path in (results, per_query) if path is not None]
        taken = [place for path in paths for place in (path, record_path(path), Output(path).partial)]
        if len(set(taken)) < len(taken):
            raise BadInput(
                "RESULTS and --per-query should be different files, and none the record of the other. "
                f"Found: {', '.join(map(str, paths))}."
            )
        self._stack = ExitStack()
        self._open: dict[Path, Output] = {}

    @property
    def _digest(self) -> str:
        return hashlib.sha256(f"queries {self._origin.fingerprint}".encode()).hexdigest()

    def are_there(self, overwrite: bool, progress: Progress) -> bool:
        """Whether results are there that need no measuring, and lines. Raises DifferentOutput if others are."""
        known = self._results is not None and up_to_date(self._results, self._origin, overwrite, progress)
        if self._per_query is None:
            return known
        quiet = SILENT if self._results is not None else progress
        lines = is_recorded(
            self._per_query, self._digest, self._origin, overwrite, "of this measurement", quiet, kind="queries"
        )
        return known and lines

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for path in (self._results, self._per_query):
                if path is not None:
                    self._open[path] = stack.enter_context(Output(path))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def finish(self, document: dict[str, Any], lines: Iterable[Sequence[Any]], run: dict[str, Any]) -> None:
        """Write them, and give them their names."""
        if self._per_query is not None:
            with open(self._open[self._per_query].into, "w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(lines)
        if self._results is not None:
            self._open[self._results].write_json(document)
        for path, output in self._open.items():
            if path == self._results:
                noted = self._origin.noted(path)
                output.accept({"fingerprint": self._origin.fingerprint, **noted, "runs": [run]})
            else:
                noted = self._origin.noted_whole(path) | {"kind": "queries"}
                output.accept_noted({"fingerprint": self._digest, **noted, "runs": [run]})


def lines_of(name: str, found: Measured, queries: Items, among: Items) -> Iterable[Sequence[Any]]:
    """A line for each query that has relevant images."""
    for line, place in enumerate(found.queries.tolist()):
        nearest = among.names[int(found.nearest[line])]
        values = (values[line] for values in found.values.values())
        yield (
            as_cell(name), found.setup, as_cell(queries.names[place]), int(found.relevant[line]), as_cell(nearest),
            int(found.first[line]), *(float(value) for value in values),
        )  # fmt: skip
