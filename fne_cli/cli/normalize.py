"""fne normalize."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("activations", type=options.FILE, nargs=-1, required=True, metavar="ACTIVATIONS...")
@click.argument("moments", type=options.HDF5)
@click.option("--rows", help="Images to use: a split, or all.  [default: train, or all if there are no splits]")
@click.option("--standardized", type=options.HDF5, metavar="OUTPUT", help="Also write the z-scores of all images.")
@options.batch_rows
@options.cluster
@options.as_json
@options.overwrite
def normalize(progress: Console, as_json: bool, **values: Any) -> None:
    """Compute the MOMENTS of every feature over the training images.

    MOMENTS gets the mean and standard deviation of each feature of ACTIVATIONS, its extremes and its zeros. Several
    files, such as the shards of one extraction in any order, count as one.

    \b
    Example: fne normalize photos.h5 moments.h5
             fne normalize photos-*.h5 moments.h5 --rows all
    """
    from fne_cli.steps.normalize import normalize

    done = normalize(progress=progress, **values)
    if as_json:
        options.print_json(done, ("features", "constant"))
        return
    what = f"moments of {done.count:,} rows ({done.rows})"
    if done.up_to_date:
        progress.note(f"{done.path} is up to date: {what}")
    else:
        constant = sum(map(len, done.constant.values()))
        progress.note(f"{done.path}: {what}, {done.features:,} features, {constant:,} of them constant")
        for layer, columns in done.constant.items():
            shown = columns if progress.verbose else columns[:8]
            more = f" and {len(columns) - len(shown):,} more (-v lists all)" if len(columns) > len(shown) else ""
            progress.note(f"  constant in {layer}: {', '.join(map(str, shown))}{more}")
    if values["standardized"] is not None:
        state = "z-scores of all rows" if done.standardized else "is up to date"
        progress.note(
            f"{values['standardized']}: {state}" if done.standardized else f"{values['standardized']} {state}"
        )
