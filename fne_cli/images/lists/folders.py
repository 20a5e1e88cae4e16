"""Writing images as a folder that the other commands read."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image


def png_bytes(pixels: np.ndarray) -> bytes:
    """A PNG file of (height, width) grey or (height, width, 3) RGB uint8 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_png(folder: str, path: str, pixels: np.ndarray) -> None:
    """Write (height, width) grey or (height, width, 3) RGB uint8 pixels to folder/path, making its folders."""
    target = os.path.join(folder, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(png_bytes(pixels))


def write_folder(folder: str, paths: Sequence[str], pixels: Sequence[np.ndarray]) -> None:
    """Write each image to its path below `folder`."""
    for path, image in zip(paths, pixels, strict=True):
        write_png(folder, path, image)
