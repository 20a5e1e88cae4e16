"""`fne extract` end to end against what the network and the decoding of images leave possible.

    python scripts/bench_decoding.py [--images N] [--rounds N] [--network FILE.keras] [--folder FOLDER]

For mini, and for --network, on JPEGs of 300 x 225 and 500 x 375 (or those of --folder): images per second end to end,
of the bare network on pixels in memory, and of decoding alone on one thread: as `extract` decodes (reading, hash,
checks) and by nothing but Pillow (opening, decoding, resizing of what is in memory). The bound is
1 / (1 / bare rate + decode seconds of an image / processors), by either. The four take turns in one process; medians of
the rounds, and of the ratios within a round. `extract` does all images of a round without a pause, as it would else
decode ahead while others have their turn; the time from its first batch to its last is that of all images but those of
the first. On a busy machine the clock says little: the last column has the processors' time of an image in its place,
in which the bound is what network and decoding take together.
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
from bench_extract import Stopwatch, write_photos
from bench_formats import by_pillow
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
HEAD = """
| | images/s | bare network | decoding, one processor | Pillow alone | of the network | of the bound | by Pillow | CPU |
|---|---|---|---|---|---|---|---|---|"""
FEW = 64  # images of a round that the network gets from memory, and that are decoded alone
Taken = tuple[float, float]  # seconds of an image: by the clock, and of all processors


def timed(work: Callable[[], object], images: int) -> Taken:
    """What it takes, for each of the images."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began) / images, (time.process_time() - busy) / images


class Watch(Stopwatch):
    """Notes the processors' time of each batch, too."""

    def __init__(self) -> None:
        super().__init__()
        self.busy: list[float] = []

    def advance(self, count: int) -> None:
        """Note one batch."""
        super().advance(count)
        self.busy.append(time.process_time())

    @property
    def taken(self) -> Taken:
        """Of an image behind the first batch, which is decoded and computed alone; what follows is not begun then."""
        images = sum(self.counts[1:])
        return (self.times[-1] - self.times[0]) / images, (self.busy[-1] - self.busy[0]) / images


def against_bound(recipe: Recipe, folder: Path, images: int, rounds: int, output: Path) -> dict[str, float]:
    """Medians of the rounds, and of the ratios within a round."""
    whole = source.list_images(str(folder))
    listed = whole.part(range(0, len(whole), max(1, len(whole) // images))[:images])
    prepared = Prepared.of(recipe)
    geometry = Geometry(*prepared.image_size)
    call = prepared.extractor(print)
    few = listed.files[:FEW]
    batches = [batch.pixels for batch in pipeline.image_batches(listed, geometry, recipe.batch_size, range(len(few)))]

    def compute() -> None:
        for batch in batches:
            for values in call(batch):
                np.asarray(values)

    def decode_alone() -> None:
        for file in few:
            decode(partial(read_file, file), geometry)

    contents = [read_file(file) for file in few]

    def pillow_alone() -> None:
        for content in contents:
            by_pillow(content, geometry.height, geometry.width)

    manifest = output.with_suffix(".csv")
    with open(manifest, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], *([os.path.abspath(path)] for path in listed.files)])
    compute()
    decode_alone()
    pillow_alone()
    rows: list[tuple[Taken, Taken, Taken, Taken]] = []
    for _ in range(rounds):
        watch = Watch()
        for path in output.parent.glob(output.name + "*"):
            path.unlink()
        extract(str(manifest), output, recipe, root="/", progress=watch)
        alone = [timed(work, len(few)) for work in (compute, decode_alone, pillow_alone)]
        rows.append((watch.taken, alone[0], alone[1], alone[2]))
    cores = len(os.sched_getaffinity(0))
    return {
        **{f"{name}_per_second": 1 / statistics.median(row[place][0] for row in rows)
           for place, name in enumerate(("extract", "bare", "decoding", "pillow"))},
        "of_bare": statistics.median(bare[0] / ours[0] for ours, bare, _, _ in rows),
        "of_bound": statistics.median((bare[0] + alone[0] / cores) / ours[0] for ours, bare, alone, _ in rows),
        "of_pillows": statistics.median((bare[0] + pillow[0] / cores) / ours[0] for ours, bare, _, pillow in rows),
        "cpu_of_bound": statistics.median((bare[1] + alone[1]) / ours[1] for ours, bare, alone, _ in rows),
    }  # fmt: skip


def main() -> None:
    """Print a line for each network and size, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(2 * FEW, f"{FEW} are for the network alone"), default=10 * FEW)
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--network", type=Path, help="a .keras file that takes caffe's preprocessing")
    parser.add_argument("--folder", type=Path, help="images of your own")
    options = parser.parse_args()
    load_keras()
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folders = {} if options.folder is None else {"your own": options.folder}
        for size in SIZES if options.folder is None else ():
            folder = folders[f"{size[0]} x {size[1]}"] = Path(name) / str(size[0])
            write_photos(folder, options.images, size)
        recipes = [Recipe(model="mini")]
        recipes += [Recipe(model=str(options.network), preprocess="caffe")] if options.network else []
        for recipe in recipes:
            for what, folder in folders.items():
                found = against_bound(recipe, folder, options.images, options.rounds, Path(name) / "a.h5")
                figures[f"{Path(recipe.model).name}, {what}"] = found
                rates = (found[f"{name}_per_second"] for name in ("extract", "bare", "decoding", "pillow"))
                shares = (found[name] for name in ("of_bare", "of_bound", "of_pillows", "cpu_of_bound"))
                cells = [*(f"{rate:,.0f}" for rate in rates), *(f"{share:.2f}" for share in shares)]
                print(f"| {Path(recipe.model).stem}, JPEGs of {what} | {' | '.join(cells)} |", flush=True)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
