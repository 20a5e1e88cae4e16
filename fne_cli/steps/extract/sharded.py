"""One extraction as many: the listing cut into shards, each a task for some worker, and the whole put together.

OUTPUT.shards beside the output has, for shard 1 of N, 00001.json (its images) and 00001.h5 (its activations, with the
journal and the record that every extraction has); plan.json says how it was cut and by what.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DifferentOutput, DoesNotFit, FneError, Stopped
from fne_cli.images.lists.slices import write_slice
from fne_cli.machine import free_memory
from fne_cli.progress import Progress, counted
from fne_cli.steps.extract import leftovers, precision
from fne_cli.steps.extract.done import Extraction, part_of
from fne_cli.steps.extract.leftovers import MOST_SHARDS, read_plan
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.store.format.schema import Layer, differences
from fne_cli.store.many.merged import Shards, write_merged
from fne_cli.store.output.estimate import estimate
from fne_cli.store.output.notes import read_record, write_json
from fne_cli.store.output.own import check_folder
from fne_cli.store.output.partial import Output
from fne_cli.tasks.engine import Cluster

SHARDS_PER_WORKER = 8
LEAST, LARGEST = 4096, 65536  # images of a shard
MERGED_ROWS = 32768  # of a layer in memory at once


def shard_count(images: int, workers: int, shard_images: int | None = None) -> int:
    """Into how many shards `images` are cut.

    Eight for each worker, so that the last ones to end end about together; but none smaller than 4,096 images, which
    take seconds to minutes on a GPU and 15 minutes with VGG16 on two cores, and none larger than 65,536; never more
    than 500, and one for each worker if there are images for that.
    """
    if shard_images is not None:
        count = -(-images // shard_images)
        if count > MOST_SHARDS:
            raise BadInput(
                f"--shard-rows should make at most {MOST_SHARDS} shards. Found: {count:,}, of {images:,} images in all."
            )
        return count
    size = min(LARGEST, max(LEAST, -(-images // (SHARDS_PER_WORKER * workers))))
    return min(images, MOST_SHARDS, max(workers, -(-images // size)))


class ShardedExtraction:
    """An extraction, as the one who hands out its shards sees it."""

    def __init__(self, request: ExtractionRequest, progress: Progress) -> None:
        request.check_place()
        self.request, self.listing, self.progress = request, request.listing, progress
        self.folder = leftovers.folder_of(request.path)
        check_folder(self.folder)
        self.workers, self.decode_memory = request.options.workers, request.options.decode_memory

    def extract(self, cluster: Cluster) -> Extraction:
        """Do it, by the workers that `cluster` brings. Raises as `extract`, and the errors of the engine."""
        if (done := self.request.already_done()) is not None:
            leftovers.remove_if_free(self.output, self.progress)
            return done
        began, request = time.monotonic(), self.request
        plan, overwrite = read_plan(self.folder), request.options.overwrite
        request.recipe = precision.kept(request.recipe, self.output, request.inputs, overwrite, plan)
        if self.decode_memory is None and cluster.local_workers > 1:
            self.decode_memory = free_memory() // 2 // cluster.local_workers
        if self.as_one:
            with cluster.start() as engine:
                self.workers = self.workers or engine.threads
                ((_, result),) = engine.run("extract", [self.whole_task()], unit="images", sizes=[len(self.listing)])
            return self.whole_done(result)
        with self.output:
            with cluster.start() as engine:
                self.workers = self.workers or engine.threads
                ((_, outline),) = engine.run("outline", [self.outline_task()], unit="")
                notes = outline.pop("notes")
                request.recipe = precision.settled(request.recipe, outline["settings"])
                done = self.request.is_there(outline["settings"], outline["software"], self.progress, True)
                if done is not None:
                    return done
                for text in notes:
                    self.progress.note(text)
                tasks = self.begin(outline, engine.workers)
                try:
                    for _ in engine.run("extract", tasks, unit="images", sizes=self.sizes(), done=self.done()):
                        pass
                except Stopped as stop:
                    safe, total = sum(self.done()), len(self.listing)
                    message = f"Stopped with {safe:,} of {total:,} images safe. Run the same command again to go on."
                    raise Stopped(message, stop.exit_code) from stop
            self.progress.note(f"merging {counted(len(tasks), 'shard')}")
            with Shards(self.shards) as shards:
                write_merged(shards, self.merged, MERGED_ROWS, self.progress)
            return self.finish(time.monotonic() - began)

    @property
    def output(self) -> Output:
        """The right to write the output."""
        return self.request.output

    @property
    def as_one(self) -> bool:
        """Whether all images are there and only bad ones are to be read again: that is one task."""
        if self.request.options.overwrite:
            return False
        if self.output.resumable:
            journal = self.output.read_journal()
            return bool(journal["committed"] == journal["images"])
        return self.request.options.retry_bad and self.request.path.exists()

    def whole_task(self) -> dict[str, Any]:
        """The settings of that one task."""
        self.folder.mkdir(exist_ok=True)
        write_slice(self.listing, self.folder / "whole.json")
        return self._task(self.folder / "whole.json", self.request.path) | {"inputs": self.request.inputs}

    def whole_done(self, result: Mapping[str, Any]) -> Extraction:
        """What came of it."""
        leftovers.remove_if_free(self.output, self.progress)
        bad = [(path, message) for path, message in result["bad"]]
        return Extraction(self.request.path, result["images"], bad, result["up_to_date"], seconds=result["seconds"])

    def outline_task(self) -> dict[str, Any]:
        """The settings of the task that tells what the network makes."""
        return {"recipe": self.request.recipe.absolute().as_dict()}

    def begin(self, outline: Mapping[str, Any], workers: int) -> list[dict[str, Any]]:
        """The settings of a task for each shard. What an earlier run has done of the same is gone on with.

        Raises DifferentOutput if an earlier run had other settings or images, DoesNotFit if the disk is too small.
        """
        if self.output.resumable and not self.request.options.overwrite:
            raise DifferentOutput(
                f"{self.output.partial} should not exist. Found: the unfinished work of a run without --cluster.\n"
                "Finish that first, without --cluster, or write to another output; --overwrite discards it."
            )
        resumes = self._resumes(outline)
        if resumes:
            self.count = int(read_plan(self.folder)["of"])
            self.progress.note(f"going on with the {self.count:,} shards in {self.folder.name}")
        else:
            rows = self.request.options.shard_rows
            wanted = None if rows is None else max(1, rows // self.request.recipe.crops)
            self.count = shard_count(len(self.listing), workers, wanted)
        self._check_fits(outline)
        self._cut(outline, resumes)
        whole = part_of(self.listing, 1, self.count)
        return [
            self._task(self._shard(number, "json"), self._shard(number, "h5"), max_bad="100%", overwrite=False)
            | {"part": whole | {"number": number}}
            for number in range(1, self.count + 1)
        ]

    def sizes(self) -> list[int]:
        """How many images each shard has."""
        return [len(range(number, len(self.listing), self.count)) for number in range(self.count)]

    def done(self) -> list[int]:
        """How many images of each shard are safe."""
        return [self._safe(number, size) for number, size in enumerate(self.sizes(), start=1)]

    def _safe(self, number: int, size: int) -> int:
        output = Output(self._shard(number, "h5"))
        if output.path.exists():
            return size
        try:
            return int(output.read_journal()["committed"])
        except FneError:
            return 0

    @property
    def shards(self) -> list[Path]:
        """The files to merge."""
        return [self._shard(number, "h5") for number in range(1, self.count + 1)]

    @property
    def merged(self) -> Path:
        """Where the merged file is to stand before it becomes the output."""
        return self.folder / "whole.h5"

    def finish(self, seconds: float) -> Extraction:
        """Make the merged file the output, if no more images are bad than are allowed; the lock must be held."""
        inputs, count = self.request.inputs, len(self.listing)
        runs = [run for path in self.shards for run in read_record(path).get("runs", [])]
        journal = {"images": count, "committed": count, "inputs": inputs, "complete": inputs, "retry": [], "runs": runs}
        self.output.take(self.merged, journal)
        leftovers.remove(self.folder, self.progress)
        return self.request.accept(seconds=seconds)

    def _task(self, listing: Path, output: Path, **changed: Any) -> dict[str, Any]:
        reuse = [path.absolute() for path in (*self.request.options.reuse, *self._known())]
        memory, workers = self.decode_memory, self.workers
        options = replace(
            self.request.options, workers=workers, decode_memory=memory, shard_rows=None, reuse=reuse, **changed
        )
        return {
            "listing": os.path.abspath(listing),
            "output": os.path.abspath(output),
            "recipe": self.request.recipe.absolute().as_dict(),
            "options": options.plain(),
        }

    def _known(self) -> list[Path]:
        """The files whose rows are used again: the output if it is of other images, and shards of an earlier list."""
        retired = [] if self.request.options.overwrite else leftovers.retired(self.folder)
        return [*([self.request.path] if self.request.follows else []), *retired]

    def _shard(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:05d}.{ending}"

    def _resumes(self, outline: Mapping[str, Any]) -> bool:
        """Whether the shards there are those of this extraction; others are discarded if we may overwrite."""
        plan = read_plan(self.folder)
        if not plan:
            leftovers.check_free(self.folder)
            return False
        lines = differences(dict(outline), plan["outline"])
        others = plan["of"] > len(self.listing) or plan["inputs"].get("listing") != self.request.inputs["listing"]
        if others and not lines and not self.request.options.overwrite:
            kept = leftovers.retire(self.folder)
            self.progress.note(
                f"{self.folder}: the images have changed since a run was interrupted; what it has finished, "
                f"{counted(kept, 'shard')}, is used again"
            )
            return False
        if others:
            lines.append("the images are other ones")
        if self.request.options.overwrite and plan["inputs"] != self.request.inputs:
            lines.append("the images, or what is asked for, are not those that the overwriting began with")
        if lines and not self.request.options.overwrite:
            raise DifferentOutput(
                f"{self.folder} is the unfinished work of a run with other inputs or settings:\n  "
                + "\n  ".join(lines)
                + "\nGive the same ones or another output, or --overwrite to begin again."
            )
        if lines:
            leftovers.remove(self.folder, self.progress)
        return not lines

    def _cut(self, outline: Mapping[str, Any], resumes: bool) -> None:
        """Write the plan, and then the lists that are not there yet."""
        plan = {"of": self.count, "inputs": self.request.inputs, "outline": dict(outline)}
        self.folder.mkdir(exist_ok=True)
        if not resumes:
            write_json(self.folder / "plan.json", plan)
        for number in range(1, self.count + 1):
            if not (path := self._shard(number, "json")).exists():
                write_slice(self.listing.shard(number - 1, self.count), path)

    def _check_fits(self, outline: Mapping[str, Any]) -> None:
        layers = [
            Layer(name, tuple(shape), np.dtype(self.request.recipe.dtype), attrs)
            for name, shape, attrs in outline["layers"]
        ]
        path, rows = self.request.path, len(self.listing) * self.request.recipe.crops
        wanted = estimate(path, layers, self.request.table(), rows)
        entries = list(os.scandir(self.folder)) if self.folder.exists() else []
        there = sum(entry.stat().st_blocks * 512 for entry in entries)
        there -= sum(path.stat().st_blocks * 512 for path in leftovers.retired(self.folder))
        if 2 * wanted.file_bytes > wanted.free_bytes + there:
            raise DoesNotFit(
                f"{path} would take {wanted.file_bytes:,} bytes, and as many for its shards until they are "
                f"merged. Free on its disk: {wanted.free_bytes:,}.\nUse another disk, fewer --layers, or --dtype "
                "float16 (half the size)."
            )
        self.progress.note(f"{path}: {len(self.listing):,} images in {counted(self.count, 'shard')}, {wanted}")
