"""What decoding an image takes, by format and size: processor time of one thread until it is SIDE x SIDE pixels.

    python scripts/bench_formats.py [--side SIDE] [--rounds N]

Made photographs (noise that is as strong in every octave, which real ones nearly are) as JPEG with and without halved
colours, WebP and PNG: as `fne extract` decodes them, checks and hash included, in full and with `--decode reduced`;
Pillow's opening, decoding and resizing alone; and where simplejpeg is installed (libjpeg-turbo by its own interface),
its decoding in place of Pillow's, and whether its pixels are the same. All take turns; medians, in milliseconds.
"""

from __future__ import annotations

import argparse
import importlib
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import PIL
from bench_sizes import at_least
from PIL import Image, features

from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry

SIZES = ((300, 225), (500, 375), (1000, 750), (4000, 3000))
LARGE = 2000  # pixels on a side, of which a few rounds are enough
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG 4:2:0": ("JPEG", {"quality": 90}),
    "JPEG 4:4:4": ("JPEG", {"quality": 90, "subsampling": 0}),
    "WebP": ("WEBP", {"quality": 90}),
    "PNG": ("PNG", {}),
}


def photograph(size: tuple[int, int]) -> Image.Image:
    """Noise of all octaves, the finest a little blurred."""
    values = np.random.default_rng(0)
    whole = np.zeros((size[1], size[0], 3), np.float32)
    cells = 4
    while cells < max(size):
        grid = tuple(-(-side * cells // max(size)) for side in size)
        noise = values.integers(0, 256, (grid[1], grid[0], 3), dtype=np.uint8)
        whole += np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)).astype(np.float32) - 128
        cells *= 2
    return Image.fromarray(np.clip(128 + 45 * whole / whole.std(), 0, 255).astype(np.uint8))


def by_pillow(content: bytes, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8, with nothing but Pillow."""
    return np.asarray(Image.open(io.BytesIO(content)).resize((width, height), Image.Resampling.BILINEAR))


def by_simplejpeg(simplejpeg: Any, content: bytes, side: int) -> np.ndarray:
    """The same, the pixels of a JPEG by simplejpeg."""
    pixels = simplejpeg.decode_jpeg(content, "RGB")
    size = (pixels.shape[1], pixels.shape[0])
    image = Image.frombuffer("RGB", size, pixels, "raw", "RGB", 0, 1)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def measured(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of processor time of each way, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            began = time.thread_time()
            way()
            taken[name].append(time.thread_time() - began)
    return {name: 1000 * statistics.median(values[1:]) for name, values in taken.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=at_least(1), default=227)
    parser.add_argument("--rounds", type=at_least(1), default=60)
    options = parser.parse_args()
    side, own = options.side, Geometry(options.side, options.side)
    reduced = Geometry(side, side, decode="reduced")
    try:
        simplejpeg = importlib.import_module("simplejpeg")
    except ImportError:
        simplejpeg = None
    print(f"to {side} x {side}; Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
    print("| | bytes | fne | reduced | Pillow alone | simplejpeg |\n|---|---|---|---|---|---|")
    for size in SIZES:
        image = photograph(size)
        for name, (kind, how) in FORMATS.items():
            buffer = io.BytesIO()
            image.save(buffer, kind, **how)
            content = buffer.getvalue()
            ways: dict[str, Callable[[], object]] = {
                "fne": partial(decode, partial(bytes, content), own),
                "reduced": partial(decode, partial(bytes, content), reduced),
                "Pillow": partial(by_pillow, content, side, side),
            }
            note = ""
            if simplejpeg is not None and kind == "JPEG":
                ways["simplejpeg"] = partial(by_simplejpeg, simplejpeg, content, side)
                same = np.array_equal(by_simplejpeg(simplejpeg, content, side), by_pillow(content, side, side))
                note = "" if same else " (other pixels)"
            found = measured(ways, max(1, options.rounds // 10) if max(size) > LARGE else options.rounds)
            cells = [f"{found[way]:.2f}" if way in found else "" for way in ("fne", "reduced", "Pillow", "simplejpeg")]
            print(f"| {name}, {size[0]} x {size[1]} | {len(content):,} | {' | '.join(cells)}{note} |", flush=True)


if __name__ == "__main__":
    main()
