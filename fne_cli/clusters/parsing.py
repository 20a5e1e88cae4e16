"""What the word SPEC on the command line may be: local:4, tcp://host:8786, slurm, slurm:8, or a cluster.toml."""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fne_cli.clusters.jobs import KEYS, job_options
from fne_cli.clusters.spec import Spec, local, running
from fne_cli.errors import BadInput, WrongOptions

# What each key of a cluster.toml should be.
_TOP = {"kind": str, "workers": int, "minimum": int, "maximum": int, "threads": int, "address": str, "slurm": dict}
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


def parse(text: str) -> Spec:
    """From the command line. Raises BadInput, WrongOptions if it cannot be meant."""
    if match := re.fullmatch(r"(local|slurm)(?::(\d{1,6}))?", text):
        count = int(match[2]) if match[2] else None
        if count == 0:
            raise WrongOptions(f"--cluster {text} should have at least one worker.")
        if match[1] == "local":
            return local(count)
        return Spec("slurm", count or 1, count or 1)
    if text.startswith(("tcp:", "tls:")):
        return running(text)
    if text.endswith(".toml"):
        return read_spec(Path(text))
    raise WrongOptions(
        "--cluster should be local:N (N processes here), tcp://HOST:PORT (a running Dask scheduler), slurm:N "
        f"(N jobs) or a cluster.toml. Found: {reprlib.repr(text)}."
    )


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
    _check(jobs, {name: kind for name, (kind, _) in KEYS.items()}, f"{path}, table slurm")
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


def _check(table: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    for name, value in table.items():
        if name not in known:
            raise BadInput(f"{where}: {_unknown(name, known)}")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise BadInput(f"{where}: {name} should be {_said(known[name])}. Found: {_brief(value)}.")
        if isinstance(value, int) and abs(value) > _MOST:
            raise BadInput(f"{where}: {name} should be {_MOST:,} at most. Found: {_brief(value)}.")


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
