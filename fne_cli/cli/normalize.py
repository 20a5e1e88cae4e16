"""fne normalize."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("activations", type=options.FILE)
@click.argument("moments", type=options.FILE)
@click.option("--rows", help="Images to use: a split, or all.  [default: train, or all if there are no splits]")
@options.batch_rows
@options.overwrite
def normalize(progress: Console, **values: Any) -> None:
    """Compute the MOMENTS (mean, standard deviation) of every feature of ACTIVATIONS over the training images.

    \b
    Example: fne normalize photos.h5 moments.h5
    """
    from fne_cli.steps.normalize import normalize

    done = normalize(progress=progress, **values)
    what = f"moments of {done.count:,} rows ({done.rows})"
    if done.up_to_date:
        progress.note(f"{done.path} is up to date: {what}")
    else:
        progress.note(f"{done.path}: {what}, {done.features:,} features, {done.constant:,} of them constant")
