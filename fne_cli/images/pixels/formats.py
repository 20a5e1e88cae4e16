"""Which formats of images there are: how a file of each begins, what its name ends in, and what decodes it."""

from __future__ import annotations

import re

# All endings of image files that we take, with a dot and in lower case.
ENDINGS = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", ".heic", ".heif", ".jxl", ".tga",
])  # fmt: skip

_STARTS = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),  # of MPO, too, which is several of them
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),  # of APNG, too
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    # two letters are no proof: the length of the next header is one of those that there are
    ("BMP", re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
    ("PPM", re.compile(rb"P[1-6]\s+(?:#|\d+\s)")),
    ("JPEG2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
    ("JXL", re.compile(rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a")),
)
# TGA: is there a colour map, which type, thirteen bytes, bits of a pixel. DIB: the length of its header.
_WITHOUT_START = re.compile(
    rb".[\0\1][\1-\3\x09-\x0b].{13}[\x01\x08\x0f\x10\x18\x20]|[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL
)
_HEIF = re.compile(rb"(.{4})ftyp(.{4}).{4}", re.DOTALL)  # ISO 14496-12: length, type, major brand, version; brands
_AVIF_BRANDS = frozenset([b"avif", b"avis"])
_HEIC_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])
_ANY_BRANDS = frozenset([b"mif1", b"mif2", b"msf1"])  # whatever is inside


def looks_like_image(head: bytes) -> str | None:
    """The format of a file by its first bytes (64 are enough), such as "JPEG" or "HEIC"; None if it is none of ours.

    TGA and DIB begin with nothing that tells, so that only their endings do.
    """
    for name, start in _STARTS:
        if start.match(head):
            return name
    return _heif(head)


def may_be_image(head: bytes) -> bool:
    """Whether a file with these first bytes may be an image of ours, TGA and DIB among them."""
    return looks_like_image(head) is not None or bool(_WITHOUT_START.match(head))


def not_an_image(size: int, head: bytes) -> str:
    """What is said of a file of `size` bytes that is no image."""
    return f"not an image: {size} bytes that begin {head[:8]!r}"


def _heif(head: bytes) -> str | None:
    """AVIF or HEIC: what is compatible decides where the major brand says only that there are images."""
    box = _HEIF.match(head)
    if box is None:
        return None
    length, major = int.from_bytes(box[1], "big"), box[2]
    compatible = {head[place : place + 4] for place in range(16, min(length, len(head)), 4)}
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIC_BRANDS:
        return "HEIC"
    if compatible & _AVIF_BRANDS and major in _ANY_BRANDS:
        return "AVIF"
    return "HEIC" if compatible & _HEIC_BRANDS or major in _ANY_BRANDS else None
