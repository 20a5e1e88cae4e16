"""What a worker does for an experiment of transfer: one training, from the beginning to its network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fne_cli.errors import Busy, DifferentOutput, FneError
from fne_cli.options import taken
from fne_cli.progress import Progress
from fne_cli.steps.train import Course, Rule, Selection, Start, TrainOptions, train


def train_network(settings: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Train the network that plain settings ask for, going on with what is there.

    What makes this network impossible is its result, as others go on: {"error": message, "code": exit code}.
    """
    options = dict(settings["options"])
    if options.get("image_size"):
        options["image_size"] = tuple(options["image_size"])
    overwrite = bool(options.pop("overwrite", False))
    start, rule, course = taken(Start, options), taken(Rule, options), taken(Course, options)
    run, selection = taken(TrainOptions, options), taken(Selection, options)
    given = (settings["images"], Path(settings["network"]), start, rule, course)
    try:
        try:
            done = train(*given, run, selection, **options, progress=progress)
        except DifferentOutput:
            if not overwrite:
                raise
            done = train(*given, replace(run, overwrite=True), selection, **options, progress=progress)
    except Busy:  # of a worker that is gone, for a while
        raise
    except FneError as error:
        return {"error": str(error), "code": error.exit_code}
    return {"seconds": done.seconds}
