"""Do what an experiment needs and has not got, go on after a failure, and leave one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from fne_cli.experiments.checks import unmeasurable
from fne_cli.experiments.doing import Doer, Failure, make_folder
from fne_cli.experiments.foreseen.begun import unfinished
from fne_cli.experiments.foreseen.forecast import Forecast
from fne_cli.experiments.jobs import Execution, Job
from fne_cli.experiments.plan import Plan, plan
from fne_cli.experiments.stamps import Sources, Stamps
from fne_cli.experiments.summed.results import (
    EFFECTS_FILE,
    SETTINGS_FILE,
    document,
    has_more,
    read_table,
    table_job,
    write_table,
    write_text,
)
from fne_cli.experiments.varied.grid import grids_first, with_chosen
from fne_cli.experiments.varied.optimum import best, effects_csv, scored, settings_csv
from fne_cli.experiments.written.config import Experiment
from fne_cli.numerics.embedding.pieces.kept import keeping
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output.estimate import human
from fne_cli.store.output.partial import Output
from fne_cli.tasks.engine import Cluster

STAMPS = "stamps.json"
_LISTS = ("sample", "split")  # the commands whose outputs are images and lists of them
State = Literal["up to date", "to do", "unfinished", "changed", "impossible"]


@dataclass(frozen=True)
class Done:
    """The table as a dictionary, its folder, how many jobs were done now and were up to date, and what failed.

    kept: results.json and results.csv have more results than this table, and stayed as they were.
    """

    results: dict[str, Any]
    folder: Path
    made: int
    up_to_date: int
    failures: list[Failure] = field(default_factory=list)
    kept: bool = False

    @property
    def exit_code(self) -> int:
        """0; the code of the failures if they have one in common; else 1."""
        codes = {failure.exit_code for failure in self.failures if not failure.because}
        return (codes.pop() if len(codes) == 1 else 1) if self.failures else 0


@dataclass(frozen=True)
class Outlook:
    """What would become of a job, and what it would take.

    unfinished: an interrupted extraction. changed: there, but made by another command line; it is refused without
    --overwrite, unless that makes no difference. impossible: it would fail, `detail` says why.
    """

    job: Job
    state: State
    detail: str = ""
    bytes: int | None = None
    seconds: float | None = None

    @property
    def size(self) -> str:
        """The bytes as a person reads them."""
        return "" if self.bytes is None else human(self.bytes)


def run(
    experiment: Experiment, *, overwrite: bool = False, cluster: Cluster | None = None, progress: Progress = SILENT
) -> Done:
    """Make every file of the experiment that is missing or out of date, and results.json and results.csv last.

    What fails is said, what needs it is left out, everything else is done. With `overwrite`, files of other settings
    are replaced; those that are up to date stay. With `cluster`, its workers share every job. Raises Stopped as it
    comes; BadInput for what no run could do.
    """
    folder = experiment.output
    wanted = plan(experiment)
    make_folder(folder)
    with Output(folder / "results.json") as results:
        sources = Sources()
        stamps = Stamps(folder / STAMPS, experiment.options, sources)
        failed = _unmeasurable(wanted, sources)
        made = Doer(experiment.options, stamps, Execution(overwrite, cluster, progress), failed)
        # Lists of images cost seconds, what is computed of them hours: what no list allows is not begun.
        made.do([job for job in _needed(wanted, failed) if job.command in _LISTS], len(_needed(wanted, failed)))
        first = [] if experiment.factors is None else grids_first(wanted, experiment.factors)
        if first:
            made.do(first, len(_needed(wanted, failed)))
            wanted = plan(experiment)  # other poolings may come of these
        for cell in wanted.measured:
            cause = next((failed[need.output] for need in cell.needs if need.output in failed), None)
            if cause is not None and cell.job.output not in failed:
                failed |= dict.fromkeys(cell.job.outputs, cause.of(cell.job))
        with keeping():
            wanted_now = _needed(wanted, failed)
            made.do([job for job in wanted_now if job.command not in _LISTS and job not in first], len(wanted_now))
        if experiment.factors is not None:
            known = {job.output for job in wanted.jobs}
            wanted = with_chosen(experiment, experiment.factors, wanted, best(scored(wanted, failed)))
            made.do([job for job in wanted.jobs if job.output not in known], len(_needed(wanted, failed)))
        counts = made.counts
        summed = table_job(experiment, wanted)
        kept = False
        if failed or not stamps.fresh(summed):
            before = stamps.made_from(summed)
            table = document(experiment, wanted, {path: failure.message for path, failure in failed.items()})
            kept = bool(failed) and has_more(results.path, table)
            if not kept:
                write_table(results, table)
                if experiment.factors is not None:
                    text = settings_csv(experiment, experiment.factors, wanted, failed)
                    write_text(folder / SETTINGS_FILE, text)
                    write_text(folder / EFFECTS_FILE, effects_csv(table["factors"]))
            if not failed:
                stamps.put(summed, None, before)
        else:
            table = read_table(results.path)
    failures = list({id(failure): failure for failure in failed.values()}.values())
    return Done(table, folder, counts["made"], counts["up to date"], failures, kept)


def _unmeasurable(wanted: Plan, sources: Sources) -> dict[Path, Failure]:
    """The files of cells that cannot be measured."""
    failed: dict[Path, Failure] = {}
    for cell, outputs, message in unmeasurable(wanted, sources):
        failed |= dict.fromkeys(outputs, Failure(cell.job, message))
    return failed


def _needed(wanted: Plan, failed: dict[Path, Failure]) -> list[Job]:
    """The jobs of all cells that can be measured, and those that make what they read, in order."""
    needed: set[Path] = set()
    jobs = [job for cell in wanted.measured if cell.job.output not in failed for job in (*cell.needs, cell.job)]
    jobs += [
        job for path, job in wanted.ranks.items() if path in {output for other in jobs for output in other.outputs}
    ]
    for job in jobs:
        needed.update((job.output, *job.inputs))
    for job in reversed(wanted.jobs):
        if job.output in needed:
            needed.update((*job.inputs, *((Path(job.images),) if job.images else ())))
    return [job for job in wanted.jobs if job.output in needed]


@dataclass(frozen=True)
class Total:
    """What a whole plan takes, as far as it is known: how many jobs in each state, bytes as text, seconds."""

    counts: dict[str, int]
    size: str
    seconds: float

    @classmethod
    def of(cls, found: list[Outlook]) -> Total:
        """The sum over what is to do."""
        counts = {state: sum(one.state == state for one in found) for state in get_args(State)}
        size, seconds = (sum(getattr(one, key) or 0 for one in found) for key in ("bytes", "seconds"))
        return cls({state: count for state, count in counts.items() if count}, human(size), seconds)


def outlook(experiment: Experiment, progress: Progress = SILENT) -> list[Outlook]:
    """What `run` would do, and what it would take; nothing is written."""
    wanted: Plan = plan(experiment)
    sources = Sources()
    stamps = Stamps(experiment.output / STAMPS, experiment.options, sources)
    if experiment.factors is not None and all(stamps.fresh(one.cell.job) for one in wanted.tried):
        wanted = with_chosen(experiment, experiment.factors, wanted, best(scored(wanted, {})))
    forecast = Forecast(experiment, sources, stamps, progress)
    impossible: dict[Path, str] = {}
    for path, failure in _unmeasurable(wanted, sources).items():
        impossible[path] = failure.message
    fresh = [stamps.fresh(job) for job in wanted.jobs]
    if not all(fresh):
        impossible |= forecast.looked_at(wanted.jobs)
    found: list[Outlook] = []
    waiting: set[Path] = set()
    for job, is_fresh in zip(wanted.jobs, fresh, strict=True):
        if is_fresh and not waiting.intersection(job.inputs):
            found.append(Outlook(job, "up to date"))
            continue
        waiting.update(job.outputs)
        if job.output in impossible:
            found.append(Outlook(job, "impossible", impossible[job.output]))
            continue
        if any(path in impossible for path in job.inputs):
            impossible |= dict.fromkeys(job.outputs, "")
            found.append(Outlook(job, "impossible"))
            continue
        expected, begun = forecast.of(job), unfinished(job)
        changed = not begun and job.output.exists() and stamps.otherwise(job)
        state: State = "unfinished" if begun else "changed" if changed else "to do"
        detail = begun or expected.detail
        if state == "to do" and job.command == "extract" and job.output.exists() and stamps.touched(job):
            detail = "the images have changed, or their times; they are read, and what is new is computed"
        found.append(Outlook(job, state, detail, expected.bytes, expected.seconds))
    return found
