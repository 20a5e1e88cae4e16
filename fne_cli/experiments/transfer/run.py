"""Train the networks that an experiment of transfer needs and has not got, and leave one table of what they can."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fne_cli.experiments.doing import Doer, Failure, make_folder
from fne_cli.experiments.jobs import Execution, Job
from fne_cli.experiments.stamps import Sources, Stamps
from fne_cli.experiments.transfer.config import TransferExperiment
from fne_cli.experiments.transfer.plan import Plan, plan
from fne_cli.experiments.transfer.results import document, written
from fne_cli.images.decoded import keeping
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output import checkpoint
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import plain
from fne_cli.tasks.engine import Cluster, Engine

STAMPS = "stamps.json"


@dataclass(frozen=True)
class Done:
    """The table as a dictionary, its folder, how many networks were trained now and were there, and what failed."""

    results: dict[str, Any]
    folder: Path
    made: int
    up_to_date: int
    failures: list[Failure] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0; the code of the failures if they have one in common; else 1."""
        codes = {failure.exit_code for failure in self.failures if not failure.because}
        return (codes.pop() if len(codes) == 1 else 1) if self.failures else 0


@dataclass(frozen=True)
class Outlook:
    """What would become of a job: `state` is up to date, to do, unfinished, or changed (made by another command)."""

    job: Job
    state: str
    seconds: float | None = None


def transfer(
    experiment: TransferExperiment,
    *,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress = SILENT,
) -> Done:
    """Train every network that is missing or out of date, and write results.json, results.csv and differences.csv.

    What fails is said, what needs it is left out. With `overwrite`, networks of other settings are replaced. With
    `cluster`, its workers train a network each. Raises Stopped as it comes; BadInput for what no run could do.
    """
    folder = experiment.output
    sources = Sources()
    wanted = plan(experiment, sources)
    make_folder(folder)
    with Output(folder / "results.json") as results:
        stamps = Stamps(folder / STAMPS, experiment.options, sources)
        failed: dict[Path, Failure] = {}
        execution = Execution(overwrite, None, progress)
        doer: Doer = (
            Doer(experiment.options, stamps, execution, failed)
            if cluster is None
            else _Shared(experiment, stamps, execution, failed, cluster)
        )
        with keeping():  # the networks learn from the same images
            doer.do(wanted.jobs, len(wanted.jobs))
        table = document(experiment, wanted, {path: failure.message for path, failure in failed.items()})
        written(results, table)
    failures = list({id(failure): failure for failure in failed.values()}.values())
    return Done(table, folder, doer.counts["made"], doer.counts["up to date"], failures)


def outlook(experiment: TransferExperiment) -> list[Outlook]:
    """What `transfer` would do; nothing is written.

    seconds: of a training that is to be done, what the same command line took the last time, else the mean of all that
    are known; None if none is.
    """
    sources = Sources()
    wanted: Plan = plan(experiment, sources)
    stamps = Stamps(experiment.output / STAMPS, experiment.options, sources)
    known = [seconds for job in wanted.jobs if (seconds := stamps.seconds(job)) is not None]
    usual = sum(known) / len(known) if known else None
    found: list[Outlook] = []
    waiting: set[Path] = set()
    for job in wanted.jobs:
        if stamps.fresh(job) and not waiting.intersection(job.inputs):
            found.append(Outlook(job, "up to date"))
            continue
        waiting.update(job.outputs)
        unfinished = os.path.lexists(checkpoint.place_of(job.output))
        changed = not unfinished and job.output.exists() and stamps.otherwise(job)
        state = "unfinished" if unfinished else "changed" if changed else "to do"
        found.append(Outlook(job, state, stamps.seconds(job) or usual))
    return found


class _Shared(Doer):
    """Does the jobs on the workers of a cluster, a network each, as soon as what they begin with is there."""

    def __init__(
        self,
        experiment: TransferExperiment,
        stamps: Stamps,
        execution: Execution,
        failed: dict[Path, Failure],
        cluster: Cluster,
    ) -> None:
        super().__init__(experiment.options, stamps, execution, failed)
        self._cluster = cluster

    def do(self, jobs: Sequence[Job], total: int) -> None:
        """Do jobs, of `total` in all, wave by wave. Raises Stopped."""
        left = list(jobs)
        while left:
            made = {path for job in left for path in job.outputs}
            wave = [job for job in left if not made.intersection(job.inputs)]
            left = [job for job in left if made.intersection(job.inputs)]
            stale = [job for job in wave if not self._stands(job)]
            if stale:
                self.execution.progress.note(f"{len(stale)} of {total} networks are trained by the workers")
                with self._cluster.start() as engine:
                    self._train(stale, engine)

    def _stands(self, job: Job) -> bool:
        """Whether there is nothing to do for a job: it is up to date, or what it needs has failed."""
        cause = next((self.failed[path] for path in job.inputs if path in self.failed), None)
        if cause is not None:
            self.failed.update(dict.fromkeys(job.outputs, cause.of(job)))
            return True
        if self.stamps.fresh(job):
            self.counts["up to date"] += 1
            return True
        return False

    def _train(self, jobs: Sequence[Job], engine: Engine) -> None:
        """All of them; one that fails costs nothing but itself."""
        waiting = {number: (job, self.stamps.made_from(job)) for number, job in enumerate(jobs)}
        began = time.monotonic()
        for job in jobs:
            make_folder(job.output.parent)
        tasks = [_task(job, self.execution.overwrite) for job in jobs]
        with closing(engine.run("train", tasks, unit="networks")) as results:
            for number, result in results:
                job, before = waiting.pop(number)
                if "error" in result:
                    self.failed[job.output] = Failure(job, result["error"], result["code"])
                    self.execution.progress.note(f"{job.output}: {result['error']}")
                    continue
                self.counts["made"] += 1
                self.stamps.put(job, result["seconds"] or time.monotonic() - began, before)


def _task(job: Job, overwrite: bool) -> dict[str, Any]:
    """A training as plain settings, with absolute paths."""
    images, network = job.arguments
    options: dict[str, Any] = plain({**job.options, "overwrite": overwrite})
    for key in ("source", "judge", "root", "model"):
        if options.get(key) and os.path.exists(options[key]):
            options[key] = os.path.abspath(options[key])
    return {"images": os.path.abspath(images), "network": os.path.abspath(network), "options": options}
