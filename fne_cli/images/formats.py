"""Which format a file has, by its first bytes."""

from __future__ import annotations

import re

_STARTS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",  # and the size of its second header: texts begin so, too
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "WEBP": rb"RIFF.{4}WEBP",
    "PPM": rb"P[1-6]\s+(?:#|\d+\s)",
    "JPEG2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIC": rb".{4}ftyp(?:hei[cx]|hev[cx]|mif1|msf1)",
    "JXL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
}
_PATTERNS = {name: re.compile(start, re.DOTALL) for name, start in _STARTS.items()}


def looks_like_image(head: bytes) -> str | None:
    """The format of an image file that begins with these bytes (32 are enough), None if it is none that is known."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(head)), None)
