"""What results.json has of an experiment that ranks its activations, or varies factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.experiments.plan import LAYERS, Cell, Plan
from fne_cli.experiments.summed.ranking import agreements, read_figures, with_figures
from fne_cli.experiments.varied.optimum import summary
from fne_cli.experiments.written.config import Experiment


def additions(
    experiment: Experiment,
    plan: Plan,
    rows: list[dict[str, Any]],
    failed: Mapping[Path, str],
    figures: Sequence[str],
) -> dict[str, Any]:
    """How the ranking agrees with what was measured, and what the factors do; {} for an experiment without.

    rows: of results.csv; those of single layers get what the ranking says of them. figures: by which rows are judged.
    Raises DamagedFile.
    """
    found: dict[str, Any] = {}
    ranks = {path: read_figures(job.output) for path, job in plan.ranks.items() if job.output not in failed}
    if plan.ranks:
        of_layers = {
            (*_source(cell), cell.protocol): cell.activations for cell in plan.cells if cell.embedding == LAYERS
        }
        for place, row in enumerate(rows):
            known = ranks.get(of_layers.get((row["dataset"], row["network"], row["pooling"], row["protocol"]), Path()))
            if row["embedding"] == LAYERS and known is not None:
                rows[place] = with_figures(row, known)
        wholes = {
            _source(cell): next(iter(ranks[cell.activations].values()))
            for cell in plan.cells
            if cell.activations in ranks
        }
        found["agreement"] = list(agreements(rows, wholes, figures))
    if experiment.factors is not None:
        evidence = {path: next(iter(known.values()))["evidence"] for path, known in ranks.items()}
        found["factors"] = summary(experiment, experiment.factors, plan, failed, evidence)
    return found


def _source(cell: Cell) -> tuple[str, str, str]:
    return cell.dataset, cell.network, cell.pooling
