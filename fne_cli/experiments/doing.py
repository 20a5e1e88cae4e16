"""Jobs of an experiment, done one after the other: what is up to date stays, what fails costs nothing but itself."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fne_cli.errors import BadInput, FneError, TooManyBad
from fne_cli.experiments.jobs import Execution, Job
from fne_cli.experiments.stamps import Stamps
from fne_cli.experiments.written.config import Options


@dataclass(frozen=True)
class Failure:
    """A job that could not be done, why, and the exit code of its error; `because` of another one that was not."""

    job: Job
    message: str
    exit_code: int = 1
    because: bool = False

    def of(self, job: Job) -> Failure:
        """The failure of a job that needs what this one should have made: what failed first says why."""
        message = self.message if self.because else f"needs {self.job.output}, which could not be made: {self.message}"
        return Failure(job, message, self.exit_code, because=True)


class Doer:
    """What has been made of an experiment so far; `failed`, by their files, is what could not be."""

    def __init__(self, options: Options, stamps: Stamps, execution: Execution, failed: dict[Path, Failure]) -> None:
        self._options, self.stamps, self.execution, self.failed = options, stamps, execution, failed
        self.counts = {"made": 0, "up to date": 0}
        self._number = 0

    def do(self, jobs: Sequence[Job], total: int) -> None:
        """Do jobs, of `total` in all, in their order. Raises Stopped."""
        with self.execution.progress.track(total, "steps", done=self._number) as advance:
            for job in jobs:
                self._number += 1
                failure = self._done(job, f"[{self._number}/{total}]")
                if failure is not None:
                    self.failed |= dict.fromkeys(job.outputs, failure)
                advance(1)

    def _done(self, job: Job, place: str) -> Failure | None:
        """Do one, if there is anything to do; why it could not be done, if so."""
        progress, stamps = self.execution.progress, self.stamps
        cause = next((self.failed[path] for path in job.inputs if path in self.failed), None)
        if cause is not None:
            return cause.of(job)
        if stamps.fresh(job):
            progress.detail(f"{job.output} is up to date")
            self.counts["up to date"] += 1
            return None
        progress.note(f"{place} {job.line(self._options)}")
        began, before = time.monotonic(), stamps.made_from(job)
        failure = _attempt(job, self.execution)
        if failure is not None:
            progress.note(f"{job.output}: {failure.message}")
            return failure
        self.counts["made"] += 1
        stamps.put(job, time.monotonic() - began, before)
        return None


def _attempt(job: Job, execution: Execution) -> Failure | None:
    """Do the job; None if it is done. Raises Stopped."""
    make_folder(job.output.parent)
    try:
        job.perform(execution)
    except TooManyBad as error:
        remedy = (
            "Accept them: max_bad, of the dataset or in [extract]. Or mend them, and add --retry-bad to the command"
        )
        return Failure(job, f"{error.problem}\n{remedy} above, once.", error.exit_code)
    except FneError as error:
        return Failure(job, str(error), error.exit_code)
    except MemoryError:
        return Failure(job, "out of memory. Use a smaller batch_size or memory, or fewer layers.")
    except Exception as error:  # a bug in one cell should not cost the others
        execution.progress.note(traceback.format_exc())
        return Failure(job, f"a bug of fne, please report it with the lines above: {type(error).__name__}: {error}")
    return None


def make_folder(path: Path) -> None:
    """Make it if it is not there. Raises BadInput."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path} should be a folder to write to. Found: {error.strerror}.") from error
