"""RESULTS... -> every evaluation with what it is called and where its images, activations and predictions are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fne_cli.errors import FneError
from fne_cli.store.other.results import Cell, Experiment, Results, read_results
from fne_cli.store.other.results.transfer import Transferred


@dataclass(frozen=True)
class Evaluated:
    """A results file and the names that its experiment gave it, "" without one.

    splits: the name of the protocol, where this is one of its several splits; of_splits: how many it has.
    """

    results: Results
    dataset: str = ""
    network: str = ""
    pooling: str = ""
    protocol: str = ""
    embedding: str = ""
    cell: Cell | None = None
    splits: str = ""
    of_splits: int = 0


@dataclass(frozen=True)
class Sources:
    """All that was given. failed: the cells of experiments without results, and why."""

    evaluated: list[Evaluated]
    experiments: list[Experiment]
    failed: list[tuple[str, str]]
    transfers: list[Transferred] = field(default_factory=list)

    @property
    def whole(self) -> list[Experiment | Transferred]:
        """The experiments of both commands."""
        return [*self.experiments, *self.transfers]

    @property
    def paths(self) -> list[Path]:
        """The files that were read."""
        return [each.path for each in self.whole] + [each.results.path for each in self.evaluated]


def gather(paths: Sequence[Path]) -> Sources:
    """Read results files and experiments. Raises the errors of `read_results`.

    A result that is given twice counts once; one of an experiment that cannot be read is among the failed.
    """
    found = Sources([], [], [])
    for path in paths:
        results = read_results(path)
        if isinstance(results, Results):
            found.evaluated.append(Evaluated(results))
            continue
        if isinstance(results, Transferred):
            found.transfers.append(results)
            found.failed.extend((str(run.file), run.error) for run in results.runs if run.error)
            continue
        found.experiments.append(results)
        counts = Counter(results.splits.values())
        for cell in results.cells:
            splits = results.splits.get(cell.protocol, "")
            _add(found, cell, splits, counts[splits])
    known: dict[tuple[str, ...], Evaluated] = {}
    for each in found.evaluated:
        names = (each.dataset, each.network, each.pooling, each.embedding, each.protocol)
        known.setdefault((each.results.fingerprint, *names), each)
    found.evaluated[:] = known.values()
    return found


def _add(found: Sources, cell: Cell, splits: str, of_splits: int) -> None:
    home = (cell.dataset, cell.network, cell.pooling)
    called = ", ".join(name for name in (*home, cell.embedding, cell.protocol) if name)
    if cell.results is None:
        found.failed.append((called, cell.error or "no results"))
        return
    try:
        results = read_results(cell.results)
        if not isinstance(results, Results):
            raise FneError(f"{cell.results} should be results of fne evaluate. Found: an experiment.")
    except FneError as error:
        found.failed.append((called, str(error)))
        return
    found.evaluated.append(Evaluated(results, *home, cell.protocol, cell.embedding, cell, splits, of_splits))


def extraction(results: Results) -> dict[str, Any]:
    """The settings of fne extract behind some results, {} if they do not say."""
    inner = results.made_from.get("activations", results.made_from)
    return inner if isinstance(inner, dict) else {}


def poolings(made: dict[str, Any]) -> set[str]:
    """How the layers of an extraction were pooled, by its settings."""
    layers = made.get("layers")
    return {value for value in layers.values() if isinstance(value, str)} if isinstance(layers, dict) else set()
