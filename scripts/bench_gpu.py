"""What `fne` makes of an accelerator: one command, for each backend that is installed.

    python scripts/bench_gpu.py [--backends tensorflow,jax,torch] [--json FILE]
    python scripts/bench_gpu.py --smoke    # that the script runs, on any machine: mini, and numbers that mean nothing

Nobody has run it on a GPU. It is written to take about five minutes for a backend; with less time, --backends jax.
For every backend of Keras, each in a process of its own (TensorFlow is not needed for the others):

matrix    a large matrix product of the card, float32 (all 32 bits) and bfloat16
network   VGG16 and ResNet50 (random weights) in float32 and bfloat16, at two sizes of batches, with XLA at the larger:
          images/s of what `extract` calls (pixels from memory, all layers pooled, rows back in memory) against the bare
          compiled network (an input that lies on the card, its last output only). Bar: 0.95
places    whether an image gets the same bytes at every place of a batch
memory    a batch too large for what the process may take of the card: how far it is halved, and whether what comes of
          it is right. On a processor with PyTorch alone: the others end where memory is refused
pipeline  images/s of decoding alone, on all processors, and of `extract` end to end

And, where PyTorch is, VGG16 by hand in it: channels_last, torch.compile. Bar: ours at least 0.7 of the best of all, of
bare networks too. What fails is said, and the rest goes on. Prints tables, whether the bars are met, and JSON to send
to whoever asks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_extract import write_photos
from gpu_memory import CARD, halved
from gpu_peers import bare, matrix, torch_by_hand
from gpu_tables import BACKENDS, has_failed, show, verdicts

from fne_cli.images import pipeline
from fne_cli.images.lists import source
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.backend import accelerators, load_keras
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running.extractor import processor_name
from fne_cli.steps.extract import extract


@dataclass(frozen=True)
class Sizes:
    """What is measured: networks, rows of batches, side of the matrices, photographs, seconds of each measurement.

    side_by_hand: of the images of VGG16 by hand. too_large: rows of a batch that should not fit, and the bytes it has.
    """

    models: tuple[str, ...] = ("vgg16", "resnet50")
    rows: tuple[int, ...] = (32, 128)
    side: int = 8192
    photos: int = 1024
    seconds: float = 1.0
    side_by_hand: int = 224
    too_large: tuple[int, int] = (512, CARD)


SMOKE = Sizes(("mini",), (4,), 64, 8, 0.0, 32, (1024, 192 << 20))


def rate(call: Callable[[], object], each: float, seconds: float) -> float:
    """How many of `each` a second; the first two calls warm up, and the median of at least three others counts."""
    call(), call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return each / statistics.median(times)


def noise(rows: int, size: tuple[int, int]) -> np.ndarray:
    """Pixels."""
    return np.random.default_rng(0).integers(0, 256, (rows, *size, 3), np.uint8)


def on_host(values: list[Any]) -> list[np.ndarray]:
    """What the network made, in memory."""
    return [np.asarray(one) for one in values]


def networks(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """One entry for each network, precision and way to compile."""
    import keras

    compiles = keras.backend.backend() == "tensorflow"
    for model in sizes.models:
        for precision in ("float32", "bfloat16"):
            ways = [(rows, False) for rows in sizes.rows] + ([(sizes.rows[-1], True)] if compiles else [])
            for rows, xla in ways:
                recipe = Recipe(model, "random", batch_size=rows, precision=precision, xla=xla)
                prepared = Prepared.of(recipe)
                pixels = noise(rows, prepared.image_size)
                call, alone = prepared.extractor(print), bare(prepared.network.model, pixels, xla)
                ours = rate(lambda call=call, pixels=pixels: on_host(call(pixels)), rows, sizes.seconds)  # type: ignore[misc]  # defaults in a lambda
                theirs = rate(alone, rows, sizes.seconds)
                yield {
                    **{"model": model, "precision": precision, "rows": rows, "xla": xla},
                    **{"ours": ours, "bare": theirs, "of_bare": ours / theirs},
                }


def places(sizes: Sizes) -> dict[str, bool]:
    """By network and precision: are an image's bytes the same at every place? Asked of all places, by turning once."""
    found = {}
    for model in sizes.models:
        for precision in ("float32", "bfloat16"):
            rows = sizes.rows[0]
            prepared = Prepared.of(Recipe(model, "random", batch_size=rows, precision=precision))
            call, pixels = prepared.extractor(print), noise(rows, prepared.image_size)
            straight = [values.tobytes() for values in on_host(call(pixels))]
            found[f"{model}, {precision}"] = all(
                [np.roll(values, -turn, axis=0).tobytes() for values in on_host(call(np.roll(pixels, turn, axis=0)))]
                == straight
                for turn in range(1, rows)
            )
    return found


def decoding(sizes: Sizes, folder: Path) -> dict[str, float]:
    """Images per second of decoding alone, and end to end with the first network."""
    write_photos(folder / "photos", sizes.photos)
    recipe = Recipe(sizes.models[0], "random", batch_size=sizes.rows[-1])
    prepared = Prepared.of(recipe)
    listing, geometry = source.list_images(str(folder / "photos")), Geometry(*prepared.image_size)
    began = time.perf_counter()
    for _ in pipeline.image_batches(listing, geometry, sizes.rows[-1], range(len(listing))):
        pass
    alone = len(listing) / (time.perf_counter() - began)
    extract(str(folder / "photos"), folder / "a.h5", recipe)
    record = json.loads((folder / "a.h5.run.json").read_text())
    return {"decoding": alone, "end_to_end": record["runs"][-1]["images_per_second"]}


def of_backend(sizes: Sizes) -> dict[str, Any]:
    """All of it, in this process; of what fails the error."""
    keras = load_keras()
    found: dict[str, Any] = {"keras": keras.__version__, "accelerators": accelerators()}

    def products() -> dict[str, float]:
        return {
            name: rate(matrix(name, sizes.side), 2 * sizes.side**3 / 1e12, sizes.seconds)
            for name in ("float32", "bfloat16")
        }

    def piped() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as name:
            return decoding(sizes, Path(name))

    sections: dict[str, Callable[[], Any]] = {
        "matrix_tflops": products,
        "networks": lambda: list(networks(sizes)),
        "same_bytes_at_every_place": lambda: places(sizes),
        "pipeline": piped,
    }
    for name, section in sections.items():
        print(f"{keras.backend.backend()}: {name} ...", file=sys.stderr, flush=True)
        found[name] = tried(section)
    return found


def child(part: str, backend: str, smoke: bool) -> dict[str, Any]:
    """A part of the work in a process of its own; what it does is said before, as it may take minutes."""
    print(f"{backend}: {part} ...", file=sys.stderr, flush=True)
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    words = [sys.executable, __file__, "--child", part, *(["--smoke"] if smoke else [])]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"failed": f"the process ended with {done.returncode}"}
    return result


def part_of(part: str, sizes: Sizes) -> dict[str, Any]:
    """What a child does; of what fails the error."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "by hand": lambda: torch_by_hand(
            noise(sizes.rows[-1], (sizes.side_by_hand, sizes.side_by_hand)),
            lambda call, rows: rate(call, rows, sizes.seconds),
        ),
        "memory": lambda: halved(sizes.models[0], sizes.rows[0], *sizes.too_large, noise),
        "speed": lambda: of_backend(sizes),
    }
    return tried(parts[part])


def tried(section: Callable[[], Any]) -> Any:
    """What it finds, or its error: the rest is worth having all the same."""
    try:
        return section()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def main() -> None:
    """Measure, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        if os.environ["KERAS_BACKEND"] != "tensorflow":  # Keras loads it where it is there, and it prints a page
            sys.modules["tensorflow"] = None  # type: ignore[assignment]
        print(json.dumps(part_of(options.child, SMOKE if options.smoke else Sizes())))
        return
    asked = options.backends.split(",")
    if unknown := sorted({*asked} - {*BACKENDS}):
        parser.error(f"--backends should be some of {', '.join(BACKENDS)}. Found: {', '.join(unknown)}.")
    there = [name for name in asked if importlib.util.find_spec(name)]
    if not there:
        parser.error(f"One of {', '.join(asked)} should be installed. Found: none.")
    figures: dict[str, Any] = {"processor": processor_name(), "processors": len(os.sched_getaffinity(0))}
    figures["python"] = platform.python_version()
    if missing := [name for name in asked if name not in there]:
        print(f"not installed, so left out: {', '.join(missing)}")
    print(f"{figures['processor']}, {figures['processors']} processors", flush=True)
    for name in there:
        figures[name] = child("speed", name, options.smoke)
        figures[name]["memory"] = child("memory", name, options.smoke)
        show(name, figures[name])
    if "torch" in there:
        figures["by hand"] = child("by hand", "torch", options.smoke)
        show("by hand", figures["by hand"])
    print("\nBars" + (" (--smoke: these numbers mean nothing)" if options.smoke else ""))
    print("\n".join(verdicts(figures)) + "\n")
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    if has_failed(figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
