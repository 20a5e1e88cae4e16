"""Millions of images that are only names: what the list, its shards, extraction, merging and moments take.

    python scripts/bench_scale.py [--images 10000000] [--extracted 1000000] [--shards 4] [--other TREE]

Names of 60 bytes, in a thousand classes; but for `walk` no file is there. Pixels are made of an image's name, and
eight features of its pixels, so that what is left is the command's own work. Each stage runs in a process of its own.
Printed are its time, its processors' time, its largest memory, and the bytes of an image: at most, and those that are
kept in the end, without what the process had before it began.

walk       the listing of a folder of at most 100,000 empty files, which are there
list       the listing that `fne extract FOLDER` makes, once the folder has been read
manifest   the same from a CSV manifest
slices     the lists that workers get, 500 of them
extract    half of --extracted images, then a stop
resume     the other half
shards     each of --shards shards of the same images, one after the other
merge      of these, whose bytes are those of the whole
normalize  of the whole

With --other the stages `walk`, `list`, `manifest` and `slices` also with another checkout's code.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench_sizes import at_least

ROOT = Path(__file__).parent.parent
SIDE, FEATURES, BATCH = 8, 8, 512
WALKED = 100_000


def names(count: int) -> Iterator[str]:
    """Sorted names of 60 bytes."""
    of_class = -(-count // 1000)
    return (f"n{number // of_class:08d}/{'0' * 36}{number % of_class:010d}.jpg" for number in range(count))


class Made:
    """Features of pixels without a network: a source as `extract` knows it."""

    packages = ("pillow",)
    image_size = (SIDE, SIDE)
    rows = used = BATCH
    competes = True

    def __init__(self, recipe: Any) -> None:
        self._recipe = recipe

    def notes(self) -> list[str]:
        """None."""
        return []

    def device(self) -> str:
        """None."""
        return ""

    def settings(self) -> dict[str, Any]:
        """As a network has them."""
        return {"network": "made", "weights_sha256": "", **self._recipe.numeric()}

    def columns(self) -> list[tuple[str, tuple[int, ...], dict[str, str]]]:
        """One layer."""
        return [("made", (FEATURES,), {"tap": "", "output_shape": str(FEATURES), "pooling": "none"})]

    def extractor(self, note: object) -> Made:
        """Itself."""
        return self

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Means of rows of pixels."""
        return [pixels.mean(axis=(2, 3), dtype=np.float32)]


def without_files() -> None:
    """Have images made of their names from now on."""
    from fne_cli.images import pipeline
    from fne_cli.images.pixels.bad import Status
    from fne_cli.images.pixels.decode import Decoded

    def made(read: Any, geometry: object, boxes: object, *more: object) -> list[Decoded]:
        digest = hashlib.sha256(os.fsencode(read.args[0]))
        pixels = np.frombuffer(digest.digest() * 6, np.uint8).reshape(1, SIDE, SIDE, 3)
        return [Decoded(pixels, Status.GOOD, "", digest.hexdigest())]

    vars(pipeline)["decoded_parts"] = made


def listed(count: int) -> Any:
    """As `from_folder` makes it of what it finds: names that come in any order within a folder."""
    from fne_cli.images.lists.listing import from_paths

    if not importlib.util.find_spec("fne_cli.images.names"):  # another checkout
        ids = sorted(names(count))
        return from_paths(ids, ["/photos/" + name for name in ids], "/photos")
    from fne_cli.images.names import Below

    if not importlib.util.find_spec("fne_cli.images.gathering"):
        ids = sorted(names(count))
        return from_paths(ids, Below("/photos/", ids), "/photos")
    from fne_cli.images.gathering import SortedTexts

    gathered, last = SortedTexts(), ""
    for name in names(count):
        if name[:9] != last:
            last = name[:9]
            gathered.pause()
        gathered.append(name)
    found = gathered.column()
    return from_paths(found, Below("/photos/", found), "/photos")


def write_empty(folder: Path, count: int) -> None:
    """Empty files of these names."""
    for name in names(count):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def walk(folder: Path, images: int, shards: int) -> object:
    """The listing of a folder, kept."""
    from fne_cli.images.lists.tree import from_folder

    return from_folder(str(folder / "empty"))


def list_only(folder: Path, images: int, shards: int) -> object:
    """A listing, kept."""
    return listed(images)


def from_manifest(folder: Path, images: int, shards: int) -> object:
    """A listing, kept."""
    from fne_cli.images.lists.manifest import read_manifest

    return read_manifest(str(folder / "images.csv"), "/photos")


def slices(folder: Path, images: int, shards: int) -> object:
    """The lists of 500 shards."""
    from fne_cli.images.lists.slices import write_slice

    whole, count = listed(images), min(500, images)
    for number in range(count):
        write_slice(whole.shard(number, count), folder / "slice.json")
    return whole


def extraction(images: int, output: Path, part: tuple[int, int] | None = None, stop: int | None = None) -> object:
    """Extract, or a shard of it; `stop` says after how many images a signal comes."""
    from fne_cli.errors import Stopped
    from fne_cli.images import contents
    from fne_cli.networks.recipe import Recipe
    from fne_cli.progress import Progress
    from fne_cli.steps.extract.local import extract_here
    from fne_cli.steps.extract.options import RunOptions
    from fne_cli.steps.extract.request import ExtractionRequest

    class Signal(Progress):
        done = 0

        @contextmanager
        def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
            def advance(count: int) -> None:
                self.done += count

            yield advance

        @contextmanager
        def deferred(self) -> Iterator[Callable[[], int | None]]:
            yield lambda: 143 if stop is not None and self.done >= stop else None

    without_files()
    whole = listed(images)
    own = whole if part is None else whole.shard(part[0] - 1, part[1])
    which = None
    if part is not None:
        which = {"number": part[0], "of": part[1], "images": len(whole), "listing": contents.listing_digest(whole)}
    request = ExtractionRequest(own, output, Recipe(model="mini", batch_size=BATCH), RunOptions(), which)
    try:
        extract_here(request, Made, progress=Signal())
    except Stopped:
        assert stop is not None
    return request


def of_folder(work: str) -> Callable[[Path, int, int], object]:
    """A stage that extracts."""
    return {
        "extract": lambda folder, images, shards: extraction(images, folder / "whole.h5", stop=images // 2),
        "resume": lambda folder, images, shards: extraction(images, folder / "whole.h5"),
        "shards": lambda folder, images, shards: [
            extraction(images, folder / f"{number}.h5", (number, shards)) for number in range(1, shards + 1)
        ],
    }[work]


def merge(folder: Path, images: int, shards: int) -> object:
    """Of the shards."""
    from fne_cli.steps.merge import merge as merged

    return merged([folder / f"{number}.h5" for number in range(1, shards + 1)], folder / "merged.h5")


def normalize(folder: Path, images: int, shards: int) -> object:
    """Of the whole."""
    from fne_cli.steps.normalize import normalize as moments

    return moments(folder / "whole.h5", folder / "moments.h5")


LISTS: dict[str, Callable[[Path, int, int], object]] = {
    "walk": walk,
    "list": list_only,
    "manifest": from_manifest,
    "slices": slices,
}
FILES: dict[str, Callable[[Path, int, int], object]] = {
    **{name: of_folder(name) for name in ("extract", "resume", "shards")},
    "merge": merge,
    "normalize": normalize,
}


def measured(work: Callable[[Path, int, int], object], folder: Path, images: int, shards: int) -> dict[str, float]:
    """Do it in this process: seconds, processors' seconds, and bytes, the largest and those that are kept."""
    import gc

    before = resident("VmRSS")
    began, busy = time.perf_counter(), time.process_time()
    kept = work(folder, images, shards)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    gc.collect()
    peak, now = resident("VmHWM"), resident("VmRSS")
    del kept
    return {"seconds": seconds, "cpu": cpu, "peak": peak, "peak_more": peak - before, "kept_more": now - before}


def resident(what: str) -> float:
    """Bytes of this process, as the kernel has them."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024.0 * int(lines[what].split()[0])


def child(stage: str, folder: Path, images: int, shards: int, tree: Path) -> dict[str, float]:
    """A stage in a process of its own."""
    words = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    words += ["--images", str(images), "--shards", str(shards)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{stage} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the stages, or be one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(1000), default=10_000_000, help="of the lists")
    parser.add_argument("--extracted", type=at_least(1000), default=1_000_000, help="images of the files")
    parser.add_argument("--shards", type=at_least(1), default=4)
    parser.add_argument("--other", type=Path, help="another checkout, such as one of what stood before")
    parser.add_argument("--folder", type=Path, help="where files go; what is made there is removed")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        work = {**LISTS, **FILES}[options.stage]
        print(json.dumps(measured(work, options.folder, options.images, options.shards)))
        return
    trees = {"": ROOT, **({" (other)": options.other.resolve()} if options.other else {})}
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with open(folder / "images.csv", "w", encoding="utf-8") as file:
            file.write("path,label\n")
            file.writelines(f"{one},{one[:9]}\n" for one in names(options.images))
        write_empty(folder / "empty", min(WALKED, options.images))
        print(f"{'':18}{'images':>12}{'seconds':>10}{'CPU':>10}{'peak MB':>10}{'bytes/image':>12}{'kept':>10}")
        for stage in (*LISTS, *FILES):
            images = options.images if stage in LISTS else options.extracted
            images = min(WALKED, images) if stage == "walk" else images
            for what, tree in trees.items() if stage in LISTS else [("", ROOT)]:
                found = figures[stage + what] = child(stage, folder, images, options.shards, tree)
                more, kept = (found[key] / images for key in ("peak_more", "kept_more"))
                times = f"{found['seconds']:10.1f}{found['cpu']:10.1f}"
                print(
                    f"{stage + what:18}{images:12,}{times}{found['peak'] / 1e6:10.0f}{more:12.0f}{kept:10.0f}",
                    flush=True,
                )
        if not filecmp.cmp(folder / "merged.h5", folder / "whole.h5", shallow=False):
            sys.exit("merged.h5 and whole.h5 should have the same bytes")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
