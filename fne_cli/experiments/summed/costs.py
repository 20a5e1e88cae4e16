"""What a row of the table took, as the run records of its files have it: seconds of a training, and before it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.experiments.plan import Cell
from fne_cli.store.output.notes import read_record

COSTS = ("seconds", "seconds_once", "joules")
"""Of a training, its choice of settings and its measurement, on average; of what all trainings share: the images
through the network. Energy of the GPU for one training, where its driver tells."""


def with_costs(cell: Cell, row: dict[str, Any]) -> dict[str, Any]:
    """The row, and what it took, as far as the records say."""
    runs = _runs(cell.job.output)
    own = [entry for run in runs for entry in _entries(run) if _is_of(entry, row)]
    found: dict[str, float] = {}
    for key in ("seconds", "joules"):
        values = [entry[key] for entry in own if _is_time(entry.get(key))]
        if values and len(values) == len(own):
            found[key] = round(statistics.fmean(values), 3)
    if cell.job.command == "tune":
        once = [run["once"] for run in runs[-1:] if _is_time(run.get("once"))]
    else:
        once = [run["seconds"] for job in cell.needs for run in _runs(job.output) if _is_time(run.get("seconds"))]
    if once:
        found["seconds_once"] = round(sum(once), 3)
    return row | {key: found[key] for key in COSTS if key in found}


def _runs(output: Path) -> Sequence[Mapping[str, Any]]:
    return [run for run in read_record(output).get("runs", []) if isinstance(run, Mapping)]


def _entries(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = run.get("results")
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def _is_of(entry: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a training is one of those that a row sums up."""
    keys = ("name", "training_images_per_class")
    return all(entry.get(key, row.get(key)) == row.get(key) for key in keys)


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
