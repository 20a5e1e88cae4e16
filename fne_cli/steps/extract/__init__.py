"""images -> activations: every tapped layer of a network, for every image."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fne_cli.errors import WrongOptions
from fne_cli.images.lists import findings, source
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.extract import leftovers
from fne_cli.steps.extract.done import Asked, Extraction, part_of, recorded
from fne_cli.steps.extract.options import OPEN, RunOptions
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.partial import Output
from fne_cli.tasks.engine import Cluster

if TYPE_CHECKING:
    from fne_cli.steps.extract.request import ExtractionRequest

__all__ = ["Extraction", "Recipe", "RunOptions", "extract"]


def extract(
    images: str,
    activations: Path,
    recipe: Recipe = Recipe(),  # noqa: B008  # frozen
    options: RunOptions = RunOptions(),  # noqa: B008  # frozen
    *,
    root: str | None = None,
    label_column: str = LABEL,
    shard: tuple[int, int] | None = None,
    cluster: Cluster | None = None,
    progress: Progress = SILENT,
) -> Extraction:
    """Write the activations of every image that `images` lists to the file `activations`.

    The options are those of `fne extract`; docs/cli.md describes them. An interrupted run is resumed. With a `cluster`
    its workers extract shards, and this process merges them. Raises the errors of fne_cli.errors; TooManyBad leaves the
    complete file as OUTPUT.partial, to be accepted with a larger `max_bad`.
    """
    if cluster is not None and shard is not None:
        raise WrongOptions("Give --shard or --cluster, which makes shards of its own.")
    if cluster is None and options.shard_rows is not None:
        raise WrongOptions("Give --shard-rows with --cluster: it is the size of the shards that workers get.")
    if recipe.precision == OPEN and shard is not None:
        raise WrongOptions(
            "Shards should all have one precision. Found: --precision auto, which each would choose for itself.\n"
            "Ask for it once, with --precision auto --dry-run, and give each --precision float32 or bfloat16."
        )
    check_noted(Path(images))
    listing = source.list_images(images, root, label_column)
    findings.tell(listing, images, progress)
    part, whole = None, listing.ids if shard is not None else ()
    if shard is not None:
        part = part_of(listing, *shard)
        listing = listing.shard(shard[0] - 1, shard[1])
    named = [Path(images)] if os.path.exists(images) else []
    asked = Asked.of(listing, recipe, part, named)
    if cluster is None and not (options.dry_run or options.overwrite):
        output = Output(activations, keep=True)
        leftovers.check_unbegun(output, asked.inputs)
        if (done := recorded(output, asked, len(listing), options)) is not None:
            leftovers.remove_if_free(output, progress)
            return _of(listing, done)

    # Not before: who is up to date need not wait for HDF5 and NumPy.
    from fne_cli.steps.extract.request import ExtractionRequest

    request = ExtractionRequest(listing, activations, recipe, options, part, whole=whole, asked=asked)
    return _of(listing, _extract(request, cluster, progress))


def _extract(request: ExtractionRequest, cluster: Cluster | None, progress: Progress) -> Extraction:
    if cluster is not None and not request.options.dry_run:
        from fne_cli.steps.extract.sharded import ShardedExtraction

        return ShardedExtraction(request, progress).extract(cluster)
    from fne_cli.steps.extract.local import extract_here

    done = extract_here(request, progress=progress)
    if not request.options.dry_run:
        leftovers.remove_if_free(request.output, progress)
    return done


def _of(listing: Listing, done: Extraction) -> Extraction:
    """The same, with how many images have each class and split."""
    classes = Counter(name for labels in listing.labels for name in labels)
    return replace(done, classes=dict(sorted(classes.items())), splits=dict(sorted(Counter(listing.splits).items())))
