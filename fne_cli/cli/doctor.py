"""fne doctor."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console
from fne_cli.unprintable import plain, plain_json

if TYPE_CHECKING:
    from fne_cli.steps.doctor import Health


@click.command(cls=options.Command)
@click.argument("folder", type=options.FILE, default=Path())
@options.as_json
def doctor(progress: Console, folder: Path, as_json: bool) -> None:
    """Look at this machine: software, processors, memory, disk, weights, and what to mend.

    FOLDER is where the work is to be done, by default the current folder; whether outputs can be written there is tried
    with a small file. The exit code is 1 if something is in the way of the commands.

    \b
    Example: fne doctor --json
             fne doctor /scratch/me
    """
    from fne_cli.steps.doctor import doctor

    found = doctor(folder, progress=progress)
    if as_json:
        click.echo(plain_json(dataclasses.asdict(found)))
    else:
        click.echo("\n".join(map(plain, _lines(found))))
    if not found.works:
        sys.exit(1)


def _lines(found: Health) -> list[str]:
    processor, disk, weights = found.processor, found.disk, found.weights
    free = "unknown" if disk["free"] is None else _size(disk["free"])
    missing = [f"{', '.join(names)} (pip install 'fne-cli[{extra}]')" for extra, names in found.extras.items()]
    threads = [f"{name}={value}" for name, value in processor["threads"].items()]
    features = " ".join(processor["features"]) or "no features known"
    cached = [f"{name} ({_size(size)})" for name, size in weights["files"].items()]
    lines = [
        f"software    {', '.join(f'{name} {version}' for name, version in found.versions.items())}",
        *(f"  not installed: {text}" for text in missing),
        f"processors  {processor['count']:,} of {processor['name']}; {features}",
        *(f"  {text}" for text in threads),
        f"networks    {found.backend} on {', '.join(found.devices) or 'the processor'}",
        f"memory      {_size(found.memory)} free",
        f"disk        {disk['folder']}: {free} free, {disk['file_system']}",
        f"weights     {weights['folder']}: {', '.join(cached) or 'none'}; others "
        + ("can be downloaded" if weights["can_be_downloaded"] else "cannot be downloaded"),
    ]
    for problem in found.problems:
        lines += [f"to mend     {problem.problem}" if problem.serious else f"to know     {problem.problem}"]
        lines += [f"            {line}" for line in problem.remedy.splitlines() if line]
    return lines if found.problems else [*lines, "All is well."]


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
