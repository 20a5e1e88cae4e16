"""cluster.toml, and what dask-jobqueue is to make of it."""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fne_cli.clusters.spec import Spec, local, running
from fne_cli.errors import BadInput, WrongOptions

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
    "log_folder": (str, None),
    "scratch_folder": (str, "local_directory"),
    "interface": (str, "interface"),
}
_KINDS = ("local", "tcp", "slurm")
_GOES_WITH = {
    "threads": ("local",),
    "address": ("tcp",),
    "slurm": ("slurm",),
    "minimum": ("slurm",),
    "maximum": ("slurm",),
    "workers": ("slurm", "local"),
}
_MOST = 1_000_000  # of any number in the file
_MARGIN, _STAGGER = 300, 60  # seconds between lifetime and walltime; by how much lifetimes differ


def read_spec(path: Path) -> Spec:
    """The specification that a cluster.toml holds. Raises BadInput."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"--cluster {path} should be a TOML file. Found: {error.strerror}.") from error
    except RecursionError as error:
        raise BadInput(f"--cluster {path} should be TOML. Found: lists or tables in hundreds of others.") from error
    except ValueError as error:  # of TOML, of UTF-8, and of integers with thousands of digits
        raise BadInput(f"--cluster {path} should be TOML. Found: {error}.") from error
    _check(table, _TOP, str(path))
    kind = table.get("kind", "slurm" if "slurm" in table else "")
    _check_keys(table, kind, path)
    minimum = table.get("minimum", table.get("workers", 1))
    maximum = table.get("maximum", table.get("workers", minimum))
    if not 1 <= minimum <= maximum:
        raise BadInput(f"{path} should have 1 <= minimum <= maximum workers. Found: {minimum} and {maximum}.")
    if table.get("threads", 0) < 0:
        raise BadInput(f"{path}: threads should be 1 or more; 0 is the worker's share. Found: {table['threads']}.")
    if kind == "local":
        return local(table.get("workers"), table.get("threads", 0))
    if kind == "tcp":
        try:
            return running(table.get("address", ""), f"{path}: address")
        except WrongOptions as error:
            raise BadInput(str(error)) from error
    jobs = table.get("slurm", {})
    _check(jobs, {name: kind for name, (kind, _) in _SLURM.items()}, f"{path}, table slurm")
    spec = Spec("slurm", minimum, maximum, jobs=jobs)
    try:
        job_options(spec)  # what is wrong with them is said now, not after the images have been listed
    except BadInput as error:
        raise BadInput(f"{path}, table slurm: {error}") from error
    return spec


def _check_keys(table: Mapping[str, Any], kind: str, path: Path) -> None:
    """Raises BadInput for keys that would do nothing."""
    if kind not in _KINDS:
        raise BadInput(f'{path} should have kind = "local", "tcp" or "slurm". Found: {kind!r}.')
    for name, kinds in _GOES_WITH.items():
        if name in table and kind not in kinds:
            raise BadInput(f'{path}: {name} goes with kind = "{kinds[0]}". Found: kind = "{kind}".')
    if "workers" in table and ("minimum" in table or "maximum" in table):
        raise BadInput(f"{path} should have workers, or minimum and maximum. Found: both.")


def job_options(spec: Spec) -> dict[str, Any]:
    """The options of dask-jobqueue's SLURMCluster: one job is one worker, which does one task at a time.

    Raises BadInput. The log folder is not among them, for dask-jobqueue makes it even to print a job script.
    """
    from fne_cli.clusters.start import PRELOAD, RESOURCE

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
    return options | {option: jobs[name] for name, (_, option) in _SLURM.items() if option and name in jobs}


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


def _check(table: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    for name, value in table.items():
        if name not in known:
            raise BadInput(f"{where}: {_unknown(name, known)}")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise BadInput(f"{where}: {name} should be {_said(known[name])}. Found: {_brief(value)}.")
        if isinstance(value, int) and abs(value) > _MOST:
            raise BadInput(f"{where}: {name} should be {_MOST:,} at most. Found: {_brief(value)}.")


def _check_memory(text: str) -> None:
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(text)
    except (ValueError, OverflowError):
        size = 0
    if size < 1 << 20:  # also a number without a unit
        raise BadInput(f"memory should be a size such as 64GB. Found: {reprlib.repr(text)}.")


def _brief(value: Any) -> str:
    """What was found, in some 30 characters however much it is."""
    if isinstance(value, int) and abs(value) > _MOST:
        return f"one of {value.bit_length():,} bits"
    if isinstance(value, list | dict):
        return _said(type(value))
    return reprlib.repr(value)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
    return f"Unknown: {name!r}." + (f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}.")


def _said(kind: type) -> str:
    return {str: "text", int: "a whole number", list: "a list", dict: "a table"}[kind]
