"""fne extract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, duration
from fne_cli.options import taken
from fne_cli.unprintable import plain

if TYPE_CHECKING:
    from fne_cli.steps.extract import Extraction


@click.command(cls=options.Command)
@click.argument("images")
@click.argument("activations", type=options.HDF5)
@options.model("vgg16")
@click.option(
    "--weights",
    help="imagenet (default of keras.applications), random, or an .h5 file of Keras weights, with any top or none; of "
    "fisher and bow the file of fne vocabulary.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of --weights random.")
@options.preprocess
@options.image_size
@options.layers("Layers to tap, names or globs: 'block*,fc2'.  [default: all but the classifier]")
@click.option(
    "--pool",
    type=kinds.Names(),
    default=(),
    help="avg, max, avg:2 (a grid of 2 x 2), max:3 ... or none; of transformers cls, mean or cls+mean; per layer "
    "'block5*=avg:2'.  [default: avg]",
)
@click.option("--resize", type=click.Choice(["squash", "crop"]), default="squash", show_default=True,
              help="Fit images by changing their aspect ratio, or by cutting out the centre.")  # fmt: skip
@click.option("--crops", type=click.Choice([1, 5, 10]), default=1, show_default=True,
              help="Rows per image: the whole, four corners and the centre, or those mirrored too.")  # fmt: skip
@click.option("--box-context", type=click.FloatRange(min=0.1), default=1.0, show_default=True,
              help="Enlarge boxes of the manifest by this factor.")  # fmt: skip
@click.option("--decode", type=click.Choice(["full", "reduced"]), default="full", show_default=True,
              help="reduced: large JPEGs to 1/2, 1/4 or 1/8, where that is enough: faster, other pixels.")  # fmt: skip
@options.root
@options.label_column
@click.option("--shard", type=kinds.Shard(), help="Take every N-th image only; fne merge joins the N files.")
@click.option("--batch-size", type=click.IntRange(1, 65536), default=16, show_default=True,
              help="Rows that go through the network at once.")  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "float16", "auto"]), default="float32",
              show_default=True, help="What the network computes in; auto: bfloat16 if it is faster here.")  # fmt: skip
@click.option("--xla", is_flag=True, help="Compile the network with XLA.")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True,
              help="What the activations are stored in.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: all cores]")
@click.option(
    "--decode-memory",
    type=kinds.Bytes(),
    help="Memory that these threads share, such as 2G; large images wait for it.  [default: half of what is free]",
)
@click.option("--max-pixels", type=click.IntRange(min=1), default=178_956_970, show_default=True,
              help="An image with more pixels is bad, not decoded.")  # fmt: skip
@click.option("--max-bad", default="0", show_default=True, help="Bad images to accept: a number, or a share: 0.5%.")
@click.option("--retry-bad", is_flag=True, help="Read the bad images of the output again, and only those.")
@click.option("--reuse", type=options.FILE, multiple=True, metavar="FILE",
              help="Take rows of images that another output of the same settings has; repeatable.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what it would take, and stop.")
@click.option("--recheck", is_flag=True, help="Compare images by content, not by size and time.")
@options.as_json
@options.overwrite
@options.cluster
@click.option("--shard-rows", type=click.IntRange(min=1), metavar="ROWS",
              help="With --cluster: rows of a shard.  [default: for eight shards a worker, within limits]")  # fmt: skip
def extract(progress: Console, as_json: bool, **values: Any) -> None:
    """Write a network's ACTIVATIONS for all IMAGES.

    IMAGES is a folder of class folders (optionally below train/, val/ and test/), a manifest (.csv, .tsv, .jsonl or
    .json with path and optionally label, split, box), a .tar, or - for paths on standard input. An interrupted run is
    resumed by the same command.

    \b
    Example: fne extract photos/ photos.h5 --model vgg16 --batch-size 32
    """
    from fne_cli.steps.extract import Recipe, RunOptions, extract

    recipe, run = taken(Recipe, values), taken(RunOptions, values)
    done = extract(recipe=recipe, options=run, progress=progress, **values)
    if as_json:
        bad = [{"path": path, "message": message} for path, message in done.bad]
        options.print_json(done, ("seconds",), bad=bad, computed=0 if done.up_to_date else done.computed)
        return
    if run.dry_run:
        click.echo(plain(f"{done.path}: {done.images:,} images, {done.estimate}"))
    elif done.up_to_date:
        progress.note(f"{done.path} is up to date: {done.images:,} images")
    else:
        progress.note(f"{done.path}: {done.images:,} images{_computed(done)}")
    if done.bad:
        progress.note(done.bad_summary())


def _computed(done: Extraction) -> str:
    """What was computed of them now, and in what time."""
    took = f" in {duration(done.seconds)}" if done.seconds else ""
    if done.computed is None or done.computed == done.images:
        return took
    return f"; {done.computed:,} of them computed{took}" if done.computed else "; nothing had to be computed"
