"""Speed of an ONNX network in fne against bare onnxruntime, and against TensorFlow on the same network.

    PYTHONPATH=. python scripts/bench_onnx.py NETWORK.onnx [--keras NETWORK.keras] [--rows 16] [--turns 10] [--all]

All get the same images from memory. fne gets them as bytes, prepares them and pools what it taps: the last tap alone,
or with --all every layer. Bare onnxruntime gets them prepared, with as many threads, and gives the file's own outputs.
They take turns, one batch each, so that what else the machine does meets all of them. Prints as JSON: images per second
by the median of the turns, the median of the ratios within a turn, and of all the share of the floating-point
operations that a product of large matrices reaches in between (NumPy's, with as many threads), if --keras says how many
the network has.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from fne_cli.machine import processors
from fne_cli.networks.opening import prepared
from fne_cli.networks.recipe import Recipe

_SIDE = 2048  # of the matrices
_REST = 0.3  # seconds after which the threads of the turn before have stopped to wait in a loop, and take nobody's time


def bare(path: str, pixels: np.ndarray) -> Callable[[], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    images = pixels.astype(np.float32)
    if given.shape[1] == 3:
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return lambda: session.run(None, {given.name: images})


def ours(recipe: Recipe, pixels: np.ndarray, every: bool) -> Callable[[], Any]:
    from dataclasses import replace

    source = prepared(recipe)
    if not every:
        source = prepared(replace(recipe, layers=(source.columns()[-1][0],)))
    call = source.extractor(print)
    return lambda: [np.asarray(values) for values in call(pixels)]


def multiplied() -> Callable[[], Any]:
    random = np.random.default_rng(0)
    left, right = (random.random((_SIDE, _SIDE), np.float32) for _ in range(2))
    return lambda: left @ right


def flop_of(path: str) -> int:
    """Operations of one image, by TensorFlow's profiler."""
    import keras
    from write_networks_sizes import flop_of as counted

    return counted(keras.models.load_model(path, compile=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--keras")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--all", action="store_true")
    asked = parser.parse_args()
    recipe = Recipe(model=asked.network, preprocess="none", batch_size=asked.rows)
    height, width = prepared(recipe).image_size
    pixels = np.random.default_rng(0).integers(0, 256, (asked.rows, height, width, 3), np.uint8)
    calls = {"fne": ours(recipe, pixels, asked.all), "onnxruntime": bare(asked.network, pixels)}
    if asked.keras:
        keras = Recipe(model=asked.keras, preprocess="none", batch_size=asked.rows)
        calls["tensorflow"] = ours(keras, pixels, asked.all)
    calls["matrices"] = multiplied()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(asked.turns + 1):
        for name, call in calls.items():
            time.sleep(_REST)
            began = time.perf_counter()
            call()
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - began)
    matrices = 2 * _SIDE**3 / statistics.median(times.pop("matrices"))
    rates = {name: asked.rows / statistics.median(seconds) for name, seconds in times.items()}
    ratio = statistics.median(theirs / own for own, theirs in zip(times["fne"], times["onnxruntime"], strict=True))
    found: dict[str, Any] = {"images_per_second": rates, "fne_over_onnxruntime": ratio}
    found["gflop_per_second_of_matrices"] = matrices / 1e9
    if asked.keras:
        flop = flop_of(asked.keras)
        found["gflop_per_image"] = flop / 1e9
        found["share_of_matrices"] = {name: rate * flop / matrices for name, rate in rates.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
