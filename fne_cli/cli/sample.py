"""fne sample."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("dataset", type=click.Choice(["digits"]))
@click.argument("folder", type=options.FILE)
@options.as_json
@options.overwrite
def sample(progress: Console, as_json: bool, **values: Any) -> None:
    """Write a small real DATASET as image folders, to try things on.

    digits: the 1,797 handwritten digits of scikit-learn, in train/ and test/.

    \b
    Example: fne sample digits digits/
    """
    from fne_cli.steps.sample import sample

    done = sample(progress=progress, **values)
    if as_json:
        options.print_json(done)
        return
    state = " is up to date" if done.up_to_date else ""
    progress.note(f"{done.path}{state}: {done.train:,} training images, {done.test:,} test images")
