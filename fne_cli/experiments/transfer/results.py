"""results.json, results.csv and differences.csv of an experiment of transfer."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.experiments.summed.results import write_text
from fne_cli.experiments.transfer.config import TransferExperiment
from fne_cli.experiments.transfer.differences import Measured, differences, group_of, means
from fne_cli.experiments.transfer.plan import Plan, Run
from fne_cli.experiments.written.config import Value
from fne_cli.networks.saved.lineage import lineage_of
from fne_cli.store.other import results as stored
from fne_cli.store.other.cells import as_cell
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import plain, software

BEST = 10  # tests of a training, whose mean Yosinski et al. report; of few epochs half of these
_SILENT = ("workers", "memory", "cache", "output")


def document(experiment: TransferExperiment, plan: Plan, failed: Mapping[Path, str]) -> dict[str, Any]:
    """results.json. The same experiment gives the same bytes, however often it was interrupted. Raises DamagedFile."""
    runs, measured = [], []
    for run in plan.runs:
        error = failed.get(run.job.output)
        said = None if error is not None else measure(run)
        if said is not None:
            measured.append(said)
        runs.append(_row(experiment, run, said, error))
    return {
        "format": "fne",
        "version": stored.VERSION,
        "kind": "transfer",
        "name": experiment.name,
        "config": _config(experiment),
        "software": software("tensorflow", "keras"),
        "divisions": [
            {"dataset": dataset, "name": one.name, "A": list(one.a), "B": list(one.b)}
            for dataset, divisions in plan.divisions.items()
            for one in divisions
        ],
        "runs": runs,
        "means": [plain(vars(one)) for one in means(measured)],
        "differences": [one.as_dict() for one in differences(measured)],
        "commands": [run.job.line(experiment.options) for run in plan.runs],
    }


def measure(run: Run) -> Measured:
    """What the network of a run says of itself. Raises DamagedFile."""
    said = lineage_of(str(run.job.output))
    try:
        if said is None:
            raise ValueError("no lineage")
        history, kept = said["history"], said["kept_epoch"]
        tests = sorted((row["test_accuracy"] for row in history), reverse=True)
        count = max(1, min(BEST, len(tests) // 2))
        images = said["images"]
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(said["right"]), np.uint8))[: images["test"]].astype(bool)
        accuracy = float(history[kept - 1]["test_accuracy"])
        if len(bits) != images["test"] or not math.isclose(bits.mean(), accuracy, abs_tol=1e-9):
            raise ValueError("the images that are right do not fit the accuracy")
        return Measured(
            run=run,
            accuracy=accuracy,
            last=float(history[-1]["test_accuracy"]),
            best=float(np.mean(tests[:count])),
            best_of=count,
            validation=float(history[kept - 1]["val_accuracy"]),
            epoch=int(kept),
            epochs=len(history),
            images={name: int(number) for name, number in images.items()},
            weights_sha256=str(said["weights_sha256"]),
            right=bits,
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DamagedFile(
            f"{run.job.output} should be a network that fne train judged. Found: {error}. Remove it, and run again."
        ) from error


def written(results: Output, table: dict[str, Any]) -> None:
    """Put results.json in its place, and the tables beside it; files with the same content stay as they are."""
    folder = results.path.parent
    write_text(folder / "results.csv", _csv(table["runs"]))
    write_text(folder / "differences.csv", _csv([_flat(row) for row in table["differences"]]))
    results.write_json(table)
    if not results.path.exists() or results.path.read_bytes() != results.partial.read_bytes():
        results.accept()


def _row(experiment: TransferExperiment, run: Run, said: Measured | None, error: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dataset": run.dataset,
        "network": run.network,
        "division": run.division,
        "target": run.target,
        "group": group_of(run),
        "seed": run.seed,
        "treatment": run.treatment,
        "copied": run.copied,
        "source": run.source,
        "per_class": run.per_class,
        "file": run.job.output.relative_to(experiment.output).as_posix(),
        "error": error,
    }
    if said is None:
        return row
    return row | {
        "accuracy": said.accuracy,
        "last": said.last,
        "best": said.best,
        "best_of": said.best_of,
        "val_accuracy": said.validation,
        "epoch": said.epoch,
        "epochs": said.epochs,
        "train_images": said.images["train"],
        "val_images": said.images["val"],
        "test_images": said.images["test"],
        "weights_sha256": said.weights_sha256,
    }


def _config(experiment: TransferExperiment) -> dict[str, dict[str, Any]]:
    """What was asked for and what that means by default, without what changes no result."""
    return {
        name: {key: plain(_told(entry)) for key, entry in table.items() if key not in _SILENT}
        for name, table in experiment.effective()
    }


def _told(entry: Value) -> Any:
    return str(entry.value) if isinstance(entry.value, Path) else entry.value


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A difference without its single pairs."""
    return {key: value for key, value in row.items() if key != "pairs"} | {"count": len(row["pairs"])}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows([["" if row.get(key) is None else as_cell(str(row[key])) for key in columns] for row in rows])
    return text.getvalue()
