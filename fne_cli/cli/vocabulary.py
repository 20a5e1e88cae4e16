"""fne vocabulary."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, duration
from fne_cli.options import taken
from fne_cli.unprintable import plain_json


@click.command(cls=options.Command)
@click.argument("images")
@click.argument("vocabulary", type=options.FILE)
@click.option("--model", type=click.Choice(["fisher", "bow"]), default="fisher", show_default=True,
              help="What it is for: Fisher vectors by a mixture of Gaussians, or bags of words.")  # fmt: skip
@click.option("--words", type=click.IntRange(1, 65_536),
              help="How many Gaussians, or words.  [default: 256 for fisher, 1024 for bow]")  # fmt: skip
@click.option("--components", type=click.IntRange(1, 128),
              help="Of fisher: principal components of a descriptor.  [default: 80]")  # fmt: skip
@click.option(
    "--assign",
    type=click.Choice(["hard", "soft"]),
    help="Of bow: a descriptor counts for the nearest word, or for several near ones.  [default: hard]",
)
@click.option("--descriptor", type=click.Choice(["rootsift", "sift"]), default="rootsift", show_default=True,
              help="SIFT, or the roots of its shares.")  # fmt: skip
@click.option(
    "--patches",
    type=kinds.Numbers("sides of patches, such as 16,32", positive=True, whole=True),
    default=(16, 24, 32, 40),
    show_default="16,24,32,40",
    metavar="SIDES",
    help="Sides in pixels of the patches that are described.",
)
@click.option("--step", type=click.IntRange(1, 256), default=4, show_default=True,
              help="Pixels from one patch to the next.")  # fmt: skip
@click.option("--samples", type=click.IntRange(1, 10_000_000), default=200_000, show_default=True,
              help="Descriptors to learn from, drawn from all images alike.")  # fmt: skip
@click.option("--image-size", type=kinds.Size(), default=(256, 256), show_default="256",
              help="Size that images are brought to.")  # fmt: skip
@click.option("--resize", type=click.Choice(["squash", "crop"]), default="squash", show_default=True,
              help="Fit images by changing their aspect ratio, or by cutting out the centre.")  # fmt: skip
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Of the draw, and of what is learned.")
@click.option("--rows", help="Images to learn from: a split, or all.  [default: train, or all if there are no splits]")
@options.root
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: all cores]")
@click.option("--max-bad", default="0", show_default=True, help="Bad images to accept: a number, or a share: 0.5%.")
@options.as_json
@options.overwrite
def vocabulary(progress: Console, as_json: bool, **values: Any) -> None:
    """Learn a VOCABULARY of local descriptors from IMAGES, for fne extract.

    Features made by hand, as they were before deep ones: SIFT descriptors of patches on a grid, and what a mixture of
    Gaussians or a list of words makes of them. It is learned from training images only, and fne extract takes it as
    --weights. IMAGES is what fne extract takes. Needs OpenCV: pip install 'fne-cli[descriptors]'.

    \b
    Example: fne vocabulary photos/ fisher-words.h5 --model fisher
             fne extract photos/ fisher.h5 --model fisher --weights fisher-words.h5
             fne evaluate fisher.h5
    """
    from fne_cli.steps.vocabulary import VocabularyOptions, vocabulary

    chosen = taken(VocabularyOptions, values)
    done = vocabulary(values.pop("images"), values.pop("vocabulary"), chosen, progress=progress, **values)
    if as_json:
        click.echo(plain_json(dataclasses.asdict(done) | {"path": str(done.path)}))
    if done.up_to_date:
        progress.note(f"{done.path} is up to date: {done.words:,} words from {done.images:,} images")
    else:
        progress.note(
            f"{done.path}: {done.words:,} words from {done.descriptors:,} descriptors of {done.images:,} images in "
            f"{duration(done.seconds)}"
        )
    if done.bad:
        progress.note(done.bad_summary())
