"""fne train."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, options
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
@click.option("--image-size", type=kinds.Size(), help="Input size, as of fne extract.")
@click.option("--resize", type=click.Choice(["squash", "crop"]), default="squash", show_default=True,
              help="Fit images by changing their aspect ratio, or by cutting out the centre.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), default=30, show_default=True, help="Times through the images.")
@click.option("--max-epochs", type=click.IntRange(min=1), metavar="E",
              help="Stop after so many of --epochs, for which the schedule is made.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1, 65536), default=64, show_default=True,
              help="Images of one step; the rest of an epoch that fills no batch is left out.")  # fmt: skip
@click.option("--optimizer", type=click.Choice(["sgd", "adamw"]), default="sgd", show_default=True,
              help="SGD with momentum, or AdamW.")  # fmt: skip
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=0.01, show_default=True,
              help="The rate at the beginning.")  # fmt: skip
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), default=0.9, show_default=True, help="Of SGD.")
@click.option("--weight-decay", type=click.FloatRange(min=0), default=5e-4, show_default=True,
              help="Of kernels that learn, not of biases.")  # fmt: skip
@click.option("--schedule", type=click.Choice(["cosine", "step", "constant"]), default="cosine", show_default=True,
              help="Down to nothing; or a tenth after half of the epochs and again after three quarters.")  # fmt: skip
@click.option("--label-smoothing", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True,
              help="Share of each label that all classes get.")  # fmt: skip
@click.option("--augment", type=kinds.Names(), default=(),
              help="flip, crop (moved by up to an eighth), colour; several: flip,crop.  [default: none]")  # fmt: skip
@click.option("--patience", type=click.IntRange(min=1), metavar="EPOCHS",
              help="Stop after so many epochs without a better validation accuracy, and keep the weights of the best; "
              "else those of the last are kept.")  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32",
              show_default=True, help="What the network computes in; weights are float32.")  # fmt: skip
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
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: all cores]")
@click.option("--memory", type=kinds.Bytes(),
              help="Memory for decoded images, such as 2G; where they take more they are decoded in every epoch.  "
              "[default: half of what is free]")  # fmt: skip
@click.option("--cache", type=kinds.Bytes(), default="8G", show_default=True,
              help="Disk beside MODEL.keras for the outputs of frozen layers, computed once.")  # fmt: skip
@click.option("--max-pixels", type=click.IntRange(min=1), default=178_956_970, show_default=True,
              help="An image with more pixels is bad, not decoded.")  # fmt: skip
@click.option("--max-bad", default="0", show_default=True, help="Bad images to leave out: a number, or a share: 0.5%.")
@click.option("--history", type=options.FILE, metavar="FILE.csv", help="Write loss and accuracy of every epoch.")
@options.overwrite
def train(progress: Console, **values: Any) -> None:
    """Train a network on IMAGES and write MODEL.keras.

    IMAGES as of fne extract, with a label each; split train is learned from (all images, if there are no splits), split
    val validates. An interrupted run is gone on with by the same command, to the same weights.

    \b
    Example: fne train photos/ tuned.keras --from vgg16 --copy 10 --freeze --epochs 10
    """
    from fne_cli.steps.train import Course, Rule, Selection, Start, TrainOptions, train

    start, rule, course = taken(Start, values), taken(Rule, values), taken(Course, values)
    options, selection = taken(TrainOptions, values), taken(Selection, values)
    done = train(
        start=start, rule=rule, course=course, options=options, selection=selection, progress=progress, **values
    )
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
