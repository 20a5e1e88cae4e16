"""How well the figures of `fne rank`, which need no training, agree with what was measured."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import DamagedFile
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.written.config import Experiment
from fne_cli.measures import RANK_MEASURES
from fne_cli.store.other.cells import name_in

RANK = "rank"
_FEWEST = 3  # things that have an order

Figures = Mapping[str, Mapping[str, float]]
"""Of the layers, by name, those of RANK_MEASURES; the first is all layers side by side."""


def wanted(experiment: Experiment) -> bool:
    """Whether an experiment ranks its activations: CONFIG has a table [rank], though it may be empty."""
    return RANK in experiment.commands


def job_of(experiment: Experiment, activations: Path, pool: str | None) -> Job:
    """The ranking of some activations, or of the averages over maps (`pool`) of those over cells."""
    output = activations.with_name("rank.csv" if pool is None else f"rank-{pool}.csv")
    options = experiment.given(RANK) | {"csv": output, **({} if pool is None else {"pool": pool})}
    return Job(RANK, (str(activations),), options, (activations,), (output,))


def read_figures(path: Path) -> dict[str, dict[str, float]]:
    """What fne rank wrote of one file. Raises DamagedFile."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name_in(row["layer"]): {measure: float(row[measure]) for measure in RANK_MEASURES} for row in rows}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DamagedFile(f"{path} should be the table of fne rank. Found: something else. Remove it.") from error


def with_figures(row: dict[str, Any], figures: Figures) -> dict[str, Any]:
    """The row of a layer, and what fne rank says of it."""
    return row | dict(figures.get(row["name"], {}))


def agreement(rows: Sequence[Mapping[str, Any]], figure: str) -> dict[str, float | None]:
    """Weighted Kendall's tau of each measure with the figure, over rows that have both; None if there is no order."""
    from fne_cli.numerics.transferability.agreement import weighted_tau  # SciPy takes its time to load

    found: dict[str, float | None] = {}
    for measure in RANK_MEASURES:
        pairs = [(row[measure], row[figure]) for row in rows if _both(row, measure, figure)]
        found[measure] = weighted_tau([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return found


def _both(row: Mapping[str, Any], measure: str, figure: str) -> bool:
    return row.get(measure) is not None and row.get(figure) is not None


def agreements(
    rows: Sequence[Mapping[str, Any]],
    wholes: Mapping[tuple[str, str, str], Mapping[str, float]],
    figures: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Over the layers of a source, and over the sources of a dataset, of what was measured with the same protocol.

    rows: of results.csv, those of layers with the figures of RANK_MEASURES. wholes: these of all layers of a source, by
    dataset, network and pooling.
    """
    layers: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    sources: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        home, how = (
            (row["dataset"], row["network"], row["pooling"]),
            (row["protocol"], row.get("training_images_per_class")),
        )
        if home not in wholes:
            continue
        if "evidence" in row:
            layers.setdefault((*home, *how), []).append(row)
        else:
            key = (row["dataset"], row["embedding"], *how)
            sources.setdefault(key, []).append({**row, **wholes[home]})
    for key, members in layers.items():
        named = dict(zip(("dataset", "network", "pooling", "protocol", "per_class"), key, strict=True))
        yield from _told({**named, "of": "layers"}, members, figures)
    for key, members in sources.items():
        named = dict(zip(("dataset", "embedding", "protocol", "per_class"), key, strict=True))
        yield from _told({**named, "of": "sources"}, members, figures)


def _told(
    named: dict[str, Any], members: Sequence[Mapping[str, Any]], figures: Sequence[str]
) -> Iterator[dict[str, Any]]:
    figure = next((key for key in figures if members[0].get(key) is not None), None)
    if figure is not None and len(members) >= _FEWEST:
        yield {**named, "figure": figure, "count": len(members), **agreement(members, figure)}
