"""Images as files of many formats, and what decoding makes of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import Decoded, decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.opening import FORMATS

LOSSLESS: dict[str, dict[str, object]] = {
    "PNG": {},
    "BMP": {},
    "DIB": {},
    "PPM": {},
    "TGA": {"compression": "tga_rle"},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
    "JPEG2000": {},
}
LOSSY = [name for name in ("JPEG", "AVIF") if name in FORMATS]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def patches() -> Image.Image:
    """40 x 32 pixels that any codec can keep: 4 x 4 patches of random colours."""
    colours = np.random.default_rng(5).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(colours, np.ones((4, 4, 1), np.uint8)))


def seen(content: bytes, height: int, width: int, **geometry: int) -> Decoded:
    return decode(lambda: content, Geometry(height, width, **geometry))  # type: ignore[arg-type]  # by name


def good(content: bytes, height: int, width: int) -> np.ndarray:
    """(1, height, width, 3) of an image that must be good."""
    decoded = seen(content, height, width)
    assert (decoded.status, decoded.message) == (Status.GOOD, "")
    return decoded.pixels
