"""fne predict."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("model", type=options.FILE, metavar="CLASSIFIER")
@click.argument("features", type=options.FILE)
@click.argument("output", type=options.CSV, required=False)
@click.option("--rows", default="all", show_default=True, help="A split, or all images.")
@options.together("A line for each image.")
@options.as_json
@options.overwrite
def predict(progress: Console, as_json: bool, **values: Any) -> None:
    """Classify images with a classifier that fne evaluate saved.

    CLASSIFIER is what fne evaluate --save-classifier wrote. FEATURES is a codes file, made with the same moments, or
    the activations if the classifier was trained on those. Writes CSV (path, truth if known, prediction, decision
    values) to OUTPUT or to standard output.

    \b
    Example: fne predict classifier.npz codes.h5 predictions.csv
             fne predict classifier.npz regions.h5 predictions.csv --regions max
    """
    from fne_cli.steps.predict import predict

    if as_json and values["output"] is None:
        raise click.UsageError("--json prints how many are right; the predictions need a file then. Name an OUTPUT.")
    done = predict(progress=progress, **values)
    if as_json:
        options.print_json(done, ("images", "labelled", "right"))
        return
    if done.up_to_date:
        progress.note(f"{done.path} is up to date")
        return
    progress.note(f"{done.images:,} images classified")
    if done.right is not None and done.labelled:
        progress.note(f"{done.right:,} of the {done.labelled:,} with a known label are right")
