"""Formats that this Pillow may not have: decoded where it can be done, else a message that says what to install."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
from encoded_images import encoded, good, patches, seen
from PIL import Image, features

from fne_cli.images.pixels import plugins
from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.formats import looks_like_image


@pytest.fixture
def heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


@pytest.fixture
def anew():
    """Plugins are looked for again, before and after the test."""
    plugins._loaded.cache_clear()
    yield
    plugins._loaded.cache_clear()


def lossless(image: Image.Image, **options: object) -> bytes:
    """As HEIC, with an error of 1 at most, which is that of YCbCr."""
    return encoded(image, "HEIF", quality=-1, chroma=444, **options)


@pytest.mark.usefixtures("heif")
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_heic_gives_the_pixels(mode):
    image = patches().convert(mode)
    content = lossless(image)
    assert looks_like_image(content[:64]) == "HEIC"
    found = good(content, 32, 40)[0]
    assert np.abs(found.astype(int) - np.asarray(image.convert("RGB"))).max() <= 1
    with Image.open(io.BytesIO(content)) as pillow:
        assert np.array_equal(found, np.asarray(pillow.convert("RGB")))


@pytest.mark.usefixtures("heif")
def test_transparent_heic_is_put_on_white():
    content = lossless(Image.new("RGBA", (16, 16), (0, 100, 255, 51)))
    assert np.abs(good(content, 16, 16)[0].astype(int) - (204, 224, 255)).max() <= 2


@pytest.mark.usefixtures("heif")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = lossless(patches(), exif=exif.tobytes())
    plain = io.BytesIO()
    patches().save(plain, "PNG", exif=exif)
    expected = good(plain.getvalue(), *((40, 32) if orientation > 4 else (32, 40)))
    found = good(content, *expected.shape[1:3])
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.usefixtures("heif")
def test_large_or_damaged_heic_is_a_bad_image():
    content = lossless(patches())
    assert seen(content, 4, 4, max_pixels=100).status == Status.TOO_LARGE
    whole = good(content, 32, 40)
    for cut in range(0, len(content), 7):
        decoded = seen(content[:cut], 32, 40)
        assert decoded.status in (Status.EMPTY, Status.DAMAGED, Status.NOT_AN_IMAGE) or (
            decoded.status == Status.GOOD and np.array_equal(decoded.pixels, whole)
        )
    random = np.random.default_rng(3)
    for _ in range(100):
        broken = bytearray(content)
        for place in random.integers(0, len(content), 3):
            broken[place] = random.integers(256)
        assert seen(bytes(broken), 5, 7, max_pixels=1 << 20).pixels.shape == (1, 5, 7, 3)


HEIC = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic") + bytes(40)


@pytest.mark.usefixtures("anew")
def test_heic_without_its_package_is_called_heic(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    decoded = seen(HEIC, 4, 4)
    assert (decoded.status, decoded.message) == (
        Status.UNSUPPORTED,
        "HEIC needs another package: pip install 'fne-cli[heif]'",
    )


def test_jpeg_xl_is_called_so():
    decoded = seen(b"\xff\x0a\xfa\x7f\x01\x90\x08\x06\x01", 4, 4)
    assert decoded.status == Status.UNSUPPORTED
    assert decoded.message.startswith("JPEG XL is not read; convert it")


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(("kind", "part"), [("AVIF", "avif"), ("WEBP", "webp"), ("JPEG2000", "jpg_2000")])
def test_a_pillow_without_a_decoder(monkeypatch, kind, part):
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name != part and check(name))
    with pytest.raises(BadImage, match=r"needs .*: pip install"):
        plugins.opener(kind)


def test_what_pillow_always_has():
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM"):
        assert plugins.opener(kind) == kind


def test_mpo_is_its_first_picture():
    first = Image.new("RGB", (16, 16), (200, 100, 50))
    content = encoded(first, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))], quality=95)
    with Image.open(io.BytesIO(content)) as pillow:
        assert (pillow.format, pillow.n_frames) == ("MPO", 2)
        assert np.array_equal(good(content, 16, 16)[0], np.asarray(pillow))


def test_a_header_that_breaks_off_is_damaged_and_says_as_what_it_began():
    decoded = seen(encoded(patches(), "GIF")[:9], 4, 4)
    assert (decoded.status, decoded.message) == (Status.DAMAGED, "damaged: it begins as GIF, but cannot be read on")
