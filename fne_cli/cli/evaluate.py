"""fne evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.errors import BadInput
from fne_cli.measures import MEASURES
from fne_cli.options import taken
from fne_cli.unprintable import plain_json

_PENALTIES = "0.0001,0.0002,0.0005,0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,10,20,50,100,200,500"


@click.command(cls=options.Command)
@click.argument("features", type=options.FILE, nargs=-1, required=True, metavar="FEATURES... [RESULTS]")
@options.layers("Layers to use, names or globs.  [default: all]")
@click.option(
    "--embedding",
    type=kinds.EmbeddingName(),
    help="What to make of activations, fitted to the training images of each split, fold or draw: fne for the ternary "
    "codes, or pieces such as z,root,depth:3; docs/evaluation.md has them all.  [default: l2, each layer alone]",
)
@options.projection
@options.thresholds
@options.averaged
@click.option("--each-layer", is_flag=True, help="Measure every layer alone, too.")
@click.option("--split", type=options.FILE, help="Manifest with path and split (train, test, val) to use instead.")
@click.option("--cv", type=click.IntRange(min=2), help="Stratified cross-validation with so many folds.")
@click.option("--rows", help="Images that --cv divides: a split, or all.  [default: train if there is one, else all]")
@click.option(
    "--per-class",
    type=kinds.Numbers("numbers of images, such as 1,2,5", positive=True, whole=True),
    default=(),
    help="Learning curve: train on so many images per class (1,2,5,10).",
)
@click.option(
    "--draws", type=click.IntRange(min=1), default=5, show_default=True, help="Random training sets of --per-class."
)
@click.option("--without-leaks", is_flag=True, help="Leave out test images that are training images byte for byte.")
@click.option(
    "--recipe",
    type=click.Choice(["published", "auto"]),
    help="Instead of --embedding, --classifier and what belongs to it: published, the codes and the SVM at C = 1; or "
    "auto, which chooses by training images that are left out.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=600,
    show_default=True,
    help="Seconds that --recipe auto may take for each training, as estimated beforehand: what is chosen does not "
    "depend on how busy the machine is.",
)
@click.option(
    "--classifier",
    type=kinds.ClassifierName(),
    default="svm",
    show_default=True,
    help="The linear SVM or logistic regression, with their C; ridge regression of -1 and 1, with the penalty that "
    "leave-one-out chooses; linear discriminant analysis with a shrunk covariance; a vote of the K nearest training "
    "rows, or the nearest mean of a class, both by the angle. knn is knn:20.",
)
@click.option("-C", "--cost", type=kinds.Numbers("numbers above 0, such as 0.01,0.1,1", positive=True),
              default="1", show_default=True,
              help="Cost of a misclassified training row, of svm and logistic. Of several the best is chosen: on "
              "validation images (split val), else by cross-validation of the training images.")  # fmt: skip
@click.option("--relative-cost", is_flag=True, help="C in units of 1 / the mean squared distance of the training rows "
              "from their mean, as --penalty has them: one grid serves all embeddings.")  # fmt: skip
@click.option(
    "--penalty",
    type=kinds.Numbers("numbers above 0, such as 0.01,0.1,1", positive=True),
    default=_PENALTIES,
    show_default=True,
    help="Of ridge, in units of the mean squared distance of the training rows from their mean. Of several the best is "
    "chosen, by what each training image is taken for if it is left out.",
)
@click.option(
    "--shrinkage",
    type=kinds.Shrinkage(),
    default="0.01,0.03,0.1,0.3,1",
    show_default=True,
    help="Of lda: how far the covariance within classes is drawn to a multiple of the identity, 1 being all the way. "
    "Of several the best is chosen as C is; auto is Ledoit and Wolf's estimate.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    default=0.07,
    show_default=True,
    help="Of knn: a neighbour's vote weighs exp(cosine / temperature); inf for votes that are all alike.",
)
@click.option(
    "--aggregate",
    type=click.Choice(["vote", "sum"]),
    default="vote",
    show_default=True,
    help="Crops of an image: majority vote (ties by the sum), or the sum of decision values.",
)
@options.together("Of features of regions: measure images instead of regions.")
@click.option(
    "--solver",
    type=click.Choice(["certified", "liblinear"]),
    default="certified",
    show_default=True,
    help="Of the SVM: ours, to a proven duality gap; or scikit-learn's LinearSVC, as a reference.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True, max=1),
    default=1e-5,
    show_default=True,
    help="Relative duality gap at which a class of the SVM, or logistic regression, is solved.",
)
@click.option(
    "--memory", type=kinds.Bytes(), help="Memory to use, such as 2G, of each worker.  [default: half of what is free]"
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of folds, draws and solver.")
@click.option("--predictions", type=options.CSV, help="CSV to write: truth, prediction, decision values.")
@click.option(
    "--save-classifier",
    "--model",
    "model",
    cls=options.Renamed,
    type=options.NPZ,
    envvar="FNE_EVALUATE_SAVE_CLASSIFIER",
    help=".npz to write: the classifier, for fne predict.",
)
@options.cluster
@options.as_json
@options.overwrite
def evaluate(progress: Console, features: tuple[Path, ...], as_json: bool, **values: Any) -> None:
    """Train a linear classifier on FEATURES, and measure it on test images.

    It learns from the training images, and nothing else of it depends on the test images. FEATURES is a codes file (all
    layers are one embedding) or an activations file (each layer alone, L2-normalised, or an --embedding of all). With
    RESULTS everything is written there as JSON too.

    Several FEATURES are read as one: the shards of one extraction, in any order, as the whole; other files one after
    the other. RESULTS is the last file if its name ends in .json.

    \b
    Example: fne evaluate codes.h5 results.json
             fne evaluate activations.h5 --embedding fne --cv 5 -C 0.01,0.1,1
             fne evaluate codes.h5 --per-class 1,2,5,10,20 --predictions p.csv
             fne evaluate activations.h5 --embedding standardized --classifier ridge
             fne evaluate activations.h5 results.json --recipe auto
             fne evaluate activations.h5 results.json --projection projection.h5
             fne evaluate photos-*-of-4.h5 results.json --embedding fne
    """
    from fne_cli.steps.evaluate import ClassifierOptions, FeatureOptions, Protocol, evaluate

    features, results = _parted(features)
    chosen, protocol = taken(FeatureOptions, values), taken(Protocol, values)
    classifier = taken(ClassifierOptions, values)
    done = evaluate(features, results, chosen, protocol, classifier, progress=progress, **values)
    if done.up_to_date:
        progress.note(f"{done.path} is up to date")
    if as_json:
        click.echo(plain_json(done.results))
        return
    header, rows = columns_of(done.results["results"])
    # under make -j several tables stand in one terminal
    click.echo(table((str(done.path) if done.path else header[0], *header[1:]), rows))


def _parted(files: tuple[Path, ...]) -> tuple[tuple[Path, ...], Path | None]:
    """FEATURES and RESULTS. Raises BadInput for a last file of which one cannot tell."""
    *features, last = files
    if any(file.suffix.lower() == ".json" for file in (features or files)):
        raise click.UsageError("RESULTS, the .json file, comes last, after FEATURES.")
    if features and not last.exists() and last.suffix.lower() not in (".json", ".h5", ".hdf5"):
        raise BadInput(
            f"{last} should be one of FEATURES, or RESULTS with a name that ends in .json. Found: no such file."
        )
    return (tuple(features), last) if last.suffix.lower() == ".json" else (files, None)


_GROUPS = (("training_images_per_class", "per class"), ("folds", "folds"))
_CHOSEN = {"C": "in choosing C", "penalty": "left out", "shrinkage": "in choosing it"}
"""What a classifier may choose, and what the score by which it did is called."""
_SHOWN = ("mean_per_class_accuracy", "accuracy", "mean_average_precision", "mean_average_precision_11_point")

_JUDGED = "mean_per_class_accuracy"  # what the interval is of
_INTERVALS = ("mean_per_class_accuracy_wilson_95", "mean_per_class_accuracy_95")  # the second before version 3


def columns_of(results: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and a line for each result; only the columns that these results have."""
    groups = [(key, title) for key, title in _GROUPS if key in results[0]]
    figures = [(key, MEASURES[key]) for key in _SHOWN if key in results[0]]
    interval = next((key for key in _INTERVALS if key in results[0]), None)
    scored = next((key for key in _CHOSEN if f"choice_of_{key}" in results[0]), None)
    # these are chosen without a score that people know, too
    chosen = scored or next((key for key in ("recipe", "shrinkage") if key in results[0]), None)
    header = ("", *(title for _, title in groups), "features", "training rows", "test rows")
    for key, title in figures:
        header += (title, *(("its 95 % interval",) if interval and key == _JUDGED else ()))
    header += (chosen,) if chosen else ()
    header += (_CHOSEN[scored],) if scored else ()
    rows = []
    for result in results:
        row = (result["name"], *(f"{result[key]:,}" for key, _ in groups))
        row += tuple(f"{result[key]:,}" for key in ("features", "training_rows", "test_rows"))
        for key, _ in figures:
            row += (_percent(result[key], result.get(f"{key}_std")),)
            if interval and key == _JUDGED:
                low, high = result[interval]
                row += (f"{100 * low:.2f}-{100 * high:.2f} %",)
        if chosen:
            values = result[chosen] if isinstance(result[chosen], list) else [result[chosen]]
            row += (", ".join(value if isinstance(value, str) else f"{value:g}" for value in values),)
        if scored:
            row += (_percent(result[f"choice_of_{scored}"]["score"]),)
        rows.append(row)
    return header, rows


def _percent(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if spread is None else f"{100 * value:.2f} +- {100 * spread:.2f} %"
