"""Speed of `fne train`, against a bare Keras `fit` on arrays in memory, and of frozen layers that are computed once.

    python scripts/bench_train.py [--section fit,cache] [--turns N] [--weights FILE.h5]

fit     the same network (vgg-mini, 32 x 32) on the same random images: epochs of our loop, which takes 8-bit pixels and
        prepares them, against epochs of `model.fit` on prepared float arrays. They take turns; medians of the turns,
        and of the ratios within a turn.
cache   VGG16 with all below its last block frozen, and a new classifier: an epoch with the frozen layers computed in it
        against one with their outputs on the disk. --weights is the file of VGG16's weights, with or without top;
        without it they are random, which takes as long.

Prints a line for each turn and a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_sizes import at_least
from PIL import Image

from fne_cli.images.decoded import DecodedImages
from fne_cli.images.lists import source
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.backend import load_keras
from fne_cli.networks.trained.building import Start, Trainable, build
from fne_cli.networks.trained.trainer import Rule, Trainer
from fne_cli.progress import SILENT
from fne_cli.training.course import Course
from fne_cli.training.inputs import Inputs
from fne_cli.training.loop import Loop, Parts

CLASSES = 10


def written(folder: Path, count: int, side: int) -> DecodedImages:
    """Random PNG images, decoded."""
    values = np.random.default_rng(0)
    for number in range(count):
        target = folder / f"{number % CLASSES}" / f"{number:05d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(target)
    return DecodedImages(source.list_images(str(folder)), Geometry(side, side))


def loop_of(folder: Path, trainer: Trainer, inputs: Inputs, labels: np.ndarray) -> Loop:
    """Our loop over all images, without validation and, in the time that is measured, without a checkpoint."""
    numbers = np.arange(len(labels))
    parts = Parts(numbers, numbers[:0], numbers[:0], len(numbers))
    return Loop(folder / "x.keras", trainer, inputs, labels, parts, Course(epochs=1000), 0, {}, [{"images": 0}])


def epoch(loop: Loop) -> float:
    began = time.perf_counter()
    loop._epoch(lambda count: None, lambda: None)
    loop._finish_epoch(SILENT)
    return time.perf_counter() - began


def fit(turns: int, count: int, batch: int) -> dict[str, Any]:
    keras = load_keras()
    labels = (np.arange(count) % CLASSES).astype(np.int32)
    with tempfile.TemporaryDirectory() as name:
        decoded = written(Path(name), count, 32)
        model = "vgg-mini:width=32,depth=3,units=256"
        ours = Trainer(build(Start(model), CLASSES), Rule(), batch, 0)
        theirs = build(Start(model), CLASSES).model
        theirs.compile(
            keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        prepared = decoded.pixels(np.arange(count)).astype(np.float32) / 127.5 - 1
        with Inputs(decoded, ours, ()) as inputs:
            loop = loop_of(Path(name), ours, inputs, labels)
            times = []
            for turn in range(turns + 1):
                mine = epoch(loop)
                began = time.perf_counter()
                theirs.fit(prepared, labels, batch_size=batch, epochs=1, verbose=0)
                bare = time.perf_counter() - began
                if turn:  # both have been compiled in the first
                    times.append((mine, bare))
                    print(f"fit: ours {count / mine:,.0f}, bare {count / bare:,.0f} images/s", flush=True)
    return {
        "ours_images_per_second": count / statistics.median(mine for mine, _ in times),
        "bare_images_per_second": count / statistics.median(bare for _, bare in times),
        "ratio": statistics.median(bare / mine for mine, bare in times),
    }


def trainable(weights: str | None) -> Trainable:
    """VGG16 frozen below its last block; of any other source its layers would be called otherwise."""
    start = Start(source="vgg16", weights=weights or "random", copy=10, freeze=True)
    return build(start, CLASSES)


def cache(turns: int, count: int, batch: int, weights: str | None) -> dict[str, Any]:
    labels = (np.arange(count) % CLASSES).astype(np.int32)
    with tempfile.TemporaryDirectory() as name:
        decoded = written(Path(name), count, 224)
        times: dict[str, list[float]] = {"computed": [], "cached": []}
        loops, open_inputs, seconds = {}, [], 0.0
        for way in times:
            trainer = Trainer(trainable(weights), Rule(), batch, 0)
            inputs = Inputs(decoded, trainer, ())
            open_inputs.append(inputs)
            if way == "cached":
                began = time.perf_counter()
                inputs.compute_frozen(np.arange(count), 1 << 40, Path(name), SILENT)
                seconds = time.perf_counter() - began
            loops[way] = loop_of(Path(name), trainer, inputs, labels)
            epoch(loops[way])
        for _ in range(turns):
            for way, loop in loops.items():
                times[way].append(epoch(loop))
            print("cache: " + ", ".join(f"{way} {found[-1]:.2f} s" for way, found in times.items()), flush=True)
        states = [loop.trainer.state() for loop in loops.values()]
        same = all(np.array_equal(states[0][key], states[1][key]) for key in states[0])
        for inputs in open_inputs:
            inputs.__exit__()
    return {
        **{f"{way}_epoch_seconds": statistics.median(found) for way, found in times.items()},
        "ratio": statistics.median(a / b for a, b in zip(times["computed"], times["cached"], strict=True)),
        "frozen_once_seconds": seconds,
        "same_weights": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", default="fit,cache")
    parser.add_argument("--turns", type=at_least(1), default=5)
    parser.add_argument("--weights")
    parser.add_argument("--images", type=at_least(64, "a batch"), default=4096, help="of the section fit")
    parser.add_argument("--photos", type=at_least(16, "a batch"), default=64, help="of the section cache")
    options = parser.parse_args()
    found: dict[str, Any] = {"cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    if "fit" in options.section:
        found["fit"] = fit(options.turns, options.images, 64)
    if "cache" in options.section:
        found["cache"] = cache(options.turns, options.photos, 16, options.weights)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
