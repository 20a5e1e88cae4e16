"""How far jobs have come that were interrupted."""

from __future__ import annotations

from fne_cli.errors import FneError
from fne_cli.experiments.jobs import Job
from fne_cli.store.output import checkpoint
from fne_cli.store.output.partial import Output


def unfinished(job: Job) -> str:
    """How far an interrupted extraction or tuning has come, "" if there is none."""
    output = Output(job.output)
    if job.command == "tune" and checkpoint.place_of(job.output).is_file():
        return "the trainings that are finished are safe"
    if job.command != "extract" or not output.resumable:
        return ""
    try:
        journal = output.read_journal()
    except FneError:
        return ""
    return f"{journal['committed']:,} of {journal['images']:,} images safe"
