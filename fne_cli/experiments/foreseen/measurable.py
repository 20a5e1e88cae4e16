"""What an evaluation trains on, and why it cannot, if the size of the activations is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fne_cli.experiments.jobs import Job
from fne_cli.images.lists.listing import Listing
from fne_cli.options import meant, taken

if TYPE_CHECKING:
    from fne_cli.steps.evaluate.options import ClassifierOptions

_FOLDS = 5  # that choose C


def widths_of(job: Job, features: Mapping[str, int]) -> list[int]:
    """Features of each of the layers that an evaluation reads; features: of all layers, by their names."""
    chosen = set().union(*(meant(one, features) for one in job.options.get("layers") or features))
    return [width for name, width in features.items() if name in chosen]


def without_layers(job: Job, features: Mapping[str, int]) -> str:
    """Which of the job's layers are none, "" if all are some."""
    for pattern in job.options.get("layers") or ():
        if not meant(pattern, features):
            return (
                f"layers should be some of those that are extracted. Found: {pattern!r}, which is none. "
                f"There are: {', '.join(features)}."
            )
    return ""


def components_of(job: Job) -> int:
    """How many principal components an evaluation asks for, 0 for none."""
    pieces = str(job.options.get("embedding", "")).split(",")
    return next((int(piece.removeprefix("pca:")) for piece in pieces if piece.startswith("pca:")), 0)


def without_components(job: Job, rows: int, features: Mapping[str, int]) -> str:
    """Why there are not so many principal components of so many training rows, "" if there are."""
    count, width = components_of(job), sum(widths_of(job, features))
    most = max(1, min(rows - 1, width))
    if count <= most:
        return ""
    return (
        f"pca:{count} should be at most pca:{most}. Found: at most {rows:,} training rows of {width:,} features. "
        "Give fewer components."
    )


def left_by(job: Job, listing: Listing | None, training: int, classes: int) -> int:
    """Training images, at most, of the list that `fne split --holdout` makes; listing: None for a sample's images."""
    from fne_cli.steps.split import VALIDATION  # takes SciPy, which a run that does nothing need not load

    share: float = job.options["holdout"]
    if listing is None:
        return int((1 - share) * training + classes / 2)  # each class is rounded
    if listing.several or set(VALIDATION) & set(listing.splits):
        return training
    trained = (labels for labels, name in zip(listing.labels, listing.splits, strict=True) if name == "train")
    sizes = Counter(map(tuple, trained)).values()
    return sum(size - min(max(1, round(share * size)), size - 1) for size in sizes)


def trainings(job: Job, training: int, classes: int, draws: int) -> list[int]:
    """The training images of every fit, of so many images and classes. draws: by default."""
    options = job.options
    sizes = [training]
    if "cv" in options:
        sizes = [training * (options["cv"] - 1) // options["cv"]] * options["cv"]
    if "per_class" in options:
        often = options.get("draws", draws)
        sizes = [
            min(training, count * classes)
            for count in options["per_class"]
            for _ in range(often if count * classes < training else 1)  # all images are drawn once
        ]
    how = classifier_of(job)
    if how.recipe == "auto":
        from fne_cli.numerics.recipes.candidates import CANDIDATES, fits_of

        return sizes * (1 + sum(map(fits_of, CANDIDATES)))
    costs = how.tried
    inner = [size * (_FOLDS - 1) // _FOLDS for size in sizes] * _FOLDS * costs if costs > 1 else []
    return sizes + inner


def classifier_of(job: Job) -> ClassifierOptions:
    """What an evaluation trains."""
    from fne_cli.steps.evaluate.options import ClassifierOptions

    return taken(ClassifierOptions, dict(job.options))
