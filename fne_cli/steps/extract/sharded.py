"""One extraction as many: the listing cut into shards, each a task for some worker, and the whole put together.

OUTPUT.shards beside the output has, for shard 1 of N, 00001.json (its images) and 00001.h5 (its activations, with the
journal and the record that every extraction has); plan.json says how it was cut and by what.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DifferentOutput, DoesNotFit, FneError
from fne_cli.images import source
from fne_cli.images.geometry import MAX_PIXELS
from fne_cli.images.slices import write_slice
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import SILENT, Progress, counted
from fne_cli.steps.extract import leftovers
from fne_cli.steps.extract.job import Extraction, Job, part_of, table_of
from fne_cli.steps.extract.leftovers import MOST_SHARDS, read_plan
from fne_cli.store.format.schema import Layer, differences
from fne_cli.store.output.estimate import estimate
from fne_cli.store.output.partial import Output, read_record, write_json

SHARDS_PER_WORKER = 8
LEAST, LARGEST = 4096, 65536  # images of a shard


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


class Sharded:
    """The extraction, as the one who hands out the shards sees it. The options are those of `fne extract`."""

    def __init__(
        self,
        images: str,
        activations: Path,
        recipe: Recipe,
        *,
        root: str | None = None,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
        max_bad: str = "0",
        retry_bad: bool = False,
        recheck: bool = False,
        overwrite: bool = False,
        progress: Progress = SILENT,
    ) -> None:
        self.listing = source.list_images(images, root)
        self.job = Job(self.listing, activations, recipe, None, max_bad)
        self.job.check_place(overwrite)
        self.folder = leftovers.folder_of(activations)
        self.options = {"max_pixels": max_pixels, "retry_bad": retry_bad, "recheck": recheck}
        self.workers, self.progress = workers, progress
        self.overwrite = overwrite

    @property
    def output(self) -> Output:
        """The right to write the output."""
        return self.job.output

    def already_done(self) -> Extraction | None:
        """The output if it is up to date or has only to be accepted; what the shards left behind goes."""
        if self.overwrite or self.options["retry_bad"] or self.options["recheck"]:
            return None
        done = self.job.already_done()
        if done is not None:
            leftovers.remove_if_free(self.output, self.progress)
        return done

    @property
    def as_one(self) -> bool:
        """Whether all images are there and only bad ones are to be read again: that is one task."""
        if self.overwrite:
            return False
        if self.output.resumable:
            journal = self.output.read_journal()
            return bool(journal["committed"] == journal["images"])
        return bool(self.options["retry_bad"]) and self.job.path.exists()

    def whole_task(self) -> dict[str, Any]:
        """The settings of that one task."""
        self.folder.mkdir(exist_ok=True)
        write_slice(self.listing, self.folder / "whole.json")
        return self._task(self.folder / "whole.json", self.job.path) | {
            "max_bad": self.job.allowed.text,
            "inputs": self.job.inputs,
        }

    def whole_done(self, result: Mapping[str, Any]) -> Extraction:
        """What came of it."""
        leftovers.remove_if_free(self.output, self.progress)
        bad = [(path, message) for path, message in result["bad"]]
        return Extraction(self.job.path, result["images"], bad, result["up_to_date"], seconds=result["seconds"])

    def outline_task(self) -> dict[str, Any]:
        """The settings of the task that tells what the network makes."""
        return {"recipe": _absolute(self.job.recipe).as_dict()}

    def is_there(self, outline: Mapping[str, Any]) -> Extraction | None:
        """The existing output if it is what would be made. Raises DifferentOutput if it is not."""
        if not self.job.path.exists() or self.overwrite:
            return None
        table = table_of(self.listing)
        return self.job.is_there(outline["settings"], table, bool(self.options["recheck"]), False, self.progress)

    def begin(self, outline: Mapping[str, Any], workers: int, shard_rows: int | None = None) -> list[dict[str, Any]]:
        """The settings of a task for each shard. What an earlier run has done of the same is gone on with.

        Raises DifferentOutput if an earlier run had other settings or images, DoesNotFit if the disk is too small.
        """
        if self.output.resumable and not self.overwrite:
            raise DifferentOutput(
                f"{self.output.partial} should not exist. Found: the unfinished work of a run without --cluster.\n"
                "Finish that first, without --cluster, or write to another output; --overwrite discards it."
            )
        if self._resumes(outline):
            self.count = int(read_plan(self.folder)["of"])
            self.progress.note(f"going on with the {self.count:,} shards in {self.folder.name}")
        else:
            crops = self.job.recipe.crops
            wanted = None if shard_rows is None else max(1, shard_rows // crops)
            self.count = shard_count(len(self.listing), workers, wanted)
        self._check_fits(outline)
        self._cut(outline)
        whole = part_of(self.listing, 1, self.count)
        return [
            self._task(self._shard(number, "json"), self._shard(number, "h5"))
            | {"part": whole | {"number": number}, "max_bad": "100%"}
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
        inputs, count = self.job.inputs, len(self.listing)
        runs = [run for path in self.shards for run in read_record(path).get("runs", [])]
        journal = {"images": count, "committed": count, "inputs": inputs, "complete": inputs, "retry": [], "runs": runs}
        self.output.take(self.merged, journal)
        leftovers.remove(self.folder, self.progress)
        return self.job.accept(seconds=seconds)

    def _task(self, listing: Path, output: Path) -> dict[str, Any]:
        return {
            "listing": os.path.abspath(listing),
            "output": os.path.abspath(output),
            "recipe": _absolute(self.job.recipe).as_dict(),
            "options": self.options | {"workers": self.workers},
        }

    def _shard(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:05d}.{ending}"

    def _resumes(self, outline: Mapping[str, Any]) -> bool:
        """Whether the shards there are those of this extraction; others are discarded if we may overwrite."""
        plan = read_plan(self.folder)
        if not plan:
            leftovers.check_free(self.folder)
            return False
        lines = differences(dict(outline), plan["outline"])
        if plan["of"] > len(self.listing):
            lines.append(f"{plan['of']:,} shards, of {len(self.listing):,} images now")
        if plan["inputs"].get("listing") != self.job.inputs["listing"]:
            lines.append("the images are other ones")
        if self.overwrite and plan["inputs"] != self.job.inputs:
            lines.append("the images, or what is asked for, are not those that the overwriting began with")
        if lines and not self.overwrite:
            raise DifferentOutput(
                f"{self.folder} is the unfinished work of a run with other inputs or settings:\n  "
                + "\n  ".join(lines)
                + "\nGive the same ones or another output, or --overwrite to begin again."
            )
        if lines:
            leftovers.remove(self.folder, self.progress)
        return not lines

    def _cut(self, outline: Mapping[str, Any]) -> None:
        """Write the plan, and then the lists that are not there yet."""
        plan = {"of": self.count, "inputs": self.job.inputs, "outline": dict(outline)}
        self.folder.mkdir(exist_ok=True)
        if not (self.folder / "plan.json").exists():
            write_json(self.folder / "plan.json", plan)
        for number in range(1, self.count + 1):
            if not (path := self._shard(number, "json")).exists():
                write_slice(self.listing.shard(number - 1, self.count), path)

    def _check_fits(self, outline: Mapping[str, Any]) -> None:
        layers = [
            Layer(name, tuple(shape), np.dtype(self.job.recipe.dtype), attrs)
            for name, shape, attrs in outline["layers"]
        ]
        wanted = estimate(self.job.path, layers, table_of(self.listing), len(self.listing) * self.job.recipe.crops)
        there = sum(entry.stat().st_blocks * 512 for entry in os.scandir(self.folder)) if self.folder.exists() else 0
        if 2 * wanted.file_bytes > wanted.free_bytes + there:
            raise DoesNotFit(
                f"{self.job.path} would take {wanted.file_bytes:,} bytes, and as many for its shards until they are "
                f"merged. Free on its disk: {wanted.free_bytes:,}.\nUse another disk, fewer --layers, or --dtype "
                "float16 (half the size)."
            )
        self.progress.note(f"{self.job.path}: {len(self.listing):,} images in {counted(self.count, 'shard')}, {wanted}")


def _absolute(recipe: Recipe) -> Recipe:
    """The recipe for whoever stands in another folder."""
    model, weights = recipe.model, recipe.weights
    return replace(
        recipe,
        model=os.path.abspath(model) if model.lower().endswith(".keras") else model,
        weights=os.path.abspath(weights) if weights and weights.lower().endswith((".h5", ".hdf5")) else weights,
    )
