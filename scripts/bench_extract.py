"""Speed and memory of `fne extract`, against the bare network and against what people do by hand.

    python scripts/bench_extract.py [--section throughput,precision,memory] [--images N] [--rounds N] [--network FILE]

throughput  VGG16 (random weights), batch 16: extract end to end (decode, compute, write) against the bare compiled
            function on the same pixels already in memory, Keras's `predict` in a loop with NumPy concatenation, and
            PyTorch with forward hooks if it is installed. Interleaved, round by round; medians.
precision   bfloat16 against float32 in the same way, and with --network FILE (a .keras file) and --folder FOLDER the
            share of ternary codes that differ.
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
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fne_cli.images import pipeline, source
from fne_cli.images.geometry import Geometry
from fne_cli.networks.backend import load_keras
from fne_cli.networks.recipe import Prepared, Recipe
from fne_cli.progress import Progress
from fne_cli.steps.extract import extract

WARM_BATCHES = 2
VGG16_GFLOP = 30.95  # multiply-adds counted twice, one 224 x 224 image, 13 convolutions and three dense layers


def write_photos(folder: Path, count: int) -> None:
    """JPEG files of the size of photographs (500 x 375)."""
    values = np.random.default_rng(0)
    for number in range(count):
        target = folder / f"class{number % 5}" / f"{number:05d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        small = values.integers(0, 256, (25, 32, 3), dtype=np.uint8)
        Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC).save(target, quality=90)


class Stopwatch(Progress):
    """Notes when each batch was finished, and how much memory the process had."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []
        self.resident: list[int] = []

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Record instead of printing."""

        def advance(count: int) -> None:
            self.times.append(time.perf_counter())
            self.counts.append(count)
            with open("/proc/self/statm", encoding="ascii") as file:
                self.resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

        yield advance

    @property
    def rate(self) -> float:
        """Images per second once it runs."""
        return sum(self.counts[WARM_BATCHES:]) / (self.times[-1] - self.times[WARM_BATCHES - 1])


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


def predict_loop(prepared: Prepared, batches: list[np.ndarray]) -> float:
    """The notebook's way: a multi-output model, predict per batch, averages and concatenation in NumPy."""
    import keras
    from keras.applications.vgg16 import preprocess_input

    model = keras.Model(prepared.network.model.inputs, [tap.tensor for tap in prepared.taps])

    def one(batch: np.ndarray) -> list[np.ndarray]:
        maps = model.predict(preprocess_input(batch.astype(np.float32)), verbose=0)
        return [values.mean(axis=(1, 2)) if values.ndim == 4 else values for values in maps]

    one(batches[0])
    began = time.perf_counter()
    collected = [one(batch) for batch in batches]
    for values in zip(*collected, strict=True):
        np.concatenate(values)
    return sum(map(len, batches)) / (time.perf_counter() - began)


def torch_hooks() -> Callable[[np.ndarray], Any] | None:
    """VGG16 in PyTorch with a forward hook at every ReLU, or None if PyTorch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    from torch import nn

    parts: list[Any] = []
    channels = 3
    for filters, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            parts += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        parts.append(nn.MaxPool2d(2))
    parts += [
        nn.Flatten(),
        nn.Linear(512 * 49, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    ]
    model = nn.Sequential(*parts).eval()
    features: list[np.ndarray] = []

    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        features.append((output.mean(dim=(2, 3)) if output.ndim == 4 else output).numpy())

    for module in model:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook)

    def call(batch: np.ndarray) -> list[np.ndarray]:
        features.clear()
        with torch.inference_mode():
            model(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)))
        return list(features)

    return call


def throughput(
    images: int, rounds: int, precision: str = "float32", model: str = "vgg16", peers: bool = True
) -> dict[str, Any]:
    """Rates of each way, in every round."""
    recipe = Recipe(model=model, weights="random", precision=precision)  # type: ignore[arg-type]  # checked by argparse
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos", images)
        listing = source.list_images(str(folder / "photos"))
        prepared = Prepared.of(recipe)
        bare = prepared.extractor(print)
        geometry = Geometry(prepared.network.height, prepared.network.width)
        batches = [b.pixels for b in pipeline.image_batches(listing, geometry, recipe.batch_size, range(images))]
        hooked = torch_hooks() if peers and model == "vgg16" else None
        for number in range(rounds):
            watch = Stopwatch()
            extract(str(folder / "photos"), folder / f"{number}.h5", recipe, progress=watch)
            (folder / f"{number}.h5").unlink()
            rates.setdefault("extract", []).append(watch.rate)
            rates.setdefault("bare", []).append(rate_of(lambda batch: [np.asarray(v) for v in bare(batch)], batches))
            if peers:
                rates.setdefault("predict_loop", []).append(predict_loop(prepared, batches))
            if hooked is not None:
                rates.setdefault("torch_hooks", []).append(rate_of(hooked, batches))
            rates.setdefault("matrix_gflops", []).append(matrix_rate())
    return {key: {"median": statistics.median(values), "rounds": values} for key, values in rates.items()}


def codes_that_differ(network: Path, folder: Path) -> dict[str, Any]:
    """Share of ternary codes that change when a real network computes in bfloat16."""
    from fne_cli.numerics import ternary

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
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    load_keras()
    figures: dict[str, Any] = {}
    for section in options.section.split(","):
        if section == "throughput":
            figures[section] = found = throughput(options.images, options.rounds, peers=options.peers)
            ours, bare, limit = (found[name]["median"] for name in ("extract", "bare", "matrix_gflops"))
            print(f"extract {ours:.2f} img/s, bare {bare:.2f}: {ours / bare:.3f} of it", flush=True)
            print(
                f"{ours * VGG16_GFLOP:.0f} GFLOP/s, {ours * VGG16_GFLOP / limit:.2f} of a matrix product's {limit:.0f}"
            )
            for peer in ("predict_loop", "torch_hooks"):
                if peer in found:
                    theirs = found[peer]["median"]
                    print(f"{peer} {theirs:.2f} img/s: we are {ours / theirs:.2f} times that")
        elif section == "precision":
            pairs = [
                throughput(options.images, 1, p, peers=False)
                for _ in range(options.rounds)
                for p in ("float32", "bfloat16")
            ]
            plain, brief = (statistics.median(p["extract"]["median"] for p in pairs[k::2]) for k in (0, 1))
            figures[section] = {"float32": plain, "bfloat16": brief}
            print(f"bfloat16 {brief:.2f} img/s, float32 {plain:.2f}: {brief / plain:.2f} times", flush=True)
            if options.network and options.folder:
                figures[section] |= codes_that_differ(options.network, options.folder)
                print(json.dumps(figures[section]))
        else:
            figures[section] = memory()
            print(json.dumps(figures[section]), flush=True)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
