"""Run records -> how long everything took, the commands that made it, and with which software."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.figures.contents import Timing
from fne_cli.steps.report.sources import Sources
from fne_cli.store.output.notes import read_record, record_path
from fne_cli.unprintable import UNPRINTABLE


def outputs(sources: Sources, more: Sequence[Path]) -> list[Path]:
    """The files that the work made, in its order: those of the pipeline, then the results; none that are missing."""
    found: dict[Path, None] = dict.fromkeys(more)
    for each in sources.evaluated:
        if each.cell is not None and each.cell.activations is not None:
            folder, codes = each.cell.activations.parent, f"codes-{each.embedding}.h5"
            names = (each.cell.activations.name, "behavior.h5", "moments.h5", *([codes] if _is_name(codes) else []))
            found |= dict.fromkeys(folder / name for name in names)
        found[each.results.path] = None
    return [path for path in found if path.is_file() or record_path(path).is_file()]


def _is_name(name: str) -> bool:
    return "/" not in name and "\0" not in name


def timings(paths: Sequence[Path], base: Path) -> list[Timing]:
    """What the run records say of these outputs; the runs of one that was interrupted are added up."""
    found = []
    for path in paths:
        runs = _runs(path)
        if not runs:
            continue
        seconds = sum(_number(run.get("seconds")) for run in runs)
        images = int(sum(_number(run.get("images")) for run in runs))
        device = next((run["device"] for run in runs if isinstance(run.get("device"), str)), "")
        started = runs[0].get("started")
        name = os.path.relpath(path, base)
        found.append(Timing(name, started if isinstance(started, str) else "", seconds, images, device))
    return found


def seconds_of(path: Path) -> dict[tuple[str, int | None], float]:
    """Of the results in a file, by name and training images per class: what a training took on average."""
    found: dict[tuple[str, int | None], list[float]] = {}
    for run in _runs(path):
        listed = run.get("results")
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and isinstance(one.get("name"), str) and "seconds" in one:
                size = one.get("training_images_per_class")
                found.setdefault((one["name"], size if type(size) is int else None), []).append(_number(one["seconds"]))
    return {key: sum(values) / len(values) for key, values in found.items()}


def untimed(paths: Sequence[Path], base: Path) -> list[str]:
    """Those of these outputs whose run records are missing, or tell no time."""
    return [os.path.relpath(path, base) for path in paths if not _runs(path)]


def commands(sources: Sources, paths: Sequence[Path]) -> list[str]:
    """Those of the experiments; of single results the ones that the run records name, each once."""
    lines = [command for experiment in sources.whole for command in experiment.commands]
    ours = {each.results.path for each in sources.evaluated if each.cell is None}
    others = {each.cell.activations for each in sources.evaluated if each.cell is not None}
    for path in paths:
        if path in others or (path not in ours and sources.whole):
            continue
        lines += [line for run in _runs(path) if (line := _line(run.get("command")))]
    return list(dict.fromkeys(lines))


def _line(command: Any) -> str:
    """A command as a shell takes it, "" if there is none."""
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        return ""
    first = os.path.basename(command[0])
    return " ".join(["fne" if first == "__main__.py" else quoted(first), *map(quoted, command[1:])])


def quoted(word: str) -> str:
    """One word for bash, zsh and ksh; what cannot be printed is written as an escape, in $'...'."""
    if not UNPRINTABLE.search(word):
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")

    def byte_by_byte(match: re.Match[str]) -> str:
        try:
            content = match[0].encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half a character that stands for no byte
            content = match[0].encode("utf-8", "surrogatepass")
        return "".join(f"\\x{byte:02x}" for byte in content)

    return f"$'{UNPRINTABLE.sub(byte_by_byte, escaped)}'"


def software(sources: Sources, paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Names and versions of what made the files; several versions of one stand side by side."""
    found: dict[str, dict[str, None]] = {}
    tables: list[Mapping[str, Any]] = [each.software for each in sources.whole]
    tables += [each.results.software for each in sources.evaluated]
    tables += [run["software"] for path in paths for run in _runs(path) if isinstance(run.get("software"), dict)]
    for table in tables:
        for name, version in table.items():
            if isinstance(version, str):
                found.setdefault(name, {})[version] = None
    return [(name, ", ".join(versions)) for name, versions in found.items()]


def _runs(path: Path) -> list[dict[str, Any]]:
    return [run for run in read_record(path).get("runs", []) if isinstance(run, dict)]


def _number(value: Any) -> float:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if whole else 0.0
