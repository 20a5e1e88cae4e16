"""fne export."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("file", type=options.FILE)
@click.argument("output", type=options.FILE)
@options.layers("Layers to export, names or globs.  [default: all]")
@options.projection
@options.batch_rows
@options.overwrite
def export(progress: Console, **values: Any) -> None:
    """Write the features of FILE for other tools.

    OUTPUT ends in .npz, .npy, .parquet, .csv or .svm (libsvm). The layers stand side by side, a row per crop of every
    good image, with the image's path, split and label. With --projection they are the columns that it makes of
    activations.

    \b
    Example: fne export codes.h5 codes.npz
             fne export photos.h5 fc2.csv --layers fc2
             fne export photos.h5 reduced.npy --projection projection.h5
    """
    from fne_cli.steps.export import export

    done = export(progress=progress, **values)
    state = " is up to date" if done.up_to_date else ""
    beside = f"; paths and labels in {done.images}" if done.images is not None else ""
    progress.note(f"{done.path}{state}: {done.rows:,} rows x {done.features:,} features{beside}")
