"""Formats that Pillow does not always decode, and what has to be installed for them."""

from __future__ import annotations

from functools import cache

from PIL import Image, features

from fne_cli.images.pixels.bad import BadImage, Status

# What each of them needs. JPEG XL: the plugin that there is decodes a file before anybody can ask for its size.
_NEEDS = {
    "AVIF": "AVIF needs another Pillow: pip install 'pillow>=11.3'",
    "HEIC": "HEIC needs another package: pip install 'fne-cli[heif]'",
    "JPEG2000": "JPEG 2000 needs a Pillow that was built with it: pip install --force-reinstall pillow",
    "JXL": "JPEG XL is not read; convert it, for example with djxl IMAGE.jxl IMAGE.png",
    "WEBP": "WebP needs a Pillow that was built with it: pip install --force-reinstall pillow",
}
_PARTS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}  # of Pillow, which may be missing


def opener(kind: str) -> str:
    """Pillow's name of a format of `looks_like_image`, once what decodes it is loaded.

    Raises BadImage that says what to install.
    """
    try:
        name = _loaded(kind)
    except ImportError:
        name = None
    if name is None:
        raise BadImage(Status.UNSUPPORTED, _NEEDS[kind])
    return name


@cache
def _loaded(kind: str) -> str | None:
    """Pillow's name, None if this Pillow has no such decoder. Raises ImportError."""
    if kind == "HEIC":
        from pillow_heif import register_heif_opener

        register_heif_opener()
        return "HEIF"
    name = None if kind in _PARTS and not features.check(_PARTS[kind]) else kind
    return name if name in Image.OPEN else None
