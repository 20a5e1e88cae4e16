"""fne export."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console
from fne_cli.unprintable import plain_lines


@click.command(cls=options.Command)
@click.argument("file", type=options.FILE)
@click.argument("output", type=options.FILE)
@options.layers("Layers to export, names or globs.  [default: all]")
@options.embedded("[default: as they are; l2 for .faiss, .usearch and .copy]")
@click.option(
    "--vector",
    type=click.Choice(["bit", "vector", "halfvec"]),
    help="Type of pgvector in a .copy file.  [default: bit for codes, vector else]",
)
@click.option(
    "--memory",
    type=kinds.Bytes(),
    help="Memory to fit an embedding, or to build an index of usearch, such as 2G.  [default: half of what is free]",
)
@click.option(
    "--cells",
    is_flag=True,
    help="A row for each cell of maps (--pool avg:7, or none, in fne extract): all layers on the grid of the finest "
    "one, bilinear, with the cell's box.",
)
@click.option(
    "--images",
    help="What the activations were extracted from: for the files of a .parquet, the pictures of a .projector, and "
    "with --cells for boxes in pixels of these images.  [default there: of the network's input]",
)
@click.option(
    "--predictions",
    type=options.FILE,
    help="CSV with the columns path and prediction, of fne predict or fne evaluate: for a .parquet or .projector.",
)
@options.root
@options.batch_rows
@options.as_json
@options.overwrite
def export(progress: Console, as_json: bool, **values: Any) -> None:
    """Write the features of FILE for other tools, or search engines.

    OUTPUT ends in .npz, .npy, .parquet (also for FiftyOne and Spotlight), .csv, .svm (libsvm), or .projector, a folder
    for TensorBoard. The layers stand side by side, a row per crop of every
    good image, with the image's path, split and label. Activations stay as they are, or become an --embedding fitted to
    training images, or the columns of a --projection.

    Or it ends in .faiss, .usearch or .copy (PostgreSQL with pgvector), and holds what fne search compares: codes as two
    bits each, everything else as rows of length 1. For .copy the statements that psql needs are printed.

    \b
    Example: fne export codes.h5 codes.npz
             fne export photos.h5 fc2.csv --layers fc2
             fne export photos.h5 reduced.npy --projection projection.h5
             fne export grid.h5 cells.npz --cells --images photos/
             fne export codes.h5 codes.parquet --images photos/ --predictions predictions.csv
             fne export codes.h5 codes.projector --images photos/
             fne export codes.h5 codes.faiss
             fne export photos.h5 photos.copy --embedding length,pca:256,whiten | psql
    """
    from fne_cli.steps.export import export

    done = export(progress=progress, **values)
    if as_json:
        options.print_json(done)
        return
    state = " is up to date" if done.up_to_date else ""
    beside = f"; paths and labels in {done.images}" if done.images is not None else ""
    progress.note(f"{done.path}{state}: {done.rows:,} rows x {done.features:,} features{beside}")
    if done.statements:
        click.echo(plain_lines(done.statements))
