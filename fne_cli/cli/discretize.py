"""fne discretize."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("activations", type=options.FILE, nargs=-1, required=True, metavar="ACTIVATIONS...")
@click.argument("moments", type=options.FILE)
@click.argument("codes", type=options.HDF5)
@options.thresholds
@click.option("--packed", is_flag=True, help="Two bits per code instead of a byte. Every command reads both.")
@options.batch_rows
@options.cluster
@options.as_json
@options.overwrite
def discretize(progress: Console, as_json: bool, **values: Any) -> None:
    """Encode ACTIVATIONS as ternary CODES, standardised by MOMENTS.

    MOMENTS are those of the training images. Several ACTIVATIONS give one file: the shards of one extraction, in any
    order, give the codes of the whole; other files stand one after the other.

    \b
    Example: fne discretize photos.h5 moments.h5 codes.h5 --thresholds=-0.25,0.15
             fne discretize photos.h5 moments.h5 codes.h5 --thresholds behavior.h5
    """
    from fne_cli.steps.discretize import discretize

    done = discretize(progress=progress, **values)
    if as_json:
        options.print_json(done, ("counts",))
        return
    what = f"{done.rows:,} rows x {done.features:,} codes"
    if done.up_to_date:
        progress.note(f"{done.path} is up to date: {what}")
    else:
        total = max(1, sum(done.counts))
        shares = ", ".join(f"{code}: {n / total:.3f}" for code, n in zip((-1, 0, 1), done.counts, strict=True))
        progress.note(f"{done.path}: {what} ({shares})")
