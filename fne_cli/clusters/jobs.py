"""A worker as a job of Slurm: what dask-jobqueue is to make of the table slurm of a cluster.toml."""

from __future__ import annotations

import re
import reprlib
from typing import Any

from fne_cli.clusters.spec import PRELOAD, RESOURCE, Spec
from fne_cli.errors import BadInput

# What each key should be, and the option of dask-jobqueue that it becomes; None: we make something of it ourselves.
KEYS: dict[str, tuple[type, str | None]] = {
    "cores": (int, "job_cpu"),
    "memory": (str, "memory"),
    "gpus": (int, None),
    "walltime": (str, "walltime"),
    "lifetime": (str, None),
    "queue": (str, "queue"),
    "account": (str, "account"),
    "name": (str, "job_name"),
    "directives": (list, None),
    "environment": (list, None),
    "python": (str, "python"),
    "log_folder": (str, None),
    "scratch_folder": (str, "local_directory"),
    "interface": (str, "interface"),
}
_MARGIN, _STAGGER = 300, 60  # seconds between lifetime and walltime; by how much lifetimes differ


def job_options(spec: Spec) -> dict[str, Any]:
    """The options of dask-jobqueue's SLURMCluster: one job is one worker, which does one task at a time.

    Raises BadInput. The log folder is not among them, for dask-jobqueue makes it even to print a job script.
    """
    jobs = dict(spec.jobs)
    gpus, cores = jobs.get("gpus", 0), jobs.get("cores", 1)
    if gpus not in (0, 1):
        raise BadInput(f"gpus should be 0 or 1: a worker runs one network, on one GPU. Found: {gpus}.")
    if cores < 1:
        raise BadInput(f"cores should be 1 or more. Found: {cores}.")
    _check_memory(jobs.get("memory", "4GB"))
    walltime = seconds_of(jobs.setdefault("walltime", "01:00:00"), "walltime")
    lifetime = walltime - _MARGIN if walltime > 2 * _MARGIN else walltime // 2
    if "lifetime" in jobs:
        lifetime = seconds_of(jobs["lifetime"], "lifetime")
    if not 0 < lifetime < walltime:
        raise BadInput(
            f"lifetime should be shorter than the walltime of {jobs['walltime']}, so that a worker can commit and hand "
            f"over what it has. Found: {jobs['lifetime']}."
        )
    extra = ["--nthreads", "1", "--memory-limit", "0", "--resources", f"{RESOURCE}=1", "--preload", PRELOAD]
    extra += ["--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{min(_STAGGER, lifetime // 10)}s", "--no-dashboard"]
    threads = [f"export {name}_NUM_THREADS={cores}" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")]
    name = jobs.get("name", "fne")
    log = f"{jobs['log_folder']}/{name}-%J" if "log_folder" in jobs else ""
    options: dict[str, Any] = {
        "cores": 1,  # Dask's threads, one task each; the processor cores are job_cpu
        "processes": 1,
        "memory": "4GB",
        "job_cpu": cores,
        "job_name": name,
        "job_extra_directives": ([f"-e {log}.err", f"-o {log}.out"] if log else [])
        + ([f"--gres=gpu:{gpus}"] if gpus else [])
        + [str(line) for line in jobs.get("directives", [])],
        "job_script_prologue": ["export TF_CPP_MIN_LOG_LEVEL=3", *threads, *map(str, jobs.get("environment", []))],
        "worker_extra_args": extra,
        "death_timeout": 120,
    }
    return options | {option: jobs[name] for name, (_, option) in KEYS.items() if option and name in jobs}


def seconds_of(text: str, what: str) -> int:
    """Seconds from MINUTES, MM:SS, HH:MM:SS or D-HH:MM:SS, as Slurm writes times. Raises BadInput."""
    match = re.fullmatch(r"(?:(\d{1,9})-)?(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,9})", text)
    if not match or (match[1] and not match[2]):
        raise BadInput(
            f"{what} should be a time as Slurm writes it: HH:MM:SS or D-HH:MM:SS. Found: {reprlib.repr(text)}."
        )
    days, hours, minutes, last = (int(part or 0) for part in match.groups())
    if match[3] is None:
        return last * 60
    return ((days * 24 + hours) * 60 + minutes) * 60 + last


def _check_memory(text: str) -> None:
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(text)
    except (ValueError, OverflowError):
        size = 0
    if size < 1 << 20:  # also a number without a unit
        raise BadInput(f"memory should be a size such as 64GB. Found: {reprlib.repr(text)}.")
