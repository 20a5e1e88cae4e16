"""What `fne` makes of an accelerator: one command, about five minutes for each backend that is installed.

    python scripts/bench_gpu.py [--backends tensorflow,jax,torch] [--json FILE]
    python scripts/bench_gpu.py --smoke    # that the script runs, on any machine: mini, and numbers that mean nothing

For every backend of Keras, each in a process of its own (TensorFlow is not needed for the others):

matrix    a large matrix product of the card, float32 (all 32 bits) and bfloat16
network   VGG16 and ResNet50 (random weights) in float32 and bfloat16, at two sizes of batches, with XLA at the larger:
          images/s of what `extract` calls (pixels from memory, all layers pooled, rows back in memory) against the bare
          compiled network (an input that lies on the card, its last output only). Bar: 0.95
places    whether an image gets the same bytes at every place of a batch
memory    batches of twice the size until the card refuses one: what is computed after that, and whether it is right
pipeline  images/s of decoding alone, on all processors, and of `extract` end to end

And, where PyTorch is, VGG16 by hand in it: channels_last, torch.compile. Bar: ours at least 0.7 of the best of all.
Prints a table, then JSON to send to whoever asks.
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
from gpu_peers import bare, matrix, torch_by_hand

from fne_cli.images import pipeline
from fne_cli.images.lists import source
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.backend import accelerators
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running.extractor import processor_name
from fne_cli.steps.extract import extract

BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Sizes:
    """What is measured: networks, rows of batches, side of the matrices, photographs, seconds of each measurement."""

    models: tuple[str, ...] = ("vgg16", "resnet50")
    rows: tuple[int, ...] = (32, 128)
    side: int = 8192
    photos: int = 1024
    seconds: float = 1.0
    limit: int = 1 << 16


SMOKE = Sizes(("mini",), (4,), 64, 8, 0.0, 8)


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


def memory(sizes: Sizes) -> dict[str, Any]:
    """Whether a batch that is too large for the card is halved until it fits, and what comes out is right."""
    if not accelerators():
        return {"tried": "no: there is no accelerator"}
    few = Prepared.of(Recipe(sizes.models[0], "random", batch_size=sizes.rows[0]))
    wanted = on_host(few.extractor(print)(noise(sizes.rows[0], few.image_size)))
    rows = 4 * sizes.rows[-1]
    while rows <= sizes.limit:
        notes: list[str] = []
        prepared = Prepared.of(Recipe(sizes.models[0], "random", batch_size=rows))
        call, pixels = prepared.extractor(notes.append), np.zeros((rows, *prepared.image_size, 3), np.uint8)
        pixels[: sizes.rows[0]] = noise(sizes.rows[0], prepared.image_size)
        found = on_host(call(pixels))
        if call.used < rows:
            apart = max(
                float(np.abs(ours[: sizes.rows[0]] - other).max() / max(np.abs(other).max(), 1e-30))
                for ours, other in zip(found, wanted, strict=True)
            )
            return {"tried": "yes", "rows": rows, "used": call.used, "largest_difference": apart, "notes": notes}
        rows *= 2
    return {"tried": "yes", "rows": rows // 2, "used": rows // 2, "notes": ["all of it fitted"]}


def decoding(sizes: Sizes, folder: Path) -> dict[str, float]:
    """Images per second of decoding alone, and end to end with the first network."""
    write_photos(folder / "photos", sizes.photos)
    recipe = Recipe(sizes.models[0], "random", batch_size=sizes.rows[0])
    prepared = Prepared.of(recipe)
    listing, geometry = source.list_images(str(folder / "photos")), Geometry(*prepared.image_size)
    began = time.perf_counter()
    for _ in pipeline.image_batches(listing, geometry, sizes.rows[0], range(len(listing))):
        pass
    alone = len(listing) / (time.perf_counter() - began)
    extract(str(folder / "photos"), folder / "a.h5", recipe)
    record = json.loads((folder / "a.h5.run.json").read_text())
    return {"decoding": alone, "end_to_end": record["runs"][-1]["images_per_second"]}


def of_backend(sizes: Sizes) -> dict[str, Any]:
    """All of it, in this process."""
    import keras

    found: dict[str, Any] = {"keras": keras.__version__, "accelerators": accelerators()}
    found["matrix_tflops"] = {
        name: rate(matrix(name, sizes.side), 2 * sizes.side**3 / 1e12, sizes.seconds)
        for name in ("float32", "bfloat16")
    }
    found["networks"] = list(networks(sizes))
    found["same_bytes_at_every_place"] = places(sizes)
    found["memory"] = memory(sizes)
    with tempfile.TemporaryDirectory() as name:
        found["pipeline"] = decoding(sizes, Path(name))
    return found


def child(backend: str, smoke: bool) -> dict[str, Any]:
    """A backend, or PyTorch by hand, in a process of its own."""
    environment = os.environ | ({"KERAS_BACKEND": backend} if backend in BACKENDS else {})
    words = [sys.executable, __file__, "--child", backend, *(["--smoke"] if smoke else [])]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"failed": done.returncode}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def show(backend: str, found: dict[str, Any]) -> None:
    """Print what a process found."""
    print(f"\n{backend}: {json.dumps({key: value for key, value in found.items() if key != 'networks'})}")
    for entry in found.get("networks", []):
        how = f"{entry['model']} {entry['precision']} x {entry['rows']}{' XLA' if entry['xla'] else ''}"
        print(f"  {how:32} {entry['ours']:10.1f} img/s, bare {entry['bare']:10.1f}: {entry['of_bare']:.2f} of it")


def main() -> None:
    """Measure, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = SMOKE if options.smoke else Sizes()
    if options.child == "by hand":
        print(json.dumps(torch_by_hand(noise(sizes.rows[-1], (224, 224)), lambda call, rows: rate(call, rows, 1.0))))
        return
    if options.child:
        print(json.dumps(of_backend(sizes)))
        return
    asked = options.backends.split(",")
    if unknown := sorted({*asked} - {*BACKENDS}):
        parser.error(f"--backends should be some of {', '.join(BACKENDS)}. Found: {', '.join(unknown)}.")
    there = [name for name in asked if importlib.util.find_spec(name)]
    if not there:
        parser.error(f"One of {', '.join(asked)} should be installed. Found: none.")
    figures: dict[str, Any] = {"processor": processor_name(), "processors": len(os.sched_getaffinity(0))}
    figures["python"] = platform.python_version()
    for name in (*there, *(["by hand"] if "torch" in there and not options.smoke else [])):
        figures[name] = child(name, options.smoke)
        show(name, figures[name])
    best = [entry["ours"] for name in there for entry in figures[name].get("networks", []) if entry["model"] == "vgg16"]
    by_hand = [value for key, value in figures.get("by hand", {}).items() if key.endswith("per_second")]
    if best and by_hand:
        ours, theirs = max(best), max(by_hand)
        print(f"VGG16: ours at best {ours:.1f} img/s, PyTorch by hand {theirs:.1f}: {ours / theirs:.2f} of it")
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    if any("failed" in figures[name] for name in there):
        sys.exit(1)


if __name__ == "__main__":
    main()
