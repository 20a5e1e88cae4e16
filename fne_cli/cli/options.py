"""Options that commands share, and the kinds of files that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fne_cli.cli import kinds
from fne_cli.cli.command import Command, Renamed, print_json

__all__ = ["Command", "Renamed", "print_json"]  # and all that is defined here

FILE = click.Path(path_type=Path)
HDF5 = kinds.Written("HDF5 (fne export makes other kinds of it)", ".h5", ".hdf5")
"""An output of ours."""
CSV = kinds.Written("CSV", ".csv")
NPZ = kinds.Written("NumPy's .npz", ".npz")
SEED = click.IntRange(0, 2**32 - 1)


def overwrite(function: Callable[..., Any]) -> Callable[..., Any]:
    """--overwrite, of every command with an output file."""
    return click.option("--overwrite", is_flag=True, help="Replace an output made with other inputs or settings.")(
        function
    )


def cluster(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cluster, of the commands that many machines may share."""
    return click.option(
        "--cluster",
        metavar="SPEC",
        help="Share the work: local:4 (processes here), tcp://HOST:8786 (a Dask scheduler), slurm, or a cluster.toml.",
    )(function)


def model(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--model, a network, of what extracts activations."""
    return click.option(
        "--model",
        default=default,
        show_default=True,
        help="mini, a network of keras.applications (vgg16, resnet50 ...), a .keras, .h5 or .onnx file, or the folder "
        "of a KerasHub preset; or fisher, bow or hog, which are made by hand: see fne layers MODEL.",
    )


def preprocess(function: Callable[..., Any]) -> Callable[..., Any]:
    """--preprocess of such a network."""
    return click.option(
        "--preprocess",
        type=kinds.Preprocess(),
        help="What a network of your own expects: BGR minus channel means, -1 ... 1, ImageNet mean and deviation, "
        "0 ... 1, 0 ... 255, ImageNet's again, CLIP's, or numbers: mean=0.485/0.456/0.406,std=0.229/0.224/0.225,"
        "order=rgb,scale=1/255 is (pixel x scale - mean) / std; order is rgb or bgr.",
    )(function)


def image_size(function: Callable[..., Any]) -> Callable[..., Any]:
    """--image-size of such a network."""
    return click.option(
        "--image-size",
        type=kinds.Size(),
        help="Input size; a named network of another size is built without its dense layers.",
    )(function)


def layers(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--layers, with what it chooses from."""
    return click.option("--layers", type=kinds.Names(), default=(), help=text)


def averaged(function: Callable[..., Any]) -> Callable[..., Any]:
    """--pool of a file that is pooled already."""
    return click.option(
        "--pool",
        type=click.Choice(["avg"]),
        help="Of files pooled to a grid (avg:2) the averages over maps: the mean of the cells, if they have one size; "
        "else it is refused.",
    )(function)


def projection(function: Callable[..., Any]) -> Callable[..., Any]:
    """--projection, of what compares or measures rows of activations."""
    return click.option(
        "--projection",
        type=FILE,
        help="File of fne reduce: its embedding, layers and pooling, as it was learned there; instead of --embedding.",
    )(function)


def root(function: Callable[..., Any]) -> Callable[..., Any]:
    """--root, of what lists images."""
    return click.option(
        "--root",
        type=click.Path(file_okay=False),
        help="Folder that a manifest's or list's paths start from.  [default: the manifest's own]",
    )(function)


def boxes(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--boxes, of what knows where objects are. text: what for."""
    return click.option(
        "--boxes",
        metavar="ANNOTATIONS",
        type=click.Path(),
        help=f"{text} A folder of PASCAL VOC's XML, COCO's .json, or a .csv with path, label, x0, y0, x1, y1.",
    )


def together(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--regions, of what a classifier says of rows that are regions. text: what for."""
    return click.option(
        "--regions",
        type=click.Choice(["max", "sum"]),
        help=f"{text} Its decision values are the largest, or the sums, of those of its regions (boxes).",
    )


def label_column(function: Callable[..., Any]) -> Callable[..., Any]:
    """--label-column, of what takes classes from lists of images."""
    return click.option(
        "--label-column",
        metavar="NAME",
        default="label",
        show_default=True,
        help="Column of a manifest that names the class of each image.",
    )(function)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json, of every command with a result on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


def batch_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """--batch-size of the streaming commands."""
    return click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        default=32768,
        show_default=True,
        help="Rows of a layer in memory at once, over all threads (whole chunks of the file, at least one).",
    )(function)


def thresholds(function: Callable[..., Any]) -> Callable[..., Any]:
    """--thresholds of the ternary codes."""
    return click.option(
        "--thresholds",
        type=kinds.Thresholds(),
        default=(-0.25, 0.15),
        show_default="-0.25,0.15",
        metavar="LOW,HIGH|BEHAVIOR",
        help="z < LOW becomes -1, z > HIGH becomes 1. Or the file of fne analyze that has them.",
    )(function)


def queries(function: Callable[..., Any]) -> Callable[..., Any]:
    """--queries and --among, of what compares images with each other."""
    asked = click.option(
        "--queries",
        default="all",
        show_default=True,
        metavar="SPLIT",
        help="Images that are looked for: a split, or all.",
    )
    among = click.option(
        "--among", default="all", show_default=True, metavar="SPLIT", help="Images that they are compared with."
    )
    return asked(among(function))


def _together(*chosen: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[..., Any]:
    """Several options as one, in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(chosen):
            function = option(function)
        return function

    return add


def embedded(default: str) -> Callable[..., Any]:
    """What becomes of activations. default: what the help says that they become without these options."""
    return _together(
        click.option(
            "--embedding",
            type=kinds.EmbeddingName(),
            help="What to make of activations: fne for the ternary codes, or pieces such as z,root,pca:128,whiten; "
            f"docs/evaluation.md has them all.  {default}",
        ),
        projection,
        click.option(
            "--rows",
            help="Images that an embedding is fitted to: a split, or all.  [default: train; all without splits]",
        ),
        thresholds,
        averaged,
    )


def vectors(function: Callable[..., Any]) -> Callable[..., Any]:
    """What becomes of rows before they are compared, and how they are."""
    options = _together(
        layers("Layers to use, names or globs.  [default: all]"),
        embedded("[default: l2]"),
        click.option(
            "--metric",
            type=click.Choice(["cosine", "l1", "euclid"]),
            help="By the angle, by the sum of absolute differences of codes, or Euclid's.  [default: l1 for codes, "
            "cosine else]",
        ),
    )
    found: Callable[..., Any] = options(function)
    return found


def with_output(files: tuple[Path, ...], ending: str, name: str, inputs: str) -> tuple[tuple[Path, ...], Path | None]:
    """The inputs, and the output if the last file has its ending. Raises UsageError if that stands elsewhere."""
    *given, last = files
    if any(file.suffix.lower() == ending for file in (given or files)):
        raise click.UsageError(f"{name}, the {ending} file, comes last, after {inputs}.")
    return (tuple(given), last) if last.suffix.lower() == ending else (files, None)
