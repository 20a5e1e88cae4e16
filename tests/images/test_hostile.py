"""Hostile and damaged images: a status and a message, never an exception, and never wrong pixels as good ones."""

from __future__ import annotations

import functools
import hashlib
import struct
import zlib

import numpy as np
import pytest
from encoded_images import LOSSLESS, LOSSY, encoded, good, patches, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.decode import Decoded, decode
from fne_cli.images.pixels.geometry import Geometry

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def check_sound(decoded: Decoded, content: bytes, shape: tuple[int, ...]) -> None:
    """What holds for any bytes: a status with its message, pixels of the right shape, zeros unless good."""
    assert decoded.pixels.shape == shape
    assert decoded.pixels.dtype == np.uint8
    assert decoded.sha256 == hashlib.sha256(content).hexdigest()
    if decoded.status == Status.GOOD:
        assert decoded.message == ""
        return
    assert not decoded.pixels.any()
    assert decoded.message.isprintable()  # one line, no NUL, no half characters
    assert decoded.message
    assert " at 0x" not in decoded.message


def test_zero_bytes():
    decoded = seen(b"", 3, 5, crops=10)
    assert (decoded.status, decoded.message) == (Status.EMPTY, "0 bytes")
    check_sound(decoded, b"", (10, 3, 5, 3))


@pytest.mark.parametrize(
    "content",
    [
        b"hello world, this is text",
        bytes(1000),
        b"%PDF-1.7\n",
        encoded(Image.new("RGB", (4, 4)), "EPS"),  # would start Ghostscript
        encoded(Image.new("RGB", (32, 32)), "ICO"),
        encoded(Image.new("RGB", (4, 4)), "PCX"),
    ],
)
def test_other_files_are_not_images(content):
    decoded = seen(content, 3, 5)
    assert decoded.status == Status.NOT_AN_IMAGE
    assert decoded.message.startswith(f"not an image: {len(content)} bytes that begin b'")
    check_sound(decoded, content, (1, 3, 5, 3))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + b"".join(chunks)
    )


def test_too_many_pixels_are_refused_before_decoding():
    decoded = seen(png_of(50_000, 40_000, png_chunk(b"IDAT", zlib.compress(b"no such pixels"))), 4, 4)
    assert decoded.status == Status.TOO_LARGE
    assert decoded.message == "50000 x 40000 pixels, more than the limit of 178956970 (--max-pixels)"


def test_max_pixels_is_the_largest_allowed_number():
    content = encoded(Image.new("RGB", (10, 12)))
    assert seen(content, 4, 4, max_pixels=120).status == Status.GOOD
    assert seen(content, 4, 4, max_pixels=119).status == Status.TOO_LARGE


def test_gif_frame_larger_than_its_screen_counts_with_its_own_size():
    content = bytearray(encoded(Image.new("L", (2, 2)), "GIF"))
    frame = content.index(b",\0\0\0\0")
    content[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    assert seen(bytes(content), 4, 4).status == Status.TOO_LARGE


def test_compressed_text_is_never_unpacked():
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30_000_000)))
    content = png_of(1, 1, bomb, png_chunk(b"IDAT", zlib.compress(b"\0\0")), png_chunk(b"IEND", b""))
    assert good(content, 4, 4).max() == 0  # the one black pixel; tests of such chunks are in test_png.py


def test_not_enough_memory_is_the_images_fault():
    def read() -> bytes:
        raise MemoryError

    decoded = decode(read, Geometry(2, 2))
    assert (decoded.status, decoded.message, decoded.sha256) == (Status.TOO_LARGE, "not enough memory to decode it", "")


@functools.cache
def samples() -> dict[str, bytes]:
    """A small image in every format and kind of compression."""
    image = patches()
    files = {kind: encoded(image, kind, **LOSSLESS[kind]) for kind in LOSSLESS}
    files |= {kind: encoded(image, kind) for kind in LOSSY}
    files["progressive"] = encoded(image, "JPEG", progressive=True)
    files["GIF"] = encoded(image.quantize(16), "GIF")
    files["raw TIFF"] = encoded(image, "TIFF")
    files["fax"] = encoded(image.convert("1"), "TIFF", compression="group4")
    return files


@pytest.mark.parametrize("kind", sorted(samples().keys() - {"JPEG2000"}))  # it has parts that may be missing
def test_truncated_image_is_bad_or_whole_after_all(kind):
    content = samples()[kind]
    whole = good(content, 16, 16)
    for cut in {*range(0, len(content), 11), *range(len(content) - 20, len(content))}:
        decoded = seen(content[:cut], 16, 16)
        check_sound(decoded, content[:cut], (1, 16, 16, 3))
        assert decoded.status != Status.GOOD or np.array_equal(decoded.pixels, whole), cut
    assert seen(content[: len(content) // 2], 16, 16).status in (Status.DAMAGED, Status.NOT_AN_IMAGE)


@pytest.mark.parametrize("kind", sorted(samples()))
def test_flipped_bits_never_raise(kind):
    random = np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(samples()[kind])
        reach = random.choice([32, 128, len(content)])  # headers as often as pixels
        for place in random.integers(0, min(reach, len(content)), random.integers(1, 6)):
            content[place] ^= 1 << random.integers(8)
        decoded = seen(bytes(content), 5, 7, max_pixels=1 << 20)
        check_sound(decoded, bytes(content), (1, 5, 7, 3))


MAGIC = [content[:length] for content in samples().values() for length in (2, 4, 12, 30)]


@given(start=st.sampled_from([b"", *MAGIC]), rest=st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_random_bytes_never_raise(start, rest):
    check_sound(seen(start + rest, 3, 2, crops=5, max_pixels=1 << 20), start + rest, (5, 3, 2, 3))


def test_messages_can_be_stored_and_are_the_same_in_every_run():
    def read() -> bytes:
        raise BadImage(Status.DAMAGED, "<_io.BytesIO object at 0x7f00c0ffee>\0 said:\n\t\ud800 half")

    assert decode(read, Geometry(2, 2)).message == "<_io.BytesIO object> said: \\ud800 half"
