"""fne analyze."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.unprintable import plain_json


@click.command(cls=options.Command)
@click.argument("activations", type=options.FILE, nargs=-1, required=True, metavar="ACTIVATIONS...")
@click.argument("output", type=options.HDF5)
@click.option("--rows", help="Images to use: a split, or all.  [default: train, or all if there are no splits]")
@options.layers("Layers to analyze, names or globs.  [default: all]")
@click.option(
    "--random-classes", type=click.IntRange(min=1), default=20, show_default=True,
    help="Random classes of each size that occurs: they say what is noise.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random classes.")
@click.option(
    "--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True,
    help="Share of random pairs that would count as characteristic; with --fdr, of those that do.",
)  # fmt: skip
@click.option("--fdr", is_flag=True, help="Hold the false discovery rate at alpha (Benjamini-Hochberg).")
@click.option(
    "--memory", type=kinds.Bytes(), default="256M", show_default=True,
    help="Memory for the tables; larger ones go to a temporary file. The result does not depend on it.",
)  # fmt: skip
@options.cluster
@options.as_json
@options.overwrite
def analyze(progress: Console, as_json: bool, **values: Any) -> None:
    """Say how strongly each feature characterises each class.

    A feature does so by its presence or by its absence. OUTPUT gets the signed Kolmogorov-Smirnov statistic of every
    feature and class (the class against all other images), what random classes reach, which pairs that leaves, and
    thresholds for fne discretize. Several files, such as the shards of one extraction in any order, count as one.

    \b
    Example: fne analyze photos.h5 behavior.h5
             fne analyze photos.h5 behavior.h5 --alpha 0.01 --random-classes 100
             fne discretize photos.h5 moments.h5 codes.h5 --thresholds behavior.h5
    """
    from fne_cli.steps.analyze import analyze

    done = analyze(progress=progress, **values)
    state = " is up to date" if done.up_to_date else ""
    progress.note(f"{done.path}{state}: {done.images:,} images ({done.rows}), {done.classes:,} classes")
    if as_json:
        click.echo(plain_json(dataclasses.asdict(done) | {"path": str(done.path)}, allow_nan=True))
        return
    rows = []
    for row in (*done.layers, done.total):
        parts = (row.presence, row.absence, row.pairs - row.presence - row.absence)
        rows.append((row.layer, f"{row.features:,}", *(f"{100 * part / max(1, row.pairs):.1f} %" for part in parts)))
    click.echo(table(("layer", "features", "presence", "absence", "uncharacteristic"), rows))
    low, high = ("none" if value is None else f"{value:.3f}" for value in (done.low, done.high))
    total, chance = done.total, f"{done.expected_false:,.0f}"
    click.echo(
        f"{total.presence + total.absence:,} of {total.pairs:,} pairs are characteristic; "
        + (
            f"at most {chance} of them by chance, on average"
            if values["fdr"]
            else f"of random classes {chance} would be"
        )
    )
    click.echo(f"thresholds from data: low {low}, high {high}")
