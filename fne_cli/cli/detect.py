"""fne detect."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, table
from fne_cli.unprintable import plain_json


@click.command(cls=options.Command)
@click.argument("model", metavar="CLASSIFIER", type=options.FILE)
@click.argument("features", type=options.FILE)
@click.argument("output", metavar="DETECTIONS", type=options.FILE)
@click.option("--rows", help="Regions to look at: a split, or all.  [default: test, or all if there are no splits]")
@click.option(
    "--overlap",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Of two boxes of a class that overlap by more (intersection over union) the one with the lower score goes.",
)
@options.boxes("Measure how well boxes find these objects: average precision at an overlap of 0.5, as PASCAL VOC does.")
@options.overwrite
@options.as_json
def detect(progress: Console, as_json: bool, **values: Any) -> None:
    """Write which regions show which class, the best of those that overlap.

    CLASSIFIER is what fne evaluate --save-classifier saved. FEATURES are of regions: of a manifest with boxes, which
    fne split --regions makes. DETECTIONS is a CSV file with path, class, score (the decision value) and box in pixels.

    \b
    Example: fne detect classifier.npz regions.h5 detections.csv
             fne detect classifier.npz regions.h5 detections.csv --boxes VOCdevkit/VOC2007/
    """
    from fne_cli.steps.detect import detect

    done = detect(progress=progress, **values)
    state = " is up to date" if done.up_to_date else ""
    progress.note(f"{done.path}{state}: {done.boxes:,} boxes in {done.pictures:,} images")
    if as_json:
        click.echo(plain_json(done.measured))
    elif done.measured is not None:
        rows = [
            (row["class"], f"{row['objects']:,}", f"{row['detections']:,}", *(_percent(row[key]) for key in _FIGURES))
            for row in done.measured["per_class"]
        ]
        means = [_percent(done.measured[f"mean_{key}"]) for key in _FIGURES]
        header = ("class", "objects", "boxes", "AP", "AP, 11 points", "AP of images")
        click.echo(table(header, [*rows, ("mean", "", "", *means)]))


_FIGURES = ("average_precision", "average_precision_11_point", "average_precision_of_images")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
