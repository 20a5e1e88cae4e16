"""images -> activations: every tapped layer of a network, for every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DifferentOutput, Stopped, TooManyBad
from fne_cli.images import contents, pipeline, source
from fne_cli.images.bad import Allowed, Status, bad_summary
from fne_cli.images.geometry import MAX_PIXELS, Geometry
from fne_cli.images.listing import Listing
from fne_cli.networks.extractor import device_name
from fne_cli.networks.recipe import Prepared, Recipe
from fne_cli.progress import SILENT, Progress
from fne_cli.store.background import Background
from fne_cli.store.estimate import Estimate, check_fits, estimate
from fne_cli.store.existing import file_head
from fne_cli.store.output import Output, read_record, record_path, write_json
from fne_cli.store.reader import open_file
from fne_cli.store.record import file_state, new_run, plain
from fne_cli.store.resume import Growing, check_same
from fne_cli.store.schema import Images, Layer
from fne_cli.store.software import software

__all__ = ["Extraction", "Recipe", "extract"]


@dataclass(frozen=True)
class Extraction:
    """What became of an extraction: number of images, the bad ones as (path, message), whether it was up to date."""

    path: Path
    images: int
    bad: list[tuple[str, str]]
    up_to_date: bool = False
    estimate: Estimate | None = None
    seconds: float = 0.0

    def bad_summary(self) -> str:
        """How many images are bad, and the first few with what was wrong."""
        return bad_summary(self.bad, self.images)


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
    allowed = Allowed.parse(max_bad)
    listing = source.list_images(images, root)
    part = None
    if shard is not None:
        part = {"number": shard[0], "of": shard[1], "images": len(listing), "listing": contents.listing_digest(listing)}
        listing = listing.shard(shard[0] - 1, shard[1])
    inputs = _inputs(recipe, listing, part)
    output = Output(activations, keep=True)
    output.check_place()
    if activations.exists() and not overwrite:
        file_head(activations, "activations")  # whatever else stands there is not ours to replace
    if not (overwrite or retry_bad or recheck or dry_run):
        done = _already_done(output, inputs, allowed)
        if done is not None:
            return done

    progress.detail(f"building {recipe.model}")
    prepared = Prepared.of(recipe)
    settings = plain(prepared.settings() | ({"shard": part} if part else {}))
    layers = [Layer(name, shape, np.dtype(recipe.dtype), attrs) for name, shape, attrs in prepared.columns()]
    table = _table(listing)
    wanted = estimate(activations, layers, table, len(table) * recipe.crops)
    if activations.exists() and not (overwrite or dry_run):
        known = None if recheck else read_record(activations).get("inputs", {}).get("state")
        with open_file(activations, "activations") as file:
            check_same(activations, settings, file.settings, table, file.images)
            bad, digest = _bad(file.images), file.fingerprint
            repeated = set(np.flatnonzero(~file.images.good).tolist())
            _check_contents(activations, listing, file.images.sha256, known, repeated, retry_bad, progress)
        if not (retry_bad and bad):
            known_now = {"fingerprint": digest, "inputs": inputs}
            write_json(record_path(activations), read_record(activations) | known_now)
            return Extraction(activations, len(listing), bad, up_to_date=True)
    check_fits(activations, wanted)
    if dry_run:
        return Extraction(activations, len(listing), [], estimate=wanted)

    with output:
        if activations.exists() and not overwrite:
            complete = {"images": len(table), "committed": len(table), "inputs": inputs}
            output.begin_with(activations, complete | {"runs": read_record(activations).get("runs", [])})
        versions = software("keras", "tensorflow", "tensorflow-cpu", "pillow")
        with Growing.start(output, layers, table, settings, inputs, versions, overwrite) as growing:
            progress.note(f"{activations}: {len(table):,} images, {wanted}")
            if growing.committed:
                progress.note(f"going on after {growing.committed:,} of {len(table):,} images")
                known, repeated = growing.inputs["state"], set(growing.bad_images())
                _check_contents(output.partial, listing, growing.sha256(), known, repeated, retry_bad, progress)
            run = new_run(versions, device_name())
            with progress.deferred() as asked:
                growing.begin_run(run)
                work = _Work(prepared, listing, layers, max_pixels, workers, growing, run, progress, asked)
                work.finish(retry_bad)
            growing.finish(inputs)
        return _accept(output, allowed, wanted, run["seconds"])


def _inputs(recipe: Recipe, listing: Listing, part: dict[str, Any] | None) -> dict[str, Any]:
    """What was asked for, and the state of every file it names: if none of it changed, neither did the result."""
    files = [file_state(Path(name)) for name in (recipe.model, recipe.weights or "") if Path(name).is_file()]
    inputs: dict[str, Any] = plain({
        "request": recipe.as_dict() | {"shard": part, "files": files},
        "listing": contents.listing_digest(listing),
        "state": contents.state_digest(listing),
    })  # fmt: skip
    return inputs


def _already_done(output: Output, inputs: dict[str, Any], allowed: Allowed) -> Extraction | None:
    """The two ways to be done without the network, and so without TensorFlow: up to date, or only to be accepted."""
    record = read_record(output.path)
    if output.path.exists() and record.get("inputs") == inputs:
        with open_file(output.path, "activations") as file:
            if file.fingerprint == record.get("fingerprint"):
                return Extraction(output.path, len(file.images), _bad(file.images), up_to_date=True)
    if not output.path.exists() and output.resumable:
        with output:
            if output.resumable and output.read_journal().get("complete") == inputs:
                return _accept(output, allowed)
    return None


class _Work:
    """The loop over batches: decode ahead, compute, write behind."""

    def __init__(
        self,
        prepared: Prepared,
        listing: Listing,
        layers: Sequence[Layer],
        max_pixels: int,
        workers: int | None,
        growing: Growing,
        run: dict[str, Any],
        progress: Progress,
        asked: Callable[[], int | None],
    ) -> None:
        recipe, network = prepared.recipe, prepared.network
        self.geometry = Geometry(
            network.height, network.width, recipe.resize, recipe.crops, recipe.box_context, max_pixels
        )
        self.per_batch = recipe.images_per_batch
        self.call = prepared.extractor(progress.note)
        self.listing, self.layers, self.workers = listing, layers, workers
        self.growing, self.run, self.progress, self.asked = growing, run, progress, asked

    def finish(self, retry_bad: bool) -> None:
        """Compute what is missing, and then (or if an earlier run had begun to) the bad images again."""
        self._compute(range(self.growing.committed, len(self.listing)), self._add)
        if retry_bad or self.growing.retry:
            self.growing.mark_retry(self.growing.retry or self.growing.bad_images())
            self._compute(self.growing.retry, self._replace)
        self.run |= {"batch_rows": self.call.rows, "batch_rows_used": self.call.used}

    def _compute(self, numbers: Sequence[int], write: Callable[[pipeline.ImageBatch, list[Any]], None]) -> None:
        if not len(numbers):
            return
        total = max(len(numbers), len(self.listing) if isinstance(numbers, range) else 0)
        batches = pipeline.image_batches(self.listing, self.geometry, self.per_batch, numbers, self.workers)
        with (
            self.progress.track(total, "images", done=total - len(numbers)) as advance,
            Background() as background,
        ):
            for batch in batches:
                background.put(partial(write, batch, self.call(batch.pixels)))
                self.run["images"] += len(batch.numbers)
                advance(len(batch.numbers))
                if (code := self.asked()) is not None:
                    background.drain()
                    self._stop(code)
            background.drain()

    def _stop(self, code: int) -> None:
        self.run["stopped_by_signal"] = True
        self.growing.commit()
        safe, total = self.growing.committed, len(self.listing)
        raise Stopped(f"Stopped with {safe:,} of {total:,} images safe. Run the same command again to go on.", code)

    def _add(self, batch: pipeline.ImageBatch, outputs: list[Any]) -> None:
        rows, status, message = self._finished(batch, outputs)
        self.growing.add(rows, status, message, batch.sha256)

    def _replace(self, batch: pipeline.ImageBatch, outputs: list[Any]) -> None:
        rows, status, message = self._finished(batch, outputs)
        self.growing.replace(batch.numbers, rows, status, message, batch.sha256)

    def _finished(
        self, batch: pipeline.ImageBatch, outputs: list[Any]
    ) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
        """The rows of the images in storage type, NaN for bad ones; an image the network fails on is bad too."""
        status, message = batch.status.copy(), list(batch.message)
        crops = self.geometry.crops
        kept = (batch.slots[:, None] * crops + np.arange(crops)).ravel()
        rows = {}
        for layer, values in zip(self.layers, outputs, strict=True):
            exact = np.asarray(values)[kept]
            limit = np.finfo(layer.dtype).max
            beyond = ~(np.abs(exact) <= limit).reshape(len(status), -1).all(axis=1)
            for place in np.flatnonzero(beyond & (status == Status.GOOD)):
                status[place] = Status.NOT_FINITE
                message[place] = f"layer {layer.name} has values that are not finite in {layer.dtype}"
            with np.errstate(over="ignore"):  # what is beyond has just been marked bad
                rows[layer.name] = exact.astype(layer.dtype)
        bad = np.repeat(status != Status.GOOD, crops)
        for values in rows.values():
            values[bad] = np.nan
        return rows, status, message


def _table(listing: Listing) -> Images:
    """The image table before anything is read."""
    count = len(listing)
    return Images(
        path=listing.ids,
        split=listing.splits,
        label=listing.label_array(),
        classes=listing.classes,
        status=np.zeros(count, np.uint8),
        message=[""] * count,
        sha256=[""] * count,
    )


def _bad(images: Images) -> list[tuple[str, str]]:
    return [(images.path[number], images.message[number]) for number in np.flatnonzero(~images.good).tolist()]


def _check_contents(
    path: Path,
    listing: Listing,
    sha256: Sequence[str],
    known_state: str | None,
    bad: set[int],
    retry_bad: bool,
    progress: Progress,
) -> None:
    """Raises DifferentOutput if an image that `path` has is no longer the same; a bad one may be, to retry it."""
    if known_state == contents.state_digest(listing):
        return
    progress.note(f"reading {len(sha256):,} images to see whether they are the same")
    with progress.track(len(sha256), "images") as advance:
        changed = contents.changed_image(listing, sha256, advance, bad if retry_bad else ())
    if changed is not None:
        remedy = "Give --retry-bad to read the bad images again" if changed in bad else "Put the old image back"
        raise DifferentOutput(
            f"{path} was made from other images: {listing.ids[changed]} has changed since.\n"
            f"{remedy}, write to another output, or give --overwrite to make it again."
        )


def _accept(output: Output, allowed: Allowed, wanted: Estimate | None = None, seconds: float = 0.0) -> Extraction:
    """Give the complete OUTPUT.partial its final name if no more images are bad than are allowed."""
    with open_file(output.partial, "activations") as file:
        count, bad, fingerprint = len(file.images), _bad(file.images), file.fingerprint
    if len(bad) > allowed.limit(count):
        raise TooManyBad(
            f"{bad_summary(bad, count)}\n{output.path} is complete but has more bad images than --max-bad "
            f"{allowed.text} allows; it waits as {output.partial.name}.\n"
            f"Accept it: the same command with --max-bad {len(bad)}. Or mend the images and add --retry-bad."
        )
    journal = output.read_journal()
    record = {
        "fingerprint": fingerprint,
        "images": count,
        "bad_images": len(bad),
        "inputs": journal["complete"],
        "runs": journal["runs"],
    }
    output.accept(record)
    return Extraction(output.path, count, bad, estimate=wanted, seconds=seconds)
