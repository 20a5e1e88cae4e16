"""fne reduce."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.options import taken
from fne_cli.unprintable import plain_json


@click.command(cls=options.Command)
@click.argument("activations", type=options.FILE, nargs=-1, required=True, metavar="ACTIVATIONS...")
@click.argument("projection", type=options.HDF5)
@click.option(
    "--components", type=click.IntRange(1, 1_000_000), default=256, show_default=True,
    help="How many principal components, at most training rows but one, or features.",
)  # fmt: skip
@click.option(
    "--embedding", type=kinds.EmbeddingName(), default="length", show_default=True,
    help="What becomes of rows before they are reduced: pieces without pca, or the name of an embedding that is made "
    "of such. docs/evaluation.md has them all.",
)  # fmt: skip
@click.option("--whiten", is_flag=True, help="Divide every component by its standard deviation.")
@click.option(
    "--exponent", type=click.FloatRange(0, 1, min_open=True),
    help="Of --whiten: divide by (standard deviation)^EXPONENT. 0.5 is half way.  [default: 1]",
)  # fmt: skip
@click.option(
    "--within", is_flag=True,
    help="Instead of --whiten: by the covariance within classes, shrunk. It looks at the labels of the rows.",
)  # fmt: skip
@click.option(
    "--lda", type=click.IntRange(1, 1_000_000), metavar="COUNT",
    help="Instead of --whiten: so many linear discriminants of the components, fewer than classes. It looks at the "
    "labels of the rows.",
)  # fmt: skip
@click.option(
    "--power", type=click.FloatRange(0, 4, min_open=True), metavar="EXPONENT",
    help="Then signed powers of every column, sign(x) * |x|^EXPONENT.",
)  # fmt: skip
@click.option("--rows", help="Images to learn from: a split, or all.  [default: train, or all if there are no splits]")
@options.layers("Layers to use, names or globs.  [default: all]")
@options.averaged
@click.option("--memory", type=kinds.Bytes(), help="Memory to use, such as 2G.  [default: half of what is free]")
@options.as_json
@options.overwrite
def reduce(progress: Console, as_json: bool, **values: Any) -> None:
    """Learn principal components of ACTIVATIONS, for searching and measuring with fewer columns.

    PROJECTION gets a fitted embedding: rows become --embedding, then their components, whitened or not, then length 1.
    It is learned on the training images only, once; evaluate, search, retrieve and export take it with --projection, of
    these images or others of the same network. Several files, such as the shards of one extraction in any order, count
    as one.

    \b
    Example: fne reduce photos.h5 projection.h5 --components 256 --whiten
             fne reduce photos.h5 p.h5 --embedding z,root,equal,depth:4 --components 128 --whiten --exponent 0.5
             fne reduce photos.h5 p.h5 --components 512 --lda 100
             fne evaluate photos.h5 results.json --projection p.h5
    """
    from fne_cli.steps.reduce import ReductionOptions, reduce

    chosen = taken(ReductionOptions, values)
    done = reduce(values.pop("activations"), values.pop("projection"), chosen, progress=progress, **values)
    state = " is up to date" if done.up_to_date else ""
    progress.note(f"{done.path}{state}: {done.embedding}")
    if as_json:
        click.echo(plain_json(dataclasses.asdict(done) | {"path": str(done.path)}))
        return
    header = ("layers", "features", "columns", "components", "variance explained", "rows", "of")
    numbers = (len(done.layers), done.features, done.columns, done.components)
    share = f"{100 * sum(done.explained):.2f} %"
    click.echo(table(header, [(*(f"{number:,}" for number in numbers), share, f"{done.count:,}", done.rows)]))
