"""The figures of a page as files, once, and again only if asked to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DifferentOutput
from fne_cli.figures.contents import Group
from fne_cli.figures.names import file_name
from fne_cli.progress import Progress
from fne_cli.store.output import Output, read_record, record_path, write_json
from fne_cli.store.record import file_state


def is_drawn(folder: Path, groups: Sequence[Group], digest: str, overwrite: bool) -> bool:
    """Whether the folder, made if need be, has the figures. Raises DifferentOutput if it has others of their names."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} should be a folder for figures. Found: {error.strerror}.") from error
    record = read_record(folder / "report")
    ours = record.get("fingerprint") == digest
    names = list(named(groups))
    there = [path.name for name in names for path in _paths(folder, name) if path.exists()]
    if there and not ours and not overwrite:
        raise DifferentOutput(
            f"{folder} has {there[0]}, which was not made from these results, or with other options.\n"
            "Choose another folder, or give --overwrite to replace it."
        )
    return ours and not overwrite and record.get("figures") == {name: _states(folder, name) for name in names}


def draw(folder: Path, groups: Sequence[Group], digest: str, progress: Progress) -> None:
    """Write every figure as PNG and as SVG."""
    from fne_cli.figures import results

    write_json(record_path(folder / "report"), {"fingerprint": digest})  # what an interrupted run leaves is ours
    figures = named(groups)
    with progress.track(len(figures), "figures") as advance:
        for name, (kind, group) in figures.items():
            function: Callable[..., None] = getattr(results, kind)
            png, svg = _paths(folder, name)
            with Output(png) as one, Output(svg) as other:
                function(one.partial, other.partial, group)
                one.accept()
                other.accept()
            advance(1)
    states = {name: _states(folder, name) for name in figures}
    write_json(record_path(folder / "report"), {"fingerprint": digest, "figures": states})


def named(groups: Sequence[Group]) -> dict[str, tuple[str, Group]]:
    """The figures by the name of their file: which, and of what."""
    stems = [_stem(group) for group in groups]
    told = [
        stem if stems.count(stem) == 1 else f"{stem}.{file_name(group.protocol, 40)}"
        for stem, group in zip(stems, groups, strict=True)
    ]
    found: dict[str, tuple[str, Group]] = {}
    for place, (name, group) in enumerate(zip(told, groups, strict=True)):
        number = f".{told[:place].count(name) + 1}" if told.count(name) > 1 else ""
        found |= {f"{name}{number}.{kind}": (kind, group) for kind in _kinds(group)}
    return found


def _stem(group: Group) -> str:
    return ".".join(file_name(part, 40) for part in (group.dataset, group.network, group.pooling) if part) or "results"


def _kinds(group: Group) -> list[str]:
    """Names of functions in fne_cli.figures.results."""
    last = group.sizes[-1]
    layers = [row for row in group.rows if not row.whole and last in row.points]
    kinds = ["by_layer"] if len(layers) > 1 else []
    kinds += ["learning_curve"] if sum(size is not None for size in group.sizes) > 1 else []
    kinds += ["confusion"] if group.confusion is not None else []
    return [*kinds, "by_class"] if group.views else kinds


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.png", folder / f"{name}.svg"


def _states(folder: Path, name: str) -> list[Any]:
    return [file_state(path) if path.exists() else None for path in _paths(folder, name)]
