"""results.json and results.csv of an experiment: every cell, every layer, means and standard deviations."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shlex
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from fne_cli.errors import DamagedFile, FneError
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.plan import LAYERS, Cell, Plan
from fne_cli.experiments.summed.additions import additions
from fne_cli.experiments.summed.comparison import Measured, compared, without_comparison
from fne_cli.experiments.summed.costs import COSTS, with_costs
from fne_cli.experiments.written.config import FIGURES, Experiment, Value
from fne_cli.measures import RANK_MEASURES
from fne_cli.store.format.text import parse_json
from fne_cli.store.other import results as stored
from fne_cli.store.other.cells import as_cell
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import plain, software
from fne_cli.store.output.sealed import is_intact, without_digest

_TABLE = 4  # the way in which it is made from the results; another number makes every table anew
KEYS = ("dataset", "network", "pooling", "embedding", "protocol", "name")
SETTINGS_FILE, EFFECTS_FILE = "settings.csv", "effects.csv"
"""Of an experiment with factors: every setting; what each value of each factor adds."""
CHOSEN = ("C", "absolute_C", "penalty", "shrinkage", "recipe")
SETTINGS = ("features", "training_rows", "test_rows", *CHOSEN, "trials", "folds")
"""What the splits of a protocol may differ in without being a figure that has a mean."""


def document(experiment: Experiment, plan: Plan, failed: Mapping[Path, str]) -> dict[str, Any]:
    """results.json. The same experiment gives the same bytes, however often it was interrupted. Raises DamagedFile."""
    rows: list[dict[str, Any]] = []
    cells = []
    costly = bool(experiment.named["tunings"])  # what they cost is what they are compared by
    for _, group in groupby(plan.cells, _home):
        measured: list[Measured] = []
        members = list(group)
        for cell in members:
            error = failed.get(cell.job.output)
            if error is None:
                found = _measured(cell, cell.job.output)
                measured += [replace(one, row=with_costs(cell, one.row)) for one in found] if costly else found
            cells.append(_cell(experiment, cell, error))
        rows += compared(measured, members[0].embedding)
    more = additions(experiment, plan, rows, failed, FIGURES)
    return {
        "format": "fne",
        "version": stored.VERSION,
        "kind": "experiment",
        "name": experiment.name,
        "config": _config(experiment),
        "software": software(),
        "cells": cells,
        "results": [*rows, *_over_splits(plan, rows)],
        **more,
        "commands": [_folders(plan), *(job.line(experiment.options) for job in plan.jobs)],
    }


def _folders(plan: Plan) -> str:
    """The command that makes the folders, which the others expect."""
    return shlex.join(["mkdir", "-p", *dict.fromkeys(str(job.output.parent) for job in plan.jobs)])


def has_more(path: Path, table: Mapping[str, Any]) -> bool:
    """Whether the results.json that is there has more cells with results than this table, still those of its files."""
    try:
        old = stored.read_results(path)
        if not isinstance(old, stored.Experiment):
            return False
        measured = [cell for cell in old.cells if cell.results is not None]
        if len(measured) <= sum(cell["error"] is None for cell in table["cells"]):
            return False
        rows = [one.row for cell in measured if cell.results is not None for one in _measured(cell, cell.results)]
        known = [without_comparison(row) for row in read_table(path)["results"] if "splits" not in row]
        beside = (*RANK_MEASURES, *COSTS)
        return rows == [{key: value for key, value in row.items() if key not in beside} for row in known]
    except (FneError, TypeError):
        return False


def table_job(experiment: Experiment, plan: Plan) -> Job:
    """What results.json and results.csv are made from, for a stamp: reading every result again takes its time."""
    said = {"config": _config(experiment), "software": software(), "name": experiment.name, "table": _TABLE}
    lines = [job.line(experiment.options) for job in plan.jobs]
    digest = hashlib.sha256(json.dumps([said, lines]).encode()).hexdigest()
    names = ("results.json", "results.csv", *([SETTINGS_FILE, EFFECTS_FILE] if plan.tried else []))
    outputs = tuple(experiment.output / name for name in names)
    read = dict.fromkeys([*(cell.job.output for cell in plan.measured), *(job.output for job in plan.ranks.values())])
    return Job("table", (digest,), {}, tuple(read), outputs)


def read_table(path: Path) -> dict[str, Any]:
    """results.json as `write_table` left it. Raises DamagedFile."""
    try:
        table = parse_json(path.read_bytes())
        if isinstance(table, dict) and isinstance(table["results"], list) and is_intact(table):
            return without_digest(table)
    except (OSError, ValueError, KeyError):
        pass
    raise DamagedFile(
        f"{path} should be the table of this experiment. Found: something else. Remove it, and run again."
    )


def write_table(results: Output, table: dict[str, Any]) -> None:
    """Put results.json in its place, and results.csv beside it; files with the same content stay as they are."""
    write_text(results.path.with_suffix(".csv"), _csv(table["results"]))
    results.write_json(table)
    if not results.path.exists() or results.path.read_bytes() != results.partial.read_bytes():
        results.accept()


def write_text(path: Path, text: str) -> None:
    """Put a text in its place; a file with the same stays as it is."""
    content = text.encode("utf-8", "backslashreplace")
    if not path.exists() or path.read_bytes() != content:
        with Output(path) as output:
            output.into.write_bytes(content)
            output.accept()


def _config(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """What was asked for and what that means by default, without what changes no result."""
    silent = ("workers", "memory", "decode_memory", "output")
    return {
        name: {
            key: plain(_told(entry))
            for key, entry in table.items()
            # nothing names the SVM, as results did not when there was no other classifier, nor an absolute C
            if key not in silent and (key, entry.value) not in (("classifier", "svm"), ("relative_cost", False))
        }
        for name, table in experiment.effective()
    }


def _told(entry: Value) -> Any:
    return str(entry.value) if isinstance(entry.value, Path) or entry.value == math.inf else entry.value


def _cell(experiment: Experiment, cell: Cell, error: str | None) -> dict[str, Any]:
    def beside(path: Path) -> str:
        return path.relative_to(experiment.output).as_posix()

    predictions = next((path for path in cell.job.outputs if path.suffix == ".csv"), None)
    return {
        **{key: getattr(cell, key) for key in KEYS[:5]},
        "results": None if error else beside(cell.job.output),
        "predictions": None if error or predictions is None else beside(predictions),
        "activations": beside(cell.activations),
        "images": cell.images,
        "root": cell.root,
        "error": error,
    }


def _home(cell: Cell) -> tuple[str, str, str, str]:
    """The same for the cells that can be compared; they stand beside each other."""
    return cell.dataset, cell.network, cell.pooling, cell.protocol


def _measured(cell: Cell | stored.Cell, path: Path) -> list[Measured]:
    """Every figure of every embedding or layer that is one value, or two: an interval. Raises DamagedFile."""
    try:
        results = stored.read_results(path)  # raises if a figure is none
        if not isinstance(results, stored.Results):
            raise ValueError(f"{path} should be what fne evaluate writes. Found: a table of fne run.")
        entries = parse_json(path.read_bytes())["results"]
    except (FneError, OSError, ValueError) as error:
        raise DamagedFile(f"{error}\nRemove {path}, and run again.") from error
    home = {key: getattr(cell, key) for key in KEYS[:5]}
    return [
        Measured({**home, "name": entry["name"], **_figures(entry)}, read.right)
        for entry, read in zip(entries, results.entries, strict=True)
    ]


def _figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    def small(value: Any) -> bool:
        return value is None or isinstance(value, str | int | float) or (_numbers(value) and len(value) <= 10)

    return {key: value for key, value in entry.items() if key not in ("name", "right") and small(value)}


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, int | float) for one in value)


def _over_splits(plan: Plan, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean and standard deviation (n - 1) over the splits of a protocol that has several; of settings each one."""
    groups = {cell.protocol: cell.group for cell in plan.cells}
    wanted = Counter(groups.values())
    several: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        group = groups[row["protocol"]]
        if group != row["protocol"]:
            own = {**without_comparison(row), "protocol": group}
            kind = tuple(own.get(name) for name in (*KEYS, "training_images_per_class"))
            several.setdefault(kind, []).append(own)
    for members in several.values():
        first = members[0]
        summary = {key: first[key] for key in (*KEYS, "training_images_per_class") if key in first}
        summary["splits"] = len(members)
        if missing := wanted[first["protocol"]] - len(members):
            summary["splits_missing"] = missing
        for key, value in first.items():
            values: list[Any] = [member.get(key) for member in members]
            if key in SETTINGS:
                summary[key] = _each(values)
            elif key == "converged":
                summary[key] = all(one is True for one in values)
            elif key == "path":
                summary[key] = ", ".join(sorted({path for one in values for path in str(one).split(", ")}))
            elif key in summary or key.endswith("_std") or not all(_is_number(one) for one in values):
                continue
            elif key == "duality_gap":
                summary[key] = max(values)
            else:
                same = isinstance(value, int) and all(one == value for one in values)
                summary[key] = value if same else statistics.fmean(values)
                if len(values) > 1 and not same:
                    summary[f"{key}_std"] = statistics.stdev(values)
        yield summary


def _each(values: list[Any]) -> Any:
    """The value that all have in common, or those that occur, sorted."""
    if all(one == values[0] for one in values):
        return values[0]
    return sorted({one for value in values for one in (value if isinstance(value, list) else [value])})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _csv(rows: list[dict[str, Any]]) -> str:
    """A line for each row; columns in the order in which they first occur."""
    columns = list(dict.fromkeys([*KEYS, *(key for row in rows for key in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writerow({column: as_cell(column) for column in columns})
    for row in rows:
        writer.writerow({key: _told_flat(value) for key, value in row.items()})
    return text.getvalue()


def _told_flat(value: Any) -> Any:
    text = ";".join(map(str, value)) if isinstance(value, list) else value
    return as_cell(text) if isinstance(text, str) else text


def figure_of(row: Mapping[str, Any]) -> str | None:
    """The figure that a row is judged by, None if it has none."""
    return next((key for key in FIGURES if row.get(key) is not None), None)


def summary(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For every dataset, network, pooling and protocol: the rows of the embeddings, and the best single layer.

    Each has keys dataset, network, pooling, protocol, per_class, figure, embeddings (by name) and best_layer.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table["results"]:
        figure = figure_of(row)
        key = (*(row[name] for name in KEYS[:3]), row["protocol"], row.get("training_images_per_class"))
        line = found.setdefault(
            key,
            {
                **dict(zip((*KEYS[:3], "protocol", "per_class"), key, strict=True)),
                "figure": figure, "embeddings": {}, "best_layer": None,
            },
        )  # fmt: skip
        if figure is None:
            continue
        best = line["best_layer"]
        if row["embedding"] != LAYERS:
            line["embeddings"][row["embedding"]] = row
        elif best is None or row[figure] > best[figure]:
            line["best_layer"] = row
    return list(found.values())
