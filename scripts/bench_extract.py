"""Speed and memory of `fne extract`, against the bare network and against what people do by hand.

    python scripts/bench_extract.py [--section throughput,precision,memory] [--images N] [--network FILE]

throughput  VGG16 (random weights), batch 16: extract end to end (decode, compute, write) against the bare compiled
            function on the same pixels already in memory, Keras's `predict` in a loop with NumPy concatenation, and
            PyTorch with forward hooks if it is installed. They take turns, BLOCK batches each; medians of the turns
            and of the ratios within a turn.
precision   bfloat16 against float32, the bare network on noise, batch by batch in turn, by the clock and by the
            processors' time, and what of this the processor has instructions for; with --network FILE (a .keras file)
            and --folder FOLDER of that network too, and the share of its ternary codes that differ. --models says
            which other networks.
memory      resident memory while 5,000 images go through `mini`.

The limit is the matrix-product rate of this machine, measured in the same run. Prints a table and a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_sizes import at_least
from extract_peers import predict_loop, torch_hooks
from PIL import Image

from fne_cli.images import pipeline
from fne_cli.images.lists import source
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.backend import load_keras
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import Progress
from fne_cli.steps.extract import extract

WARM_BATCHES = 2
BLOCK = 4  # batches of a turn
TURN = BLOCK * 16  # images of a turn
VGG16_GFLOP = 30.95  # multiply-adds counted twice, one 224 x 224 image, 13 convolutions and three dense layers


def write_photos(folder: Path, count: int, size: tuple[int, int] = (500, 375)) -> None:
    """JPEG files of the size of photographs."""
    values = np.random.default_rng(0)
    for number in range(count):
        target = folder / f"class{number % 5}" / f"{number:05d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        small = values.integers(0, 256, (25, 32, 3), dtype=np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(target, quality=90)


class Stopwatch(Progress):
    """Notes when each batch was finished, and how much memory the process had."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []
        self.resident: list[int] = []

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Record instead of printing."""
        yield self.advance

    def advance(self, count: int) -> None:
        """Note one batch."""
        self.times.append(time.perf_counter())
        self.counts.append(count)
        with open("/proc/self/statm", encoding="ascii") as file:
            self.resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    @property
    def rate(self) -> float:
        """Images per second once it runs."""
        return sum(self.counts[WARM_BATCHES:]) / (self.times[-1] - self.times[WARM_BATCHES - 1])


class Turns(Stopwatch):
    """Stops extract after every BLOCK batches, times the others on as many, and lets it go on.

    Extract may have prepared two batches ahead by then; that is all it gains from the others' turns.
    """

    def __init__(self, others: dict[str, Callable[[], float]]) -> None:
        super().__init__()
        self.others = others
        self.rates: dict[str, list[float]] = {name: [] for name in ("extract", *others)}
        self._began = 0.0

    def advance(self, count: int) -> None:
        """Note one batch, and maybe give the turn to the others."""
        super().advance(count)
        if len(self.counts) % BLOCK:
            return
        took = time.perf_counter() - self._began
        if self._began:  # the first turn warms up
            self.rates["extract"].append(sum(self.counts[-BLOCK:]) / took)
            for name, other in self.others.items():
                self.rates[name].append(other())
        self._began = time.perf_counter()


def rate_of(call: Callable[[np.ndarray], Any], batches: list[np.ndarray]) -> float:
    """Images per second of a function over batches."""
    call(batches[0])
    began = time.perf_counter()
    for batch in batches:
        call(batch)
    return sum(map(len, batches)) / (time.perf_counter() - began)


def matrix_rate() -> float:
    """GFLOP/s of a large float32 matrix product."""
    import keras

    left = keras.ops.convert_to_tensor(np.random.default_rng(0).random((2048, 2048), np.float32))
    np.asarray(keras.ops.matmul(left, left))
    began = time.perf_counter()
    for _ in range(3):
        np.asarray(keras.ops.matmul(left, left))
    return 3 * 2 * 2048**3 / (time.perf_counter() - began) / 1e9


def throughput(images: int, peers: bool = True) -> dict[str, list[float]]:
    """Images per second of each way, in every turn. `images` go through extract."""
    recipe = Recipe(model="vgg16", weights="random")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos", images)
        listing = source.list_images(str(folder / "photos"))
        prepared = Prepared.of(recipe)
        geometry = Geometry(prepared.network.height, prepared.network.width)
        size = recipe.batch_size
        batches = [b.pixels for b in pipeline.image_batches(listing, geometry, size, range(BLOCK * size))]
        others: dict[str, Callable[[], float]] = {}
        others["bare"] = partial(rate_of, _called(prepared.extractor(print)), batches)
        hooked = torch_hooks() if peers else None
        if peers:
            others["predict_loop"] = partial(predict_loop, prepared, batches)
        if hooked is not None:
            others["torch_hooks"] = partial(rate_of, hooked, batches)
        others["matrix_gflops"] = matrix_rate
        pipeline._TURN_BYTES = 1  # a batch at a time, so that no turn has its images from an earlier one
        turns = Turns(others)
        extract(str(folder / "photos"), folder / "a.h5", recipe, progress=turns)
    return turns.rates


def _called(function: Callable[[np.ndarray], list[Any]]) -> Callable[[np.ndarray], list[np.ndarray]]:
    return lambda batch: [np.asarray(values) for values in function(batch)]


def ratio(rates: dict[str, list[float]], ours: str, theirs: str) -> float:
    """Median of the ratios within a turn: the machine's speed changes from one to the next."""
    return statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True))


def instructions() -> list[str]:
    """What this processor has for numbers of 16 bits, by the kernel's names."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_fp16") if name in flags]


def precision(model: str, batches: int, preprocess: str | None = None) -> dict[str, float]:
    """Medians over `batches` turns: images per second, and per second of all processors' time; and both ratios."""
    sources = {
        name: Prepared.of(Recipe(model, None if preprocess else "random", preprocess=preprocess, precision=name))
        for name in ("float32", "bfloat16")
    }
    size = sources["float32"].image_size
    noise = np.random.default_rng(0).integers(0, 256, (16, *size, 3), np.uint8)
    found: dict[str, list[float]] = {}
    for turn in range(batches + 1):
        for name, prepared in sources.items():
            call = _called(prepared.extractor(print))
            began, busy = time.perf_counter(), time.process_time()
            call(noise)
            taken = {"wall": time.perf_counter() - began, "cpu": time.process_time() - busy}
            if turn:  # both have been compiled in the first
                for clock, seconds in taken.items():
                    found.setdefault(f"{name}, {clock}", []).append(len(noise) / seconds)
    figures = {what: statistics.median(rates) for what, rates in found.items()}
    for clock in ("wall", "cpu"):
        figures[f"ratio, {clock}"] = ratio(found, f"bfloat16, {clock}", f"float32, {clock}")
    return figures


def codes_that_differ(network: Path, folder: Path) -> dict[str, Any]:
    """Share of ternary codes that change when a real network computes in bfloat16."""
    from fne_cli.numerics.codes import ternary

    arrays = {}
    for precision in ("float32", "bfloat16"):
        recipe = Recipe(model=str(network), preprocess="caffe", precision=precision)
        prepared = Prepared.of(recipe)
        call = prepared.extractor(print)
        geometry = Geometry(prepared.network.height, prepared.network.width)
        listing = source.list_images(str(folder))
        chosen = range(0, len(listing), max(1, len(listing) // 320))[:320]
        batches = pipeline.image_batches(listing, geometry, recipe.batch_size, chosen)
        rows = [np.hstack([np.asarray(v)[b.slots] for v in call(b.pixels)]) for b in batches]
        values = np.concatenate(rows).astype(np.float64)
        mean, std = values.mean(axis=0), values.std(axis=0)
        arrays[precision] = ternary.encode(ternary.standardize(values, mean, std))
    differ = arrays["float32"] != arrays["bfloat16"]
    opposite = np.abs(arrays["float32"] - arrays["bfloat16"]) == 2
    return {"images": len(differ), "codes": differ.size, "differ": differ.mean(), "opposite": opposite.mean()}


def memory() -> dict[str, Any]:
    """Resident memory after 500 images and after 5,000."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos", 5000)
        watch = Stopwatch()
        extract(str(folder / "photos"), folder / "a.h5", Recipe(model="mini"), progress=watch)
        done = np.cumsum(watch.counts)
        early = watch.resident[int(np.searchsorted(done, 500))]
        return {"images": int(done[-1]), "resident_at_500": early, "resident_at_end": watch.resident[-1],
                "peak": max(watch.resident), "images_per_second": watch.rate}  # fmt: skip


def main() -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", default="throughput,precision,memory")
    parser.add_argument("--images", type=at_least(2 * TURN, f"{TURN} make a turn, and the first one warms up"),
                        default=10 * TURN, help=f"of VGG16; {TURN} make a turn, the first one warms up")  # fmt: skip
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--models", nargs="*", default=["vgg16", "resnet50"], help="of the section precision")
    parser.add_argument("--network", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    load_keras()
    figures: dict[str, Any] = {}
    for section in options.section.split(","):
        if section == "throughput":
            found = throughput(options.images, peers=options.peers)
            middle = {name: statistics.median(values) for name, values in found.items()}
            figures[section] = {"median": middle, "turns": found}
            ours, limit = middle["extract"], middle["matrix_gflops"]
            print(f"extract {ours:.2f} img/s, bare {middle['bare']:.2f}: {ratio(found, 'extract', 'bare'):.3f} of it")
            share = ratio(found, "extract", "matrix_gflops") * VGG16_GFLOP
            print(f"{ours * VGG16_GFLOP:.0f} GFLOP/s, {share:.2f} of a matrix product's {limit:.0f}")
            for peer in ("predict_loop", "torch_hooks"):
                if peer in found:
                    print(
                        f"{peer} {middle[peer]:.2f} img/s: we are {ratio(found, 'extract', peer):.2f} times that",
                        flush=True,
                    )
        elif section == "precision":
            figures[section] = {"instructions": instructions(), "load": os.getloadavg()[0]}
            print(f"this processor has {', '.join(instructions()) or 'none of the instructions'}")
            networks = dict.fromkeys(options.models) | ({str(options.network): "caffe"} if options.network else {})
            for name, preprocess in networks.items():
                rates = figures[section][name] = precision(name, options.images // TURN, preprocess)
                print(
                    f"{name}: bfloat16 {rates['bfloat16, wall']:.2f} img/s, float32 {rates['float32, wall']:.2f}: "
                    f"{rates['ratio, wall']:.2f} times, {rates['ratio, cpu']:.2f} by the processors' time",
                    flush=True,
                )
            if options.network and options.folder:
                figures[section] |= codes_that_differ(options.network, options.folder)
                print(json.dumps(figures[section]), flush=True)
        else:
            figures[section] = memory()
            print(json.dumps(figures[section]), flush=True)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
