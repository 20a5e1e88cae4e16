"""fne evaluate."""

from __future__ import annotations

import json
from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, table


@click.command(cls=options.Command)
@click.argument("features", type=options.FILE)
@click.argument("results", type=options.FILE, required=False)
@options.layers("Layers to use, names or globs.  [default: all]")
@click.option("-C", "--cost", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
              help="Cost of a misclassified training row.")  # fmt: skip
@click.option(
    "--solver",
    type=click.Choice(["certified", "liblinear"]),
    default="certified",
    show_default=True,
    help="Ours, to a proven duality gap; or scikit-learn's LinearSVC, as a reference.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True, max=1),
    default=1e-4,
    show_default=True,
    help="Relative duality gap at which a class is solved.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the solver.")
@options.as_json
@options.overwrite
def evaluate(progress: Console, as_json: bool, **values: Any) -> None:
    """Train a linear SVM on the training images of FEATURES and measure it on the test images.

    FEATURES is a codes file (all layers are one embedding) or an activations file (the single-layer baseline: each
    layer alone, L2-normalised). With RESULTS everything is written there as JSON too.

    \b
    Example: fne evaluate codes.h5 results.json
    """
    from fne_cli.steps.evaluate import evaluate

    done = evaluate(progress=progress, **values)
    if done.up_to_date:
        progress.note(f"{done.path} is up to date")
    if as_json:
        click.echo(json.dumps(done.results, ensure_ascii=False, allow_nan=False))
        return
    rows = [
        (
            result["name"],
            f"{result['features']:,}",
            f"{result['training_rows']:,}",
            f"{result['test_rows']:,}",
            f"{100 * result['mean_per_class_accuracy']:.2f} %",
            f"{100 * result['accuracy']:.2f} %",
        )
        for result in done.results["results"]
    ]
    header = ("", "features", "training rows", "test rows", "mean per-class accuracy", "accuracy")
    click.echo(table(header, rows))
