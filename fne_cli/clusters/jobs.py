"""cluster.toml, and the batch jobs that it describes: how Slurm starts a worker."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fne_cli.clusters.spec import Spec, local
from fne_cli.errors import BadInput

# What each key should be, and the option of dask-jobqueue that it becomes; None: we make something of it ourselves.
_TOP = {"kind": str, "workers": int, "minimum": int, "maximum": int, "threads": int, "address": str, "slurm": dict}
_SLURM: dict[str, tuple[type, str | None]] = {
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
    "log_folder": (str, "log_directory"),
    "scratch_folder": (str, "local_directory"),
    "interface": (str, "interface"),
}
_MARGIN, _STAGGER = 300, 60  # seconds between lifetime and walltime; by how much lifetimes differ


def read_spec(path: Path) -> Spec:
    """The specification that a cluster.toml holds. Raises BadInput."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"--cluster {path} should be a TOML file. Found: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"--cluster {path} should be TOML. Found: {error}.") from error
    _check(table, _TOP, str(path))
    kind = table.get("kind", "slurm" if "slurm" in table else "")
    minimum = table.get("minimum", table.get("workers", 1))
    maximum = table.get("maximum", table.get("workers", minimum))
    if not 1 <= minimum <= maximum:
        raise BadInput(f"{path} should have 1 <= minimum <= maximum workers. Found: {minimum} and {maximum}.")
    if kind == "local":
        return local(table.get("workers"), table.get("threads", 0))
    if kind == "tcp":
        return Spec.parse(table.get("address", ""))
    if kind != "slurm":
        raise BadInput(f'{path} should have kind = "local", "tcp" or "slurm". Found: {kind!r}.')
    jobs = table.get("slurm", {})
    _check(jobs, {name: kind for name, (kind, _) in _SLURM.items()}, f"{path}, table slurm")
    spec = Spec("slurm", minimum, maximum, jobs=jobs)
    job_options(spec)  # what is wrong with them is said now, not after the images have been listed
    return spec


def job_options(spec: Spec) -> dict[str, Any]:
    """The options of dask-jobqueue's SLURMCluster: one job is one worker, which does one task at a time."""
    from fne_cli.clusters.start import PRELOAD, RESOURCE

    jobs = dict(spec.jobs)
    gpus, cores = jobs.get("gpus", 0), jobs.get("cores", 1)
    if gpus not in (0, 1):
        raise BadInput(f"gpus should be 0 or 1: a worker runs one network, on one GPU. Found: {gpus}.")
    if cores < 1:
        raise BadInput(f"cores should be 1 or more. Found: {cores}.")
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
    options: dict[str, Any] = {
        "cores": 1,  # Dask's threads, one task each; the processor cores are job_cpu
        "processes": 1,
        "memory": "4GB",
        "job_cpu": cores,
        "job_name": "fne",
        "job_extra_directives": ([f"--gres=gpu:{gpus}"] if gpus else [])
        + [str(line) for line in jobs.get("directives", [])],
        "job_script_prologue": ["export TF_CPP_MIN_LOG_LEVEL=3", *threads, *map(str, jobs.get("environment", []))],
        "worker_extra_args": extra,
        "death_timeout": 120,
    }
    return options | {option: jobs[name] for name, (_, option) in _SLURM.items() if option and name in jobs}


def job_script(spec: Spec) -> str:
    """The batch script of one worker, with the address that the client will have in its place."""
    from dask_jobqueue.slurm import SLURMJob

    if spec.kind != "slurm":
        raise BadInput(
            f"Only the workers of slurm and of a cluster.toml for it are started by job scripts, not {spec.kind}."
        )
    script: str = SLURMJob(scheduler="tcp://CLIENT:PORT", name="fne-worker", **job_options(spec)).job_script()
    return script


def slurm_cluster(spec: Spec) -> Any:
    """A scheduler in this process that asks Slurm for workers; none is asked for yet."""
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(n_workers=0, scheduler_options={"dashboard_address": ":0"}, **job_options(spec))


def seconds_of(text: str, what: str) -> int:
    """Seconds from MINUTES, MM:SS, HH:MM:SS or D-HH:MM:SS, as Slurm writes times. Raises BadInput."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text)
    if not match or (match[1] and not match[2]):
        raise BadInput(f"{what} should be a time as Slurm writes it: HH:MM:SS or D-HH:MM:SS. Found: {text!r}.")
    days, hours, minutes, last = (int(part or 0) for part in match.groups())
    if match[3] is None:
        return last * 60
    return ((days * 24 + hours) * 60 + minutes) * 60 + last


def _check(table: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    for name, value in table.items():
        if name not in known:
            raise BadInput(f"{where}: {_unknown(name, known)}")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise BadInput(f"{where}: {name} should be {_said(known[name])}. Found: {value!r}.")


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
    return f"Unknown: {name!r}." + (f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}.")


def _said(kind: type) -> str:
    return {str: "text", int: "a whole number", list: "a list", dict: "a table"}[kind]
