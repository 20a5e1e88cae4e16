"""fne plot."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("behavior", type=options.FILE)
@click.argument("folder", type=options.FILE)
@click.option("--activations", type=options.FILE, help="The file that was analyzed, for the images below.")
@click.option("--images", help="What it was extracted from: draw also the images that excite features most.")
@click.option(
    "--features",
    type=kinds.Names(),
    default=(),
    help="Features to show images for: 'block5_conv3:117,fc2:8'.  [default: the strongest, each of another class]",
)
@options.as_json
@options.overwrite
def plot(progress: Console, as_json: bool, **values: Any) -> None:
    """Draw what fne analyze found, as PNG and SVG.

    FOLDER gets the figures. BEHAVIOR is what fne analyze wrote. Needs matplotlib: pip install 'fne-cli[report]'.

    \b
    Example: fne plot behavior.h5 figures/
             fne plot behavior.h5 figures/ --activations photos.h5 --images photos/
    """
    from fne_cli.steps.plot import plot

    done = plot(progress=progress, **values)
    if as_json:
        options.print_json(done)
        return
    state = " is up to date" if done.up_to_date else ""
    progress.note(f"{done.folder}{state}: {', '.join(done.figures)}")
