"""The loop over batches: decode ahead, compute, write behind."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import cached_property, partial
from typing import Any

import numpy as np

from fne_cli.errors import Stopped
from fne_cli.images import pipeline
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.progress import Progress
from fne_cli.steps.extract.known import Known, runs
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.steps.extract.sources import Compute, Source
from fne_cli.store.output.background import Background
from fne_cli.store.output.resume import Growing


class BatchLoop:
    """The batches of one file."""

    def __init__(
        self,
        source: Source,
        request: ExtractionRequest,
        growing: Growing,
        known: Known,
        run: dict[str, Any],
        progress: Progress,
        asked: Callable[[], int | None],
    ) -> None:
        recipe, options, (height, width) = request.recipe, request.options, source.image_size
        self.geometry = Geometry(
            height, width, recipe.resize, recipe.crops, recipe.box_context, options.max_pixels, recipe.decode
        )
        self.per_batch, self.precision = recipe.images_per_batch, recipe.precision
        self.source = source
        self.listing, self.layers = request.listing, request.layers_of(source)
        self.workers, self.decode_memory = options.workers, options.decode_memory
        self.growing, self.known, self.run, self.progress, self.asked = growing, known, run, progress, asked

    @cached_property
    def call(self) -> Compute:
        """What computes. It takes seconds to make ready, for nothing if all images are known."""
        return self.source.extractor(self.progress.note)

    def finish(self, retry_bad: bool) -> None:
        """Compute what is missing, and then (or if an earlier run had begun to) the bad images again."""
        if self.known.count:
            self._complete(self.growing.committed)
        else:
            self._compute(range(self.growing.committed, len(self.listing)), self._add)
        if retry_bad or self.growing.retry:
            self.growing.mark_retry(self.growing.retry or self.growing.bad_images())
            self._compute(self.growing.retry, self._replace)
        if "call" in vars(self):
            self.run |= {"batch_rows": self.call.rows, "batch_rows_used": self.call.used}

    def _compute(self, numbers: Sequence[int], write: Callable[[pipeline.ImageBatch, list[Any]], None]) -> None:
        if not len(numbers):
            return
        total = max(len(numbers), len(self.listing) if isinstance(numbers, range) else 0)
        with (
            closing(self._batches(numbers)) as batches,
            self.progress.track(total, "images", done=total - len(numbers)) as advance,
            Background() as background,
        ):
            for batch in batches:
                background.put(partial(write, batch, self.call(batch.pixels)))
                self.run["images"] += len(batch.numbers)
                self.progress.bad(int((batch.status != Status.GOOD).sum()))
                advance(len(batch.numbers))
                if (code := self.asked()) is not None:
                    background.drain()
                    self._stop(code)
            background.drain()

    def _batches(self, numbers: Sequence[int] | np.ndarray) -> Generator[pipeline.ImageBatch]:
        competing = bool(len(numbers)) and self.call.competes
        return pipeline.image_batches(
            self.listing, self.geometry, self.per_batch, numbers, self.workers, self.decode_memory, competing
        )

    def _complete(self, first: int) -> None:
        """Compute what is not known from image `first` on, and copy what is, in order."""
        total, known = len(self.listing), self.known
        new = known.unknown(first)
        with (
            closing(self._batches(new)) as batches,
            self.progress.track(total, "images", done=first) as advance,
            Background() as background,
        ):

            def do(write: Callable[[], None], images: int) -> None:
                background.put(write)
                advance(images)
                if (code := self.asked()) is not None:
                    background.drain()
                    self._stop(code)

            def copy(stop: int) -> None:
                nonlocal first
                for start, end in known.blocks(first, stop):
                    do(partial(self._copy, start, end), end - start)
                first = stop

            for batch in batches if len(new) else ():
                finished = self._finished(batch, self.call(batch.pixels))
                self.run["images"] += len(batch.numbers)
                self.progress.bad(int((batch.status != Status.GOOD).sum()))
                for start, end in runs(batch.numbers):
                    copy(int(batch.numbers[start]))
                    do(partial(self._add_part, batch, finished, slice(start, end)), end - start)
                    first = int(batch.numbers[end - 1]) + 1
            copy(total)
            background.drain()

    def _copy(self, start: int, stop: int) -> None:
        """Images start ... stop - 1, which are known."""
        count = stop - start
        rows, sha256 = self.known.rows(start, stop)
        self.growing.add(rows, np.full(count, Status.GOOD, np.uint8), [""] * count, sha256)

    def _add_part(
        self,
        batch: pipeline.ImageBatch,
        finished: tuple[dict[str, np.ndarray], np.ndarray, list[str]],
        part: slice,
    ) -> None:
        """Some images of a batch that follow each other."""
        rows, status, message = finished
        own = slice(part.start * self.geometry.crops, part.stop * self.geometry.crops)
        chosen = {name: values[own] for name, values in rows.items()}
        self.growing.add(chosen, status[part], message[part], batch.sha256[part])

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
        crops, rows = self.geometry.crops, {}
        places = (batch.slots[:, None] * crops + np.arange(crops)).ravel()
        in_order = np.array_equal(places, np.arange(len(places)))  # as mostly: then without a copy
        kept: slice | np.ndarray = slice(len(places)) if in_order else places
        for layer, values in zip(self.layers, outputs, strict=True):
            exact = np.asarray(values)[kept]
            limit = np.finfo(layer.dtype).max
            # Of all at once first, as hardly any image is beyond.
            if exact.size and not (-limit <= exact.min() and exact.max() <= limit):
                beyond = ~(np.abs(exact.reshape(len(status), -1)) <= limit).all(axis=1)
                for place in np.flatnonzero(beyond & (status == Status.GOOD)):
                    finite = np.isfinite(exact.reshape(len(status), -1)[place]).all()
                    status[place] = Status.NOT_FINITE
                    message[place] = (
                        f"layer {layer.name} has values that are not finite in "
                        f"{layer.dtype if finite else self.precision}"
                    )
            with np.errstate(over="ignore"):  # what is beyond has just been marked bad
                rows[layer.name] = exact.astype(layer.dtype, copy=False)
        bad = np.repeat(status != Status.GOOD, crops)
        if bad.any():
            for name, values in rows.items():
                rows[name] = np.where(bad.reshape(-1, *[1] * (values.ndim - 1)), values.dtype.type(np.nan), values)
        return rows, status, message
