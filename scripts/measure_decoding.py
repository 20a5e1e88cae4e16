#!/usr/bin/env python
"""Measure what decoding takes: for every format, the peak of memory per pixel beside what fne_cli takes it to be.

    python scripts/measure_decoding.py            4000 x 4000 pixels, each format in a process of its own (Linux)
    python scripts/measure_decoding.py 1000       so many pixels on a side

The peak is that of a process that has decoded a small image of the same format before. Ends with 1 if one is above.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.memory import needed
from fne_cli.images.pixels.opening import FORMATS
from fne_cli.images.pixels.plugins import opener
from fne_cli.images.pixels.reading import read_file

SMALL = 64  # pixels on a side
NOISE = 8 << 20  # bytes: what allocators and threads of codecs take, whatever the image


def deep(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


Case = tuple[str, Callable[[Image.Image], Image.Image], dict[str, Any]]
CASES: dict[str, Case] = {
    "JPEG": ("JPEG", lambda image: image, {}),
    "JPEG, turned": ("JPEG", lambda image: image, {"exif": turned()}),
    "JPEG, grey": ("JPEG", lambda image: image.convert("L"), {}),
    "JPEG, progressive": ("JPEG", lambda image: image, {"progressive": True, "subsampling": 0}),
    "JPEG, progressive CMYK": ("JPEG", lambda image: image.convert("CMYK"), {"progressive": True}),
    "PNG": ("PNG", lambda image: image, {"compress_level": 1}),
    "PNG, RGBA": ("PNG", lambda image: image.convert("RGBA"), {"compress_level": 1}),
    "PNG, palette": ("PNG", lambda image: image.quantize(64), {"compress_level": 1}),
    "PNG, 16 bits": ("PNG", deep, {"compress_level": 1}),
    "PNG, black and white": ("PNG", lambda image: image.convert("1"), {"compress_level": 1}),
    "TIFF": ("TIFF", lambda image: image, {}),
    "TIFF, one strip": ("TIFF", lambda image: image, {"compression": "tiff_lzw", "tiffinfo": {278: 1 << 20}}),
    "TIFF, 16 bits": ("TIFF", deep, {}),
    "BMP": ("BMP", lambda image: image, {}),
    "GIF": ("GIF", lambda image: image.quantize(64), {}),
    "PPM": ("PPM", lambda image: image, {}),
    "PPM, 16 bits": ("PPM", deep, {}),
    "TGA": ("TGA", lambda image: image, {"compression": "tga_rle"}),
    "WEBP": ("WEBP", lambda image: image, {"method": 0}),
    "WEBP, lossless RGBA": ("WEBP", lambda image: image.convert("RGBA"), {"lossless": True, "method": 0, "quality": 0}),
    "AVIF": ("AVIF", lambda image: image, {"speed": 10, "subsampling": "4:4:4"}),
    "AVIF, RGBA": ("AVIF", lambda image: image.convert("RGBA"), {"speed": 10}),
    "JPEG2000": ("JPEG2000", lambda image: image, {}),
    "JPEG2000, grey": ("JPEG2000", lambda image: image.convert("L"), {}),
    "JPEG2000, RGBA": ("JPEG2000", lambda image: image.convert("RGBA"), {}),
    "HEIC": ("HEIF", lambda image: image, {"quality": 50}),
    "HEIC, RGBA": ("HEIF", lambda image: image.convert("RGBA"), {"quality": 50}),
}


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(f"{name}:"))


def peak_of(path: str, small: str) -> int:
    """Bytes that decoding `path` takes at most, in this process."""
    geometry = Geometry(224, 224, max_pixels=1 << 40)
    assert not decode(lambda: read_file(small), geometry).status
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the peak becomes what there is now
    before = status("VmRSS")
    decoded = decode(lambda: read_file(path), geometry)
    assert not decoded.status, decoded.message
    return status("VmHWM") - before


def picture(side: int) -> Image.Image:
    """Blurred noise, which no codec can keep small."""
    noise = np.random.default_rng(0).integers(0, 256, (max(1, side // 16), max(1, side // 16), 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((side, side))


def measured(name: str, side: int, folder: str) -> tuple[int, int]:
    """The peak of a case, and what it is taken to be."""
    kind, made, options = CASES[name]
    paths = [os.path.join(folder, f"{size}") for size in (side, SMALL)]
    for path, size in zip(paths, (side, SMALL), strict=True):
        made(picture(size)).save(path, kind, **options)
    done = subprocess.run([sys.executable, __file__, *paths], capture_output=True, text=True, check=True)
    with Image.open(paths[0]) as image:
        return int(done.stdout), needed(image, os.path.getsize(paths[0]))


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) == 2 else 4000
    try:
        known = {*FORMATS, opener("HEIC")}
    except Exception:
        known = {*FORMATS}
    above = False
    print(f"{'bytes per pixel':24}{'measured':>10}{'taken':>8}")
    for name, (kind, _, _) in CASES.items():
        if kind not in known:
            print(f"{name:24}{'no decoder':>10}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            peak, taken = measured(name, side, folder)
        above |= peak > taken + NOISE
        print(f"{name:24}{peak / side**2:10.1f}{taken / side**2:8.1f}", flush=True)
    sys.exit(above)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(peak_of(*sys.argv[1:]))
    else:
        main()
