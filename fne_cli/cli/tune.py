"""fne tune."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, learning, options
from fne_cli.cli.console import Console, duration, table
from fne_cli.measures import MEASURES
from fne_cli.options import taken
from fne_cli.unprintable import plain, plain_json


@click.command(cls=options.Command)
@click.argument("images")
@click.argument("results", type=options.FILE)
@click.option("--model", default="vgg16", show_default=True,
              help="As of fne extract; with --scratch also vgg-mini, as of fne train.")  # fmt: skip
@click.option("--weights", help="As of fne extract: imagenet, random, or an .h5 file of Keras weights.")
@click.option("--learn", type=kinds.Names(), default="*", show_default=True,
              help="Weight layers that learn on, names or globs: 'block5*'. Those below are computed once for each "
              "image.")  # fmt: skip
@click.option("--scratch", is_flag=True, help="Draw all weights anew, to have the same network without what it has "
              "learned elsewhere.")  # fmt: skip
@click.option("--head", type=click.Choice(["svm", "random"]),
              help="How the new classifier begins: as the linear SVM on what the network makes of the training images, "
              "or drawn.  [default: svm; random with --scratch]")  # fmt: skip
@click.option("-C", "--cost", type=kinds.Numbers("numbers above 0, such as 0.01,0.1,1", positive=True),
              default="0.001,0.01,0.1", show_default=True,
              help="Of that SVM; of several the best is chosen, as the rate is.")  # fmt: skip
@click.option("--preprocess", type=kinds.Preprocess(), help="As of fne extract.")
@learning.IMAGE_SIZE
@learning.RESIZE
@learning.PRECISION
@click.option("--split", type=options.FILE, help="Manifest with path and split (train, test, val) to use instead.")
@click.option("--cv", type=click.IntRange(min=2), help="Stratified cross-validation with so many folds.")
@click.option("--rows", help="Images that --cv divides: a split, or all.  [default: train if there is one, else all]")
@click.option("--per-class", type=kinds.Numbers("numbers of images, such as 1,2,5", positive=True, whole=True),
              default=(), help="Learning curve: train on so many images per class (1,2,5,10).")  # fmt: skip
@click.option("--draws", type=click.IntRange(min=1), default=5, show_default=True,
              help="Random training sets of --per-class.")  # fmt: skip
@click.option("--without-leaks", is_flag=True, help="Leave out test images that are training images byte for byte.")
@click.option("--seed", type=options.SEED, default=0, show_default=True,
              help="Of folds and draws, as of fne evaluate; of weights that are drawn, of the order of the images, of "
              "augmentation and dropout.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Times through the images.")
@click.option("--batch-size", type=click.IntRange(1, 65536), default=32, show_default=True,
              help="Images of one step; the rest of an epoch that fills no batch is left out.")  # fmt: skip
@learning.OPTIMIZER
@click.option("--learning-rate", type=kinds.Numbers("numbers above 0, such as 0.0001,0.0003", positive=True),
              help="The rate at the beginning. Of several the best is chosen: by validation images (split val), else "
              "by a fifth of the training images of each class, left out meanwhile; where none can be, the first.  "
              "[default: 0.00003,0.0001,0.0003; with --scratch 0.01,0.03]")  # fmt: skip
@learning.MOMENTUM
@click.option("--weight-decay", type=kinds.Decays(), default="0.0005", show_default=True,
              help="Of kernels that learn, not of biases; of several the best is chosen, with the rate.")  # fmt: skip
@learning.SCHEDULE
@learning.LABEL_SMOOTHING
@learning.AUGMENT
@options.root
@options.label_column
@learning.WORKERS
@learning.MEMORY
@click.option("--cache", type=kinds.Bytes(), default="8G", show_default=True,
              help="Disk beside RESULTS for the outputs of frozen layers, computed once.")  # fmt: skip
@learning.MAX_PIXELS
@learning.MAX_BAD
@options.as_json
@options.overwrite
def tune(progress: Console, as_json: bool, **values: Any) -> None:
    """Tune a network on the training images of IMAGES and measure it on the test images.

    What fne evaluate measures of a frozen network, measured of one that learns on, by the same training and test
    images: a split, a learning curve, or cross-validation. The linear classifier comes first, then all layers that
    learn go on at a lower rate. RESULTS is what fne evaluate writes, for fne report and others. An interrupted run is
    gone on with by the same command, to the same results.

    \b
    Example: fne tune photos/ tuned.json --model vgg16 --learn 'block5*' --per-class 1,5,15
    """
    from fne_cli.steps.tune import LearningOptions, Protocol, Tuned, TuneOptions, tune

    tuned, learning, protocol = taken(Tuned, values), taken(LearningOptions, values), taken(Protocol, values)
    run = taken(TuneOptions, values)
    done = tune(tuned=tuned, learning=learning, protocol=protocol, options=run, progress=progress, **values)
    if done.up_to_date:
        progress.note(f"{done.path} is up to date")
    else:
        progress.note(f"{done.path}: in {duration(done.seconds)}")
    if as_json:
        click.echo(plain_json(done.results))
        return
    click.echo(_lines(done.results["results"]))


def _lines(entries: list[dict[str, Any]]) -> str:
    """A line for each size: accuracies, those of the first classifier, and what was chosen."""
    measures = [key for key in ("mean_per_class_accuracy", "accuracy") if key in entries[0]]
    head = any("head_mean_per_class_accuracy" in entry for entry in entries)
    header = ["", *(MEASURES[key] for key in measures), *(["of the first classifier"] if head else []), "rate"]
    rows = []
    for entry in entries:
        size = entry.get("training_images_per_class")
        row = [plain(entry["name"]) + ("" if size is None else f", {size} per class")]
        for key in measures:
            spread = entry.get(f"{key}_std")
            row.append(f"{100 * entry[key]:.2f} %" + ("" if spread is None else f" +- {100 * spread:.2f} %"))
        if head:
            row.append(f"{100 * entry['head_mean_per_class_accuracy']:.2f} %")
        rates = entry["learning_rate"]
        row.append(", ".join(f"{rate:g}" for rate in (rates if isinstance(rates, list) else [rates])))
        rows.append(tuple(row))
    return table(tuple(header), rows)
