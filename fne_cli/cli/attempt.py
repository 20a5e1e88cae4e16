"""fne try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, table
from fne_cli.cli.evaluate import columns_of
from fne_cli.cli.run import known_options
from fne_cli.unprintable import plain_json


@click.command("try", cls=options.Command)
@click.argument("images")
@click.argument("work", type=options.FILE, required=False)
@options.model("vgg16")
@options.preprocess
@options.image_size
@options.root
@options.label_column
@click.option(
    "--cv",
    type=click.IntRange(min=2),
    help="Cross-validation with so many folds.  [default: 5; none if there are training and test images]",
)
@click.option("--max-bad", default="5%", show_default=True, help="Bad images to accept: a number, or a share: 0.5%.")
@options.as_json
@options.overwrite
def attempt(
    progress: Console, images: str, work: Path | None, cv: int | None, as_json: bool, overwrite: bool, **values: Any
) -> None:
    """Go from a folder of IMAGES to an accuracy, with all steps.

    IMAGES is a folder with a folder per class, with or without train/ and test/ above, or what fne extract takes else.
    Without training and test images every image is measured once, by stratified folds. The files go to WORK/MODEL
    (for photos/ by default photos-fne/vgg16). Printed are the embedding, the best single layer, nearest neighbours, and
    the commands that did it, to go on from there. The same command again does what has changed.

    \b
    Example: fne try photos/
             fne try photos/ results/ --model resnet50
    """
    from fne_cli.experiments.attempt import attempt as attempted

    done = attempted(
        images,
        work,
        options=known_options(),
        extraction={key: value for key, value in values.items() if not _is_default(key, value)},
        cv=cv,
        overwrite=overwrite,
        progress=progress,
    )
    if not done.made:
        progress.note(f"{done.folder} is up to date")
    if as_json:
        found = {
            "folder": str(done.folder),
            "folds": done.folds,
            "bad": done.bad,
            "commands": done.commands,
            "results": done.results,
        }
        click.echo(plain_json(found))
        return
    header, rows = columns_of(done.results)
    lines = [(result["measured"], *row) for result, row in zip(done.results, rows, strict=True)]
    click.echo(table(("", "of", *header[1:]), lines))
    click.echo(_said(done.layers, done.folds, done.bad))
    click.echo("\n" + "\n".join(done.commands))


def _is_default(key: str, value: Any) -> bool:
    return value is None or (key == "label_column" and value == "label")


def _said(layers: int, folds: int | None, bad: int) -> str:
    """How it was measured, without which images, and which of these figures flatters."""
    how = "the images of split test" if folds is None else f"every image once, by {folds} stratified folds"
    best = f"; the best of {layers} layers was found by these same images, which flatters it" if layers > 1 else ""
    without = f", without {bad:,} bad" if bad else ""
    return f"Measured: {how}{without}{best}."
