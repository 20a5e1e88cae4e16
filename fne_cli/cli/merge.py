"""fne merge."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("shards", type=options.FILE, nargs=-1, required=True, metavar="SHARD...")
@click.argument("activations", type=options.HDF5, metavar="OUTPUT")
@options.as_json
@options.overwrite
def merge(progress: Console, as_json: bool, **values: Any) -> None:
    """Join the shards of one extraction into one file.

    SHARDs are the files of fne extract --shard 1/N ... N/N, in any order; OUTPUT gets the bytes of an unsharded run.

    \b
    Example: fne merge photos-1.h5 photos-2.h5 photos-3.h5 photos.h5
    """
    from fne_cli.steps.merge import merge

    done = merge(progress=progress, **values)
    if as_json:
        options.print_json(done)
        return
    state = " is up to date" if done.up_to_date else ""
    bad = f", {done.bad:,} of them bad" if done.bad else ""
    progress.note(f"{done.path}{state}: {done.images:,} images{bad}")
