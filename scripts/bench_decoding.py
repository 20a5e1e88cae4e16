"""`fne extract` end to end against what the network and the decoding of images leave possible.

    python scripts/bench_decoding.py [--images N] [--network FILE.keras] [--folder FOLDER]

For mini, and for --network, on JPEGs of 300 x 225 and 500 x 375 (or those of --folder): images per second end to end,
of the bare network on pixels in memory, and of decoding alone on one thread. The bound is
1 / (1 / bare rate + decode seconds of an image / processors). The three take turns of 64 images in one process; medians
of the turns, and of the ratios within a turn, the first of which warms up. On a busy machine the clock says little:
beside it stands the processors' time of an image, in which the bound is what network and decoding take together.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_extract import BLOCK, TURN, Stopwatch, write_photos
from bench_sizes import at_least

from fne_cli.images import pipeline
from fne_cli.images.lists import source
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.reading import read_file
from fne_cli.networks.backend import load_keras
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.steps.extract import extract

SIZES = ((300, 225), (500, 375))
Taken = tuple[float, float]  # seconds of an image: by the clock, and of all processors


def timed(work: Callable[[], object]) -> Taken:
    """What a turn takes, for each of its images."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began) / TURN, (time.process_time() - busy) / TURN


class Turns(Stopwatch):
    """Stops `extract` after every turn, and lets the others have theirs."""

    def __init__(self, others: dict[str, Callable[[], object]]) -> None:
        super().__init__()
        self.others = others
        self.taken: dict[str, list[Taken]] = {name: [] for name in ("extract", *others)}
        self._began: Taken | None = None

    def advance(self, count: int) -> None:
        """Note one batch, and maybe give the turn to the others."""
        super().advance(count)
        if len(self.counts) % BLOCK:
            return
        now = (time.perf_counter(), time.process_time())
        if self._began is not None:  # the first turn warms up
            wall, cpu = (after - before for after, before in zip(now, self._began, strict=True))
            self.taken["extract"].append((wall / TURN, cpu / TURN))
        for name, other in self.others.items():
            taken = timed(other)
            if self._began is not None:
                self.taken[name].append(taken)
        self._began = (time.perf_counter(), time.process_time())


def against_bound(recipe: Recipe, folder: Path, images: int, output: Path) -> dict[str, float]:
    """Medians of the turns, and of the ratios within a turn."""
    whole = source.list_images(str(folder))
    listed = whole.part(range(0, len(whole), max(1, len(whole) // images))[:images])
    prepared = Prepared.of(recipe)
    geometry = Geometry(*prepared.image_size)
    call = prepared.extractor(print)
    first = pipeline.image_batches(listed, geometry, recipe.batch_size, range(TURN))
    batches = [batch.pixels for batch in first]

    def compute() -> None:
        for batch in batches:
            for values in call(batch):
                np.asarray(values)

    def decode_alone() -> None:
        for file in listed.files[:TURN]:
            decode(partial(read_file, file), geometry)

    manifest = output.with_suffix(".csv")
    with open(manifest, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], *([os.path.abspath(path)] for path in listed.files)])
    turns = Turns({"bare": compute, "decoding": decode_alone})
    for path in output.parent.glob(output.name + "*"):
        path.unlink()
    extract(str(manifest), output, recipe, root="/", progress=turns)
    taken, cores = turns.taken, len(os.sched_getaffinity(0))
    found = {f"{name}_per_second": 1 / statistics.median(wall for wall, _ in runs) for name, runs in taken.items()}
    rows = list(zip(*(taken[name] for name in ("extract", "bare", "decoding")), strict=True))
    return {
        **found,
        "of_bare": statistics.median(bare[0] / ours[0] for ours, bare, _ in rows),
        "of_bound": statistics.median((bare[0] + alone[0] / cores) / ours[0] for ours, bare, alone in rows),
        "cpu_of_bound": statistics.median((bare[1] + alone[1]) / ours[1] for ours, bare, alone in rows),
    }


def main() -> None:
    """Print a line for each network and size, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(2 * TURN, f"{TURN} make a turn, and the first one warms up"),
                        default=10 * TURN)  # fmt: skip
    parser.add_argument("--network", type=Path, help="a .keras file that takes caffe's preprocessing")
    parser.add_argument("--folder", type=Path, help="images of your own")
    options = parser.parse_args()
    load_keras()
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        folders = {} if options.folder is None else {"your own": options.folder}
        for size in SIZES if options.folder is None else ():
            folder = folders[f"{size[0]} x {size[1]}"] = Path(name) / str(size[0])
            write_photos(folder, options.images, size)
        recipes = [Recipe(model="mini")]
        recipes += [Recipe(model=str(options.network), preprocess="caffe")] if options.network else []
        for recipe in recipes:
            for what, folder in folders.items():
                found = against_bound(recipe, folder, options.images, Path(name) / "a.h5")
                figures[f"{Path(recipe.model).name}, {what}"] = found
                print(
                    f"{Path(recipe.model).name}, JPEGs of {what}: {found['extract_per_second']:.1f} images/s, bare "
                    f"network {found['bare_per_second']:.1f}, decoding {found['decoding_per_second']:.1f} on one "
                    f"processor; {found['of_bare']:.2f} of the network, {found['of_bound']:.3f} of the bound, "
                    f"{found['cpu_of_bound']:.3f} by the processors' time",
                    flush=True,
                )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
