"""Which cells cannot be measured, by what can be seen before hours of extraction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from fne_cli.experiments.jobs import Job
from fne_cli.experiments.plan import Cell, Plan
from fne_cli.experiments.stamps import Sources
from fne_cli.images.lists.listing import Listing


def unmeasurable(wanted: Plan, sources: Sources) -> Iterator[tuple[Cell, tuple[Path, ...], str]]:
    """The cells, the files that cannot be made, and why: thresholds, splits or images are not there.

    Bad images are not known yet, nor is what is in manifests that are still to be made.
    """
    made = {path: job for job in wanted.jobs for path in job.outputs}
    for cell in wanted.measured:
        for job in (*cell.needs, cell.job):
            cuts = job.options.get("thresholds")
            if isinstance(cuts, Path) and cuts not in made and not cuts.is_file():
                message = (
                    f"[embeddings.{cell.embedding}] thresholds should be data, [LOW, HIGH], or a file of fne analyze. "
                    f"Found: {cuts}, which is no file."
                )
                yield cell, (*job.outputs, *cell.job.outputs), message
        if message := _by_images(cell, made, sources):
            yield cell, cell.job.outputs, message


def _by_images(cell: Cell, made: Mapping[Path, Job], sources: Sources) -> str:
    own = cell.job.options.get("split")
    split = made.get(own or Path(cell.images))
    listing = None if own else sources.listing(cell.images, cell.root, (*cell.needs, cell.job)[0].label_column)
    if listing is not None and "cv" not in cell.job.options and not {"train", "test"} <= set(listing.splits):
        found = ", ".join(sorted(set(listing.splits) - {""})) or "none"
        return (
            f"[datasets.{cell.dataset}] should have images of the splits train and test for [protocols.{cell.group}]. "
            f"Found: splits {found}.\nGive the dataset split = {{ per_class = 30 }}, or the protocol cv = 5 or a split."
        )
    if split is not None and split.command == "split":  # its manifest may be there, and of an earlier experiment
        return _too_few_asked_for(cell, split)
    if listing is None:
        return ""
    return _too_many_folds(cell, listing) if "cv" in cell.job.options else _too_few_to_draw(cell, listing)


def _too_few_asked_for(cell: Cell, split: Job) -> str:
    """A learning curve over a split that has fewer training images per class."""
    most, given = _most(cell), split.options.get("per_class", math.inf)
    return _of_a_curve(cell, most, f"split = {{ per_class = {given:,} }}") if given < most else ""


def _too_few_to_draw(cell: Cell, listing: Listing) -> str:
    """A learning curve beyond the training images of some class."""
    if listing.several:
        return ""
    most = _most(cell)
    counts = Counter(
        names[0] for names, split in zip(listing.labels, listing.splits, strict=True) if names and split == "train"
    )
    name, least = min(counts.items(), key=lambda pair: pair[1], default=("", most))
    return _of_a_curve(cell, most, f"class {name} with {least:,}") if least < most else ""


def _most(cell: Cell) -> int:
    """The largest training set of a learning curve, in images per class; 0 for other protocols."""
    return max(cell.job.options.get("per_class", (0,)))


def _of_a_curve(cell: Cell, most: int, found: str) -> str:
    return (
        f"[protocols.{cell.group}] per_class = {most} should be at most the training images of each class of "
        f"[datasets.{cell.dataset}]. Found: {found}.\nGive fewer with per_class."
    )


def _too_many_folds(cell: Cell, listing: Listing) -> str:
    """More folds than there are images to divide."""
    rows = cell.job.options.get("rows") or ("train" if "train" in listing.splits else "all")
    images = sum(
        bool(names) and rows in ("all", split) for names, split in zip(listing.labels, listing.splits, strict=True)
    )
    folds = cell.job.options["cv"]
    if folds <= images:
        return ""
    return (
        f"[protocols.{cell.group}] cv = {folds} should be at most the labelled images of the rows {rows} of "
        f"[datasets.{cell.dataset}]. Found: {images:,}.\nGive fewer folds with cv."
    )
