"""The options that all commands have that train a network: each a decorator, to stand where a command wants it."""

from __future__ import annotations

import click

from fne_cli.cli import kinds

IMAGE_SIZE = click.option("--image-size", type=kinds.Size(), help="Input size, as of fne extract.")
RESIZE = click.option(
    "--resize",
    type=click.Choice(["squash", "crop"]),
    default="squash",
    show_default=True,
    help="Fit images by changing their aspect ratio, or by cutting out the centre.",
)
OPTIMIZER = click.option(
    "--optimizer",
    type=click.Choice(["sgd", "adamw"]),
    default="sgd",
    show_default=True,
    help="SGD with momentum, or AdamW.",
)
MOMENTUM = click.option(
    "--momentum", type=click.FloatRange(0, 1, max_open=True), default=0.9, show_default=True, help="Of SGD."
)
SCHEDULE = click.option(
    "--schedule",
    type=click.Choice(["cosine", "step", "constant"]),
    default="cosine",
    show_default=True,
    help="Down to nothing; or a tenth after half of the epochs and again after three quarters.",
)
LABEL_SMOOTHING = click.option(
    "--label-smoothing",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Share of each label that all classes get.",
)
AUGMENT = click.option(
    "--augment",
    type=kinds.Names(),
    default=(),
    help="flip, crop (moved by up to an eighth), colour; several: flip,crop.  [default: none]",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="What the network computes in; weights are float32.",
)
WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: all cores]"
)
MEMORY = click.option(
    "--memory",
    type=kinds.Bytes(),
    help="Memory for decoded images, such as 2G; where they take more they are decoded in every epoch.  "
    "[default: half of what is free]",
)
MAX_PIXELS = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=178_956_970,
    show_default=True,
    help="An image with more pixels is bad, not decoded.",
)
MAX_BAD = click.option(
    "--max-bad", default="0", show_default=True, help="Bad images to leave out: a number, or a share: 0.5%."
)
