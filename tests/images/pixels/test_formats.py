"""What a file is by its first bytes: files that others wrote, and files that only begin like them."""

from __future__ import annotations

import contextlib
import struct

import pytest
from encoded_images import LOSSY, encoded, patches

from fne_cli.images.lists import listing
from fne_cli.images.pixels import formats
from fne_cli.images.pixels.formats import looks_like_image, may_be_image

SAME_START = {"MPO": "JPEG", "TGA": None, "DIB": None}
KINDS = ["BMP", "DIB", "GIF", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP", *LOSSY]


@pytest.mark.parametrize("kind", KINDS)
def test_what_pillow_writes_is_known_by_64_bytes(kind):
    assert looks_like_image(encoded(patches(), kind)[:64]) == SAME_START.get(kind, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_pillow_writes_may_be_an_image(kind):
    for mode in ("1", "L", "P", "RGB"):
        with contextlib.suppress(OSError):  # a format without this mode
            assert may_be_image(encoded(patches().convert(mode), kind)[:64]), mode
    assert may_be_image(encoded(patches(), "TGA", compression="tga_rle")[:64])


@pytest.mark.parametrize("head", [b"", bytes(64), b"EFI PART" + bytes(56), b"\xeb\x63\x90" + bytes(61), b"<svg" * 16])
def test_disks_and_texts_may_not(head):
    assert not may_be_image(head)


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_portable_maps_of_every_depth(mode):
    assert looks_like_image(encoded(patches().convert(mode), "PPM")) == "PPM"


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    """ISO 14496-12, 4.3: the box that such files begin with."""
    return (
        struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", major, 0) + b"".join(compatible) + b"mif1 avif heic"
    )


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (ftyp(b"heic", b"mif1", b"heic"), "HEIC"),
        (ftyp(b"heix", b"mif1", b"miaf"), "HEIC"),
        (ftyp(b"mif1", b"heic"), "HEIC"),
        (ftyp(b"mif1"), "HEIC"),
        (ftyp(b"avif", b"mif1", b"miaf"), "AVIF"),
        (ftyp(b"avis", b"msf1"), "AVIF"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
        (ftyp(b"isom", b"avc1", b"mp42"), None),  # a film
        (ftyp(b"qt  "), None),
        (ftyp(b"crx ", b"isom"), None),  # Canon's raw images
        (b"\xff\x0a\xfa\x7f\x01", "JXL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "JXL"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG2000"),
        (b"MM\0+\0\x08\0\0", "TIFF"),
        (b"P6 # made by hand\n1 1 255\n", "PPM"),
    ],
)
def test_starts_by_the_standards(head, name):
    assert looks_like_image(head) == name


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\xff", b"\xff\xd8", b"GIF", b"BM", b"BMW, the list of cars that we know\n", b"P5 is a processor",
        b"RIFF\x24\0\0\0WAVEfmt ", b"%PDF-1.7", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"<svg xmlns=", b"\0" * 64,
        b"\xff\xfea\0b\0", b"....ftyp", b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0",
    ],
)  # fmt: skip
def test_other_files_are_not_taken_for_images(head):
    assert looks_like_image(head) is None


def test_every_ending_of_the_listing_is_an_image_format():
    assert listing.ENDINGS <= formats.ENDINGS
    assert {".mpo", ".apng", ".jxl", ".heic", ".avif"} <= formats.ENDINGS
    assert all(ending == ending.lower() and ending.startswith(".") for ending in formats.ENDINGS)
