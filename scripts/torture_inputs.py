"""What torture_extract.py feeds to fne: a small network, good images, and a thousand ways of being none."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 24


def write_network(path: Path) -> None:
    """A small network with convolutions, a dense layer and a classifier, as a .keras file."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    x = images = keras.Input((SIZE, SIZE, 3))
    for number, filters in enumerate((8, 16, 32)):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(40, activation="relu", name="dense")(layers.Flatten()(x))
    keras.Model(images, layers.Dense(5, activation="softmax", name="scores")(x)).save(path)


def write_images(folder: Path, count: int, seed: int = 0) -> None:
    """JPEG files of random blobs in three classes, two splits."""
    values = np.random.default_rng(seed)
    for number in range(count):
        target = folder / ("train" if number % 3 else "test") / f"class{number % 4}" / f"{number:05d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = values.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 45), Image.Resampling.BICUBIC).save(target, quality=90)


def bad_inputs(folder: Path, count: int, seed: int) -> int:
    """Write `count` broken images; how many of them nobody could decode (the others may survive, a bit flip can)."""
    values = np.random.default_rng(seed)
    pixels = values.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    good: dict[str, bytes] = {}
    for ending, form in (
        ("jpg", "JPEG"),
        ("png", "PNG"),
        ("gif", "GIF"),
        ("bmp", "BMP"),
        ("tif", "TIFF"),
        ("webp", "WEBP"),
    ):
        memory = io.BytesIO()
        Image.fromarray(pixels).save(memory, form)
        good[ending] = memory.getvalue()
    endings = list(good)
    folder.mkdir(parents=True)
    hopeless = 0
    for number in range(count):
        ending = endings[number % len(endings)]
        content = good[ending]
        kind = number // len(endings) % 6
        if kind == 0:  # truncated, from nothing to all but one byte
            content = content[: int(values.integers(0, len(content)))]
        elif kind == 1:
            flipped = bytearray(content)
            for place in values.integers(0, len(content), 3):
                flipped[place] ^= 1 << int(values.integers(0, 8))
            content = bytes(flipped)
        elif kind == 2:
            content = values.bytes(int(values.integers(1, 2000)))
            hopeless += 1
        elif kind == 3:  # a header that claims 60,000 x 60,000 pixels
            content, ending = _png_bomb(60_000 + number), "png"
            hopeless += 1
        elif kind == 4:
            content = b""
            hopeless += 1
        else:
            content = content[:16] + values.bytes(len(content) - 16)
        (folder / f"{number:05d}.{ending}").write_bytes(content)
    return hopeless


def _png_bomb(side: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
