"""OUTPUT.shards: what a cluster's run leaves there, whose it is, and how it goes.

plan.json says that the folder is ours. It is written first and removed last, so that a process killed at either end
leaves a folder that is known for what it is. Files with other names than those that we give are never touched.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, Busy, DifferentOutput
from fne_cli.progress import Progress
from fne_cli.store.format.text import parse_json
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.partial import Output

SHARDS = ".shards"  # the end of the folder's name
MOST_SHARDS = 500  # `merge` has all of them open at once
_RETIRED = re.compile(r"known-\d{5}\.h5")  # a finished shard of a list that has changed since
_WITHOUT_PLAN = re.compile(rf"(plan\.json\.new|whole\.json(\.new)?|{_RETIRED.pattern})")
_NAME = re.compile(
    rf"{_RETIRED.pattern}|plan\.json(\.new)?|"
    r"(\d{5}|whole)(\.json|\.h5(\.partial|\.partial\.json|\.run\.json(\.next)?)?)(\.new)?"
)


def folder_of(output: Path) -> Path:
    """Where the shards of an output are."""
    return output.with_name(output.name + SHARDS)


def read_plan(folder: Path) -> dict[str, Any]:
    """How the extraction was cut, and for what; {} if there is no plan. Raises DifferentOutput for another file."""
    try:
        plan = parse_json((folder / "plan.json").read_bytes())
        kinds = (("of", int), ("inputs", dict), ("outline", dict))
        typed = isinstance(plan, dict) and all(type(plan.get(name)) is kind for name, kind in kinds)
        if typed and 1 <= plan["of"] <= MOST_SHARDS:
            return dict(plan)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        pass
    raise DifferentOutput(
        f"{folder}/plan.json should be the plan of fne extract --cluster. Found: another file.\n"
        "Move the folder away, or write to another output."
    )


def is_ours(folder: Path) -> bool:
    """Whether there is a plan of ours."""
    with contextlib.suppress(DifferentOutput):
        return bool(read_plan(folder))
    return False


def check_free(folder: Path) -> None:
    """Raises BadInput if a folder without a plan has what is not ours."""
    strange = [name for name in _names(folder) if not _WITHOUT_PLAN.fullmatch(name)]
    if strange:
        raise BadInput(
            f"{folder} should be free for the shards. Found: {sorted(strange)[0]!r} in it.\n"
            "Move it away, or write to another output."
        )


def remove(folder: Path, progress: Progress) -> None:
    """Remove our files, and the folder if nothing else is in it. The output's lock must be held."""
    ours = _NAME if is_ours(folder) else _WITHOUT_PLAN
    chosen = [name for name in _names(folder) if ours.fullmatch(name)]
    for name in sorted(chosen, key="plan.json".__eq__):  # the plan is the last
        with contextlib.suppress(IsADirectoryError, PermissionError):
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
    if chosen and (left := _names(folder)):
        progress.note(f"{folder} stays: {sorted(left)[0]!r} in it is not of fne extract")


def retire(folder: Path) -> int:
    """Keep the finished shards of a list that has changed, for their rows, and remove all else but the plan.

    It tells by which settings they were made until another one takes its place. Returns how many shards are kept. The
    output's lock must be held.
    """
    finished = sorted(name for name in _names(folder) if re.fullmatch(r"\d{5}\.h5", name))
    taken = [int(path.stem[-5:]) for path in retired(folder)]
    for number, name in enumerate(finished, start=1 + max(taken, default=0)):
        os.replace(folder / name, folder / f"known-{number:05d}.h5")
    for name in _names(folder):
        if _NAME.fullmatch(name) and not _RETIRED.fullmatch(name) and name != "plan.json":
            (folder / name).unlink(missing_ok=True)
    return len(retired(folder))


def retired(folder: Path) -> list[Path]:
    """The shards that `retire` has kept."""
    return [folder / name for name in sorted(_names(folder)) if _RETIRED.fullmatch(name)]


def remove_if_free(output: Output, progress: Progress) -> None:
    """Remove our files unless somebody is at work on the output."""
    folder = folder_of(output.path)
    if not (is_ours(folder) or any(map(_WITHOUT_PLAN.fullmatch, _names(folder)))):
        return
    with contextlib.suppress(Busy, BadInput), output:
        remove(folder, progress)


def check_unbegun(output: Output, inputs: Mapping[str, Any]) -> None:
    """Raises DifferentOutput if a cluster began the output, so that one process would begin it anew; Busy.

    What is left of a run that has finished, or beside an output of these `inputs`, is no beginning.
    """
    folder = folder_of(output.path)
    if not is_ours(folder) or output.resumable:
        return
    if output.path.exists() and read_record(output.path).get("inputs") in (inputs, read_plan(folder)["inputs"]):
        return
    with output:
        raise DifferentOutput(
            f"{output.path} should be new, or begun by one process. Found: {folder} of a run with --cluster.\n"
            "Finish it by the same command with --cluster (any; local:1 is one process here), or write to another "
            "output; --overwrite begins again and discards it."
        )


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".nfs")]  # removed, but open somewhere
    except (FileNotFoundError, NotADirectoryError):
        return []
