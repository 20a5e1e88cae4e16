"""images -> activations: every tapped layer of a network, for every image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fne_cli.images import source
from fne_cli.images.geometry import MAX_PIXELS
from fne_cli.networks.extractor import device_name
from fne_cli.networks.recipe import Prepared, Recipe
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.extract import leftovers
from fne_cli.steps.extract.job import Extraction, Job, part_of, table_of
from fne_cli.steps.extract.work import Work
from fne_cli.store.format.schema import Layer
from fne_cli.store.output.estimate import check_fits, estimate
from fne_cli.store.output.partial import read_record
from fne_cli.store.output.record import new_run, plain, software
from fne_cli.store.output.resume import Growing

__all__ = ["Extraction", "Recipe", "extract", "extract_job"]

SOFTWARE = ("keras", "tensorflow", "tensorflow-cpu", "pillow")


def extract(
    images: str,
    activations: Path,
    recipe: Recipe = Recipe(),  # noqa: B008  # frozen
    *,
    root: str | None = None,
    shard: tuple[int, int] | None = None,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bad: str = "0",
    retry_bad: bool = False,
    dry_run: bool = False,
    recheck: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Extraction:
    """Write the activations of every image that `images` lists to the file `activations`.

    The options are those of `fne extract`; docs/cli.md describes them. An interrupted run is resumed. Raises the errors
    of fne_cli.errors; TooManyBad leaves the complete file as OUTPUT.partial, to be accepted with a larger `max_bad`.
    """
    listing = source.list_images(images, root)
    part = None
    if shard is not None:
        part = part_of(listing, *shard)
        listing = listing.shard(shard[0] - 1, shard[1])
    job = Job(listing, activations, recipe, part, max_bad)
    if not (overwrite or dry_run):
        leftovers.check_unbegun(job.output)
    done = extract_job(
        job,
        workers=workers,
        max_pixels=max_pixels,
        retry_bad=retry_bad,
        dry_run=dry_run,
        recheck=recheck,
        overwrite=overwrite,
        progress=progress,
    )
    if not dry_run:
        leftovers.remove_if_free(job.output, progress)
    return done


def extract_job(
    job: Job,
    prepare: Callable[[Recipe], Prepared] = Prepared.of,
    announce: Callable[[str], None] | None = None,
    *,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    retry_bad: bool = False,
    dry_run: bool = False,
    recheck: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Extraction:
    """As `extract`, for images that have been listed; `prepare` makes the network, `announce` tells that it begins."""
    announce = announce or progress.note
    output, listing, recipe = job.output, job.listing, job.recipe
    job.check_place(overwrite)
    if not (overwrite or retry_bad or recheck or dry_run):
        done = job.already_done()
        if done is not None:
            return done

    progress.detail(f"building {recipe.model}")
    prepared = prepare(recipe)
    settings = plain(prepared.settings() | ({"shard": job.part} if job.part else {}))
    layers = [Layer(name, shape, np.dtype(recipe.dtype), attrs) for name, shape, attrs in prepared.columns()]
    table = table_of(listing)
    wanted = estimate(job.path, layers, table, len(table) * recipe.crops)
    if job.path.exists() and not (overwrite or dry_run):
        there = job.is_there(settings, table, recheck, retry_bad, progress)
        if there is not None:
            return there
    check_fits(job.path, wanted)
    if dry_run:
        return Extraction(job.path, len(listing), [], estimate=wanted)

    with output:
        if job.path.exists() and not overwrite:
            complete = {"images": len(table), "committed": len(table), "inputs": job.inputs}
            output.begin_with(job.path, complete | {"runs": read_record(job.path).get("runs", [])})
        versions = software(*SOFTWARE)
        with Growing.start(output, layers, table, settings, job.inputs, versions, overwrite) as growing:
            announce(f"{job.path}: {len(table):,} images, {wanted}")
            if growing.committed:
                announce(f"going on after {growing.committed:,} of {len(table):,} images")
                known, repeated = growing.inputs["state"], set(growing.bad_images())
                job.check_contents(output.partial, growing.sha256(), known, repeated, retry_bad, progress)
            run = new_run(versions, device_name())
            with progress.deferred() as asked:
                growing.begin_run(run)
                work = Work(prepared, listing, layers, max_pixels, workers, growing, run, progress, asked)
                work.finish(retry_bad)
            growing.finish(job.inputs)
        return job.accept(wanted, run["seconds"])
