"""fne train."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, learning, options
from fne_cli.cli.console import Console, duration
from fne_cli.options import taken


@click.command(cls=options.Command)
@click.argument("images")
@click.argument("network", metavar="MODEL.keras", type=options.FILE)
@click.option(
    "--model",
    help="Its layers: vgg-mini, vgg-mini:width=16,depth=3, mini, a network of keras.applications, or a .keras file; "
    "the classifier is a new one.  [default: those of --from, else vgg-mini]",
)
@click.option("--from", "source", metavar="NETWORK",
              help="The network to copy from: mini, one of keras.applications, or a .keras or .h5 file.")  # fmt: skip
@click.option("--weights", help="Weights of --from: imagenet, random, or an .h5 file of Keras weights.")
@click.option("--copy", type=click.IntRange(min=0), metavar="N",
              help="Copy the first N weight layers of --from.  [default: all before its classifier]")  # fmt: skip
@click.option("--freeze", is_flag=True, help="Keep the first N weight layers of --copy as they are.")
@click.option("--seed", type=options.SEED, default=0, show_default=True,
              help="Of the weights that are drawn, the order of the images, augmentation and dropout.")  # fmt: skip
@click.option("--preprocess", type=kinds.Preprocess(),
              help="As of fne extract.  [default: that of --from, else of --model; tf for vgg-mini]")  # fmt: skip
@learning.IMAGE_SIZE
@learning.RESIZE
@click.option("--epochs", type=click.IntRange(min=1), default=30, show_default=True, help="Times through the images.")
@click.option("--max-epochs", type=click.IntRange(min=1), metavar="E",
              help="Stop after so many of --epochs, for which the schedule is made.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1, 65536), default=64, show_default=True,
              help="Images of one step; the rest of an epoch that fills no batch is left out.")  # fmt: skip
@learning.OPTIMIZER
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=0.01, show_default=True,
              help="The rate at the beginning.")  # fmt: skip
@learning.MOMENTUM
@click.option("--weight-decay", type=click.FloatRange(min=0), default=5e-4, show_default=True,
              help="Of kernels that learn, not of biases.")  # fmt: skip
@learning.SCHEDULE
@learning.LABEL_SMOOTHING
@learning.AUGMENT
@click.option("--patience", type=click.IntRange(min=1), metavar="EPOCHS",
              help="Stop after so many epochs without a better validation accuracy, and keep the weights of the best; "
              "else those of the last are kept.")  # fmt: skip
@learning.PRECISION
@click.option("--classes", type=kinds.Names(), default=(), metavar="A,B,...", help="Only these.  [default: all]")
@click.option("--per-class", type=click.IntRange(min=1), help="Training images of each class.  [default: all]")
@click.option("--val", type=kinds.Share(), help="Share of each class for validation, where there is no split val.")
@click.option("--draw", type=options.SEED, default=0, show_default=True,
              help="Seed by which --per-class and --val draw images.")  # fmt: skip
@click.option("--judge", metavar="IMAGES",
              help="Take the accuracy on split test of these images, which may be the same, after every epoch; it "
              "chooses nothing.")  # fmt: skip
@options.root
@options.label_column
@learning.WORKERS
@learning.MEMORY
@click.option("--cache", type=kinds.Bytes(), default="8G", show_default=True,
              help="Disk beside MODEL.keras for the outputs of frozen layers, computed once.")  # fmt: skip
@learning.MAX_PIXELS
@learning.MAX_BAD
@click.option("--history", type=options.FILE, metavar="FILE.csv", help="Write loss and accuracy of every epoch.")
@options.as_json
@options.overwrite
def train(progress: Console, as_json: bool, **values: Any) -> None:
    """Train a network on IMAGES and write MODEL.keras.

    IMAGES as of fne extract, with a label each; split train is learned from (all images, if there are no splits), split
    val validates. An interrupted run is gone on with by the same command, to the same weights.

    \b
    Example: fne train photos/ tuned.keras --from vgg16 --copy 10 --freeze --epochs 10
    """
    from fne_cli.steps.train import Course, Rule, Selection, Start, TrainOptions, train

    start, rule, course = taken(Start, values), taken(Rule, values), taken(Course, values)
    how, selection = taken(TrainOptions, values), taken(Selection, values)
    done = train(start=start, rule=rule, course=course, options=how, selection=selection, progress=progress, **values)
    if as_json:
        bad = [{"path": path, "message": message} for path, message in done.bad]
        options.print_json(done, made=("seconds",), bad=bad)
        return
    if done.up_to_date:
        progress.note(f"{done.path} is up to date: {done.epochs:,} epochs")
        return
    told = f"training accuracy {done.figures['accuracy']:.4f}"
    if "val_accuracy" in done.figures:
        told += f", validation accuracy {done.figures['val_accuracy']:.4f}"
    if "test_accuracy" in done.figures:
        told += f", test accuracy {done.figures['test_accuracy']:.4f}"
    progress.note(
        f"{done.path}: {done.images['train']:,} images, {done.classes:,} classes, {done.epochs:,} epochs in "
        f"{duration(done.seconds)}; the weights of epoch {done.kept:,} are kept: {told}"
    )
    if done.bad:
        progress.note(done.bad_summary())
