"""fne map."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table


@click.command(cls=options.Command)
@click.argument("model", metavar="CLASSIFIER", type=options.FILE)
@click.argument("activations", type=options.FILE)
@click.argument("folder", type=options.FILE)
@click.option("--images", help="What the activations were extracted from, to draw the maps over the images.")
@options.root
@click.option("--rows", help="Images to look at: a split, or all.  [default: test, or all if there are no splits]")
@click.option(
    "--class",
    "class_name",
    help="Evidence for this class.  [default: what is said of an image and, if that is another, what is true]",
)
@click.option(
    "--only",
    type=kinds.Names(),
    default=(),
    help="Draw these images, paths or globs.  [default: those of --per-class and --wrong]",
)
@click.option(
    "--per-class",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Draw so many images of each class that are right, those with the largest decision value.",
)
@click.option(
    "--wrong",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    help="Draw so many images that are wrong, those furthest off.",
)
@options.boxes("Measure whether maps find these objects (pointing game, CorLoc), and draw them.")
@options.as_json
@options.overwrite
def map(progress: Console, as_json: bool, **values: Any) -> None:  # noqa: A001  # the name of the command
    """Draw which parts of an image speak for a class.

    CLASSIFIER is what fne evaluate --save-classifier saved, a linear one. ACTIVATIONS have cells: --pool avg:7, or
    none. If it was trained on averages over these cells (fne evaluate --pool avg --embedding standardized), or on the
    cells themselves, the cells' evidence adds up to the decision value. FOLDER gets the figures maps and wrong (PNG,
    SVG), maps.csv with a line for each image and class, and maps.json with the maps that are drawn. Needs matplotlib:
    pip install 'fne-cli[report]'.

    \b
    Example: fne map classifier.npz grid.h5 maps/ --images photos/
             fne map classifier.npz grid.h5 maps/ --images photos/ --class dog --boxes Annotations/
    """
    from fne_cli.steps.map import map as map_evidence

    done = map_evidence(progress=progress, **values)
    if as_json:
        options.print_json(done, made=("images", "missing", "wrong"))
        return
    if done.up_to_date:
        progress.note(f"{done.folder} is up to date")
        return
    progress.note(f"{done.folder}: {done.images:,} images, {done.wrong:,} of them wrong")
    if done.missing and values["images"]:
        progress.note(f"{done.missing:,} images are missing or cannot be opened, and have no place in pixels")
    if done.pointing is not None:
        rows = [(row["class"], f"{row['images']:,}", *_percents(row)) for row in done.pointing["per_class"]]
        rows.append(("mean of classes", "", *_percents(done.pointing)))
        click.echo(table(("class", "images", "pointing", "middle", "area of boxes", "CorLoc"), rows))


def _percents(row: dict[str, Any]) -> tuple[str, ...]:
    values = (row[name] for name in ("pointing", "centre", "area", "corloc"))
    return tuple("-" if value is None else f"{100 * value:.1f} %" for value in values)
