"""images -> activations: every tapped layer of a network, for every image."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from fne_cli.errors import WrongOptions
from fne_cli.images.lists import findings, source
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.extract import leftovers, precision
from fne_cli.steps.extract.local import extract_here
from fne_cli.steps.extract.options import RunOptions
from fne_cli.steps.extract.request import Extraction, ExtractionRequest, part_of
from fne_cli.store.output.noted import check_noted
from fne_cli.tasks.engine import Cluster

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
    if recipe.precision == precision.OPEN and shard is not None:
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
    request = ExtractionRequest(listing, activations, recipe, options, part, named=named, whole=whole)
    return _of(listing, _extract(request, cluster, progress))


def _extract(request: ExtractionRequest, cluster: Cluster | None, progress: Progress) -> Extraction:
    if request.options.dry_run:
        return extract_here(request, progress=progress)
    if cluster is not None:
        from fne_cli.steps.extract.sharded import ShardedExtraction

        return ShardedExtraction(request, progress).extract(cluster)
    if not request.options.overwrite:
        leftovers.check_unbegun(request.output, request.inputs)
    done = extract_here(request, progress=progress)
    leftovers.remove_if_free(request.output, progress)
    return done


def _of(listing: Listing, done: Extraction) -> Extraction:
    """The same, with how many images have each class and split."""
    classes = Counter(name for labels in listing.labels for name in labels)
    return replace(done, classes=dict(sorted(classes.items())), splits=dict(sorted(Counter(listing.splits).items())))
