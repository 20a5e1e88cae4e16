"""Workers as jobs of Slurm: dask-jobqueue's cluster, with a submission that fails told rather than thrown away."""

from __future__ import annotations

import contextlib
import os
import re

from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed.core import Status

from fne_cli.clusters.jobs import job_options
from fne_cli.clusters.spec import Spec
from fne_cli.errors import BadInput


class RefusableJob(SLURMJob):  # type: ignore[misc]  # dask-jobqueue has no types
    """A job; what sbatch said if it refused it is in `refusal`, and there is no job then."""

    refusal = ""

    async def start(self) -> None:
        """Submit it. In dask-jobqueue an exception here ends in a log, and the job counts as submitted."""
        try:
            await super().start()
        except (OSError, RuntimeError, ValueError) as error:
            self.refusal = _brief(error)
            self.status = Status.running

    async def close(self) -> None:
        """Cancel it, if Slurm can be reached."""
        with contextlib.suppress(OSError):  # there is no scancel
            await super().close()
        self.status = Status.closed


class SlurmWorkers(SLURMCluster):  # type: ignore[misc]  # dask-jobqueue has no types
    """A scheduler in this process that asks Slurm for workers."""

    job_cls = RefusableJob

    def refusal(self) -> str:
        """What sbatch said of a job that it refused; "" if it refused none."""
        return next((job.refusal for job in list(self.workers.values()) if getattr(job, "refusal", "")), "")

    @property
    def jobs(self) -> int:
        """How many jobs Slurm has taken."""
        return sum(1 for job in list(self.workers.values()) if not getattr(job, "refusal", ""))

    def forget_refused(self) -> None:
        """Have the jobs that were refused asked for again."""

        def forget() -> None:
            for name in [name for name, job in self.workers.items() if getattr(job, "refusal", "")]:
                del self.workers[name]
                self.worker_spec.pop(name, None)

        self.loop.add_callback(forget)


def slurm_cluster(spec: Spec) -> SlurmWorkers:
    """A scheduler in this process that asks Slurm for workers; none is asked for yet. Raises BadInput."""
    folder = spec.jobs.get("log_folder")
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
        return SlurmWorkers(n_workers=0, scheduler_options={"dashboard_address": ":0"}, **job_options(spec))
    except OSError as error:
        raise BadInput(f"log_folder {folder} should be a folder to write to. Found: {error.strerror}.") from error
    except (ValueError, RuntimeError) as error:  # an interface that is not there
        raise BadInput(f"The workers of {spec.kind} should find a scheduler here. Found: {error}.") from error


def job_script(spec: Spec) -> str:
    """The batch script of one worker, with the address that the client will have in its place."""
    if spec.kind != "slurm":
        raise BadInput(
            f"Only the workers of slurm and of a cluster.toml for it are started by job scripts, not {spec.kind}."
        )
    script: str = SLURMJob(scheduler="tcp://CLIENT:PORT", name="fne-worker", **job_options(spec)).job_script()
    return script


def _brief(error: Exception) -> str:
    """What sbatch wrote to standard error, out of dask-jobqueue's message."""
    told = re.search(r"stderr:\n(.*\S)\s*", str(error), re.DOTALL)
    lines = (told[1] if told else str(error) or type(error).__name__).splitlines()
    return "; ".join(line.strip() for line in lines if line.strip())
