"""What [tunings.NAME] of an experiment becomes: a network that learns on, by the trainings that embeddings have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, FneError
from fne_cli.experiments.datasets import ProtocolPlan
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.written.config import Experiment, Table, foreign_to
from fne_cli.options import taken

_NETWORK = ("model", "weights", "preprocess", "image_size")
_SHARED = ("resize", "precision", "max_bad", "max_pixels", "root", "label_column")
_PROTOCOL = ("cv", "rows", "per_class", "draws", "without_leaks", "seed")


def tuning(experiment: Experiment, name: str, table: Table, extraction: Job, protocol: ProtocolPlan) -> Job:
    """The job that tunes and measures. extraction: of the network, whose images and preparation are the same.

    A tuning with a model of its own has nothing of the network's. Raises BadInput for options that do not go together.
    """
    options = {key: extraction.options[key] for key in _SHARED if key in extraction.options}
    if "model" not in table:
        options |= {key: extraction.options[key] for key in _NETWORK if key in extraction.options}
    trials = experiment.given("evaluate", {key: entry for key, entry in protocol.table.items() if key != "split"})
    options |= {key: trials[key] for key in _PROTOCOL if key in trials}
    options |= experiment.given("tune", table)
    for key in foreign_to(bool(options.get("scratch")), options.get("head")):
        if key not in table:
            options.pop(key, None)
    if protocol.manifest is not None:
        options["split"] = protocol.manifest
    _check(experiment, name, dict(options))
    files = tuple(Path(options[key]) for key in ("model", "weights") if os.path.isfile(str(options.get(key) or "")))
    networks = {Path(str(extraction.options.get(key))) for key in ("model", "weights")}
    made = tuple(path for path in extraction.inputs if path not in networks)
    split = () if protocol.manifest is None else (protocol.manifest,)
    results = extraction.output.with_name(f"{name}.{protocol.name}.json")
    return Job(
        "tune", (str(extraction.images), str(results)), options, made + files + split, (results,),
        images=extraction.images, root=extraction.root,
    )  # fmt: skip


def _check(experiment: Experiment, name: str, options: dict[str, Any]) -> None:
    """Raises BadInput for what the step would refuse, before hours of other work."""
    from fne_cli.steps.tune import LearningOptions, Tuned

    try:
        tuned = taken(Tuned, options)
        tuned.check()
        taken(LearningOptions, options).settled(tuned.scratch)
    except FneError as error:
        raise BadInput(f"{experiment.path}, [tunings.{name}]: {error}") from error
