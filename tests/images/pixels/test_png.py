"""PNG: what is not the picture may be huge or damaged; what is the picture may not."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from encoded_images import encoded, good, patches, seen
from PIL import Image, ImageCms, PngImagePlugin

from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.png import picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes = b"", wrong: bool = False) -> bytes:
    """PNG 1.2, 3.2: length, type, data, checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ wrong)


def split(content: bytes) -> list[tuple[bytes, bytes]]:
    """Type and data of every chunk."""
    found, start = [], len(SIGNATURE)
    while start < len(content):
        (length,) = struct.unpack(">I", content[start : start + 4])
        found.append((content[start + 4 : start + 8], content[start + 8 : start + 8 + length]))
        start += 12 + length
    return found


def with_chunks(content: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """The PNG with these before its first chunk of that type."""
    place = content.index(before) - 4
    return content[:place] + b"".join(chunks) + content[place:]


BIG = 3 << 20
COMMENTS = {
    "zTXt of 3 MB": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(BIG))),
    "iTXt of 3 MB": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"a" * BIG)),
    "tEXt of 80 MB": chunk(b"tEXt", b"Comment\0" + b"a" * (80 << 20)),
    "profile of 3 MB": chunk(b"iCCP", b"wide\0\0" + zlib.compress(bytes(BIG))),
    "zTXt compressed otherwise": chunk(b"zTXt", b"Comment\0\7nothing"),
    "profile compressed otherwise": chunk(b"iCCP", b"wide\0\7nothing"),
    "short gamma": chunk(b"gAMA", b"\1"),
    "short density": chunk(b"pHYs", b"\1"),
    "text called transparency": chunk(b"tEXt", b"transparency\0none"),
}
COMMENTS |= {
    f"{name} with a wrong checksum": chunk(kind, data, wrong=True)
    for name, kind, data in [
        ("text", b"tEXt", b"Comment\0one"),
        ("compressed text", b"zTXt", b"Comment\0\0" + zlib.compress(b"one")),
        ("international text", b"iTXt", b"Comment\0\0\0\0\0one"),
        ("profile", b"iCCP", b"wide\0\0" + zlib.compress(b"one")),
        ("time", b"tIME", b"1234567"),
        ("gamma", b"gAMA", struct.pack(">I", 45_455)),
        ("EXIF", b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    ]
}


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("comment", COMMENTS)
def test_a_comment_never_costs_the_picture(comment, place):
    image = patches()
    content = with_chunks(encoded(image), COMMENTS[comment], before=place)
    assert np.array_equal(good(content, 32, 40)[0], np.asarray(image))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda: patches().quantize(16), id="palette"),
        pytest.param(lambda: patches().convert("RGBA"), id="RGBA"),
        pytest.param(lambda: patches().convert("LA"), id="LA"),
        pytest.param(lambda: patches().convert("1"), id="1"),
        pytest.param(lambda: Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000), id="16 bits"),
    ],
)
def test_a_picture_of_every_mode_is_pillows_own(image):
    content = encoded(image())
    commented = with_chunks(content, COMMENTS["zTXt of 3 MB"], chunk(b"tEXt", b"a\0b", wrong=True))
    with Image.open(io.BytesIO(picture(commented))) as found, Image.open(io.BytesIO(content)) as whole:
        assert (found.mode, found.size, found.tobytes()) == (whole.mode, whole.size, whole.tobytes())
        assert found.getpalette() == whole.getpalette()


def test_a_real_profile_and_real_comments_change_nothing():
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", "somebody's", zip=True)
    told.add_itxt("Title", "a tïtle", zip=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = patches()
    content = encoded(image, pnginfo=told, icc_profile=profile, dpi=(72, 72))
    assert {name for name, _ in split(content)} >= {b"zTXt", b"iTXt", b"iCCP", b"pHYs"}
    assert [name for name, _ in split(picture(content))] == [b"IHDR", b"IDAT", b"IEND"]
    assert np.array_equal(good(content, 32, 40)[0], np.asarray(image))


def test_a_plain_png_is_not_copied():
    content = encoded(patches())
    assert picture(content) is content


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_the_picture_is_an_error(kind):
    content = encoded(patches().quantize(16), transparency=3)
    start = content.index(kind) - 4
    (length,) = struct.unpack(">I", content[start : start + 4])
    place = start + 8 + length
    decoded = seen(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], 32, 40)
    assert (decoded.status, decoded.message) == (
        Status.DAMAGED,
        f"damaged: the PNG's chunk {kind.decode()} at byte {start} has a wrong checksum",
    )


def test_other_pixels_under_an_old_checksum_are_seen():
    """Pillow does not look at the checksum of pixels."""
    content, other = encoded(Image.new("L", (4, 4), 10)), encoded(Image.new("L", (4, 4), 20))
    mixed = bytearray(other)
    place = {one: data.index(b"IEND") - 8 for one, data in ((0, content), (1, other))}
    mixed[place[1] : place[1] + 4] = content[place[0] : place[0] + 4]
    with Image.open(io.BytesIO(mixed)) as pillow:
        assert np.asarray(pillow).max() == 20
    assert seen(bytes(mixed), 4, 4).status == Status.DAMAGED


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
def test_orientation_in_a_text_still_counts(place, zipped):
    """As ImageMagick writes EXIF into a PNG, and others XMP."""
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = f"\nexif\n{len(raw):8}\n{raw.hex()}\n".encode()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    for part in (
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
        if zipped
        else chunk(b"tEXt", b"Raw profile type exif\0" + text),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0" + (b"\1\0\0\0" + zlib.compress(xmp) if zipped else b"\0\0\0\0" + xmp)),
    ):
        content = with_chunks(encoded(patches()), chunk(b"tEXt", b"x\0y", wrong=True), part, before=place)
        assert np.array_equal(good(content, 40, 32)[0], np.rot90(np.asarray(patches()), -1))
    large = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text + b" " * BIG))
    assert np.array_equal(good(with_chunks(encoded(patches()), large), 32, 40)[0], np.asarray(patches()))


@pytest.mark.parametrize("default", [False, True])
def test_an_animation_is_its_first_picture(default):
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "green", "blue")]
    content = encoded(frames[0], save_all=True, append_images=frames[1:], default_image=default)
    assert b"acTL" in content
    assert (good(content, 5, 6) == (255, 0, 0)).all()


@pytest.mark.slow
def test_a_bomb_in_the_orientation_is_not_unpacked():
    """A gigabyte under a keyword that counts, in a process that may not have one."""
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(1024)), packer.flush()])
    content = with_chunks(
        encoded(patches()),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + packed),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
        chunk(b"iCCP", b"wide\0\0" + packed),
    )
    program = (
        "import resource, sys; from fne_cli.images.pixels.opening import upright; content = sys.stdin.buffer.read()\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29)); print(upright(content, 10**6).size)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=content, capture_output=True, check=False)
    assert done.stdout == b"(40, 32)\n", done.stderr.decode()


def test_cut_anywhere_it_is_pillows_judgement():
    image = patches()
    content = with_chunks(encoded(image), COMMENTS["short gamma"])
    for cut in range(0, len(content), 3):
        decoded = seen(content[:cut], 32, 40)
        assert decoded.status != Status.GOOD or np.array_equal(decoded.pixels[0], np.asarray(image)), cut
