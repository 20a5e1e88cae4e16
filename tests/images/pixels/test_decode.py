"""Decoding: what a person sees is what the network gets. What hostile files do is in test_hostile.py."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encoded_images import LOSSLESS, LOSSY, encoded, good, patches, seen
from PIL import Image, ImageOps, TiffTags, UnidentifiedImageError

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.decode import decode, decoded_parts
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.reading import MAX_BYTES, read_file

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

TAGS = {name: number for number, name in TiffTags.TAGS.items()}


def numbered(height: int, width: int) -> np.ndarray:
    """Pixels that say where they are: red is the column, green the row."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([columns, rows, np.full_like(rows, 7)], axis=2)


# What a person sees


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_very_pixels(kind):
    image = patches()
    assert np.array_equal(good(encoded(image, kind, **LOSSLESS[kind]), 32, 40)[0], np.asarray(image))


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_give_nearly_the_pixels(kind):
    image = Image.new("RGB", (40, 32), (200, 100, 50))
    assert np.abs(good(encoded(image, kind, quality=95), 32, 40)[0].astype(int) - (200, 100, 50)).max() <= 4


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(good(content, 4, 4).astype(int) - (255, 0, 0)).max() <= 3, kind


def upright_by_hand(stored: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF 2.32, 4.6.4 A: where row 0 and column 0 of the stored image are in the picture."""
    return {
        1: stored,  # top, left
        2: stored[:, ::-1],  # top, right
        3: stored[::-1, ::-1],  # bottom, right
        4: stored[::-1],  # bottom, left
        5: stored.swapaxes(0, 1),  # left, top
        6: np.rot90(stored, -1),  # right, top
        7: stored[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: np.rot90(stored, 1),  # left, bottom
    }[orientation]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation, kind):
    stored = numbered(3, 5) * np.uint8(40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(stored), kind, exif=exif, **LOSSLESS[kind])
    expected = upright_by_hand(stored, orientation)
    found = good(content, *expected.shape[:2])[0]
    assert np.array_equal(found, expected)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(found, np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02aa\0\0\0\0\0\0",  # orientation is the text "aa"
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",  # orientation 99
    ],
)
def test_damaged_exif_leaves_an_image_as_it_is_stored(exif):
    image = Image.new("L", (6, 4), 130)
    assert np.abs(good(encoded(image, "JPEG", exif=exif), 4, 6).astype(int) - 130).max() <= 2


def grey_alpha() -> Image.Image:
    return Image.merge("LA", [Image.new("L", (2, 2), 100), Image.new("L", (2, 2), 51)])


def palette(transparency: object = None) -> bytes:
    """Palette entries 0 red, 1 green; top row 0, bottom row 1."""
    image = Image.new("P", (2, 2))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 0, 1, 1])
    return encoded(image) if transparency is None else encoded(image, transparency=transparency)


# (bytes, colour of the top row, colour of the bottom row). 51 is a fifth of 255: 100 on white is 0.2 * 100 + 0.8 * 255.
MODES: dict[str, tuple[Callable[[], bytes], object, object]] = {
    "L": (lambda: encoded(Image.new("L", (2, 2), 77)), 77, 77),
    "1": (lambda: encoded(Image.fromarray(np.array([[True, True], [False, False]]))), 255, 0),
    "LA": (lambda: encoded(grey_alpha()), 224, 224),
    "L with a transparent value": (lambda: encoded(Image.new("L", (2, 2), 9), transparency=9), 255, 255),
    "RGB with a transparent value": (
        lambda: encoded(Image.fromarray(numbered(2, 1).repeat(2, 1)), transparency=(0, 0, 7)),
        255,
        (0, 1, 7),
    ),
    "RGBA": (lambda: encoded(Image.new("RGBA", (2, 2), (0, 100, 255, 51))), (204, 224, 255), (204, 224, 255)),
    "RGBA, all transparent": (lambda: encoded(Image.new("RGBA", (2, 2), (3, 4, 5, 0))), 255, 255),
    "P": (palette, (255, 0, 0), (0, 255, 0)),
    "P with a transparent entry": (lambda: palette(0), 255, (0, 255, 0)),
    "P with opacities": (lambda: palette(b"\xff\x33"), (255, 0, 0), (204, 255, 204)),
    "CMYK": (lambda: encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF"), (255, 0, 0), (255, 0, 0)),
    "LAB": (lambda: encoded(Image.new("LAB", (2, 2), (255, 128, 128)), "TIFF"), 255, 255),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_what_a_person_sees(mode):
    content, top, bottom = MODES[mode]
    found = good(content(), 2, 2)[0].astype(int)
    assert np.abs(found[0] - top).max() <= 1
    assert np.abs(found[1] - bottom).max() <= 1


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 255, 255, 0), (255, 0, 0))],
)
def test_cmyk_jpeg(ink, colour):
    content = encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
    assert np.abs(good(content, 16, 16).astype(int) - colour).max() <= 3


# 16-bit value -> 8-bit: 65535 is white, and 257 is one step
SIXTEEN = {0: 0, 128: 0, 129: 1, 256: 1, 257: 1, 25_700: 100, 32_768: 128, 65_406: 254, 65_407: 255, 65_535: 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000", "PPM"])
def test_16_bits_are_scaled_not_clipped(kind):
    values = np.array([list(SIXTEEN)], np.uint16)
    found = good(encoded(Image.fromarray(values), kind), 1, len(SIXTEEN))[0, 0]
    assert found.tolist() == [[value] * 3 for value in SIXTEEN.values()]


def test_16_bit_transparent_value_is_white():
    values = np.array([[257, 514]], np.uint16)
    assert good(encoded(Image.fromarray(values), transparency=514), 1, 2)[0, 0, :, 0].tolist() == [1, 255]


def tiff(width: int, data: bytes, bits: int = 16, **changes: tuple[int, int, int]) -> bytes:
    """A little-endian TIFF of one row, as Pillow cannot write it (TIFF 6.0, section 2). changes: type, count, value."""
    plain = {"ImageWidth": width, "ImageLength": 1, "BitsPerSample": bits, "Compression": 1, "StripOffsets": 8}
    plain |= {"PhotometricInterpretation": 1, "SamplesPerPixel": 1, "RowsPerStrip": 1, "StripByteCounts": len(data)}
    fields = {name: (4, 1, value) for name, value in plain.items()} | changes
    entries = sorted((TAGS[name], *field) for name, field in fields.items())
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory + bytes(4)


def test_16_bit_tiff_whose_zero_is_white():
    data = np.array([0, 257, 65_535], "<u2").tobytes()
    assert good(tiff(3, data), 1, 3)[0, 0, :, 0].tolist() == [0, 1, 255]
    inverse = tiff(3, data, PhotometricInterpretation=(4, 1, 0))
    assert good(inverse, 1, 3)[0, 0, :, 0].tolist() == [255, 254, 0]


def test_12_bit_tiff():
    assert good(tiff(4, b"\xff\xf8\x00\x00\x00\x00", bits=12), 1, 4)[0, 0, :, 0].tolist() == [255, 128, 0, 0]


def test_grey_tiff_multiplied_by_its_opacity():
    content = tiff(
        1, bytes([20, 51]), BitsPerSample=(3, 2, 8 | 8 << 16), SamplesPerPixel=(4, 1, 2), ExtraSamples=(4, 1, 1)
    )
    try:
        Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        with pytest.raises(AssertionError):  # a Pillow that does not know it: a bad image like any other
            good(content, 1, 1)
        return
    assert good(content, 1, 1).ravel().tolist() == [224] * 3  # 20 + 0.8 * 255


@pytest.mark.parametrize("maxval", [255, 1023, 65_535])
def test_pgm_of_any_depth(maxval):
    sample = ">u1" if maxval < 256 else ">u2"
    content = b"P5 3 1 %d\n" % maxval + np.array([0, maxval // 2, maxval], sample).tobytes()
    assert np.abs(good(content, 1, 3)[0, 0, :, 0].astype(int) - (0, 127, 255)).max() <= 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: encoded(Image.new("F", (2, 2), 0.5), "TIFF"), id="float"),
        pytest.param(lambda: encoded(Image.new("I", (2, 2), 70_000), "TIFF"), id="32 bits"),
        pytest.param(lambda: encoded(Image.new("I", (2, 2), 3), "TIFF"), id="32 bits, small values"),
        pytest.param(lambda: tiff(1, b"\xff\xff", SampleFormat=(4, 1, 2)), id="signed"),
        pytest.param(lambda: b"Pf 1 1 -1.0\n" + struct.pack("<f", 0.5), id="PFM"),
    ],
)
def test_pixels_without_a_known_white_are_refused(content):
    decoded = seen(content(), 2, 2)
    assert decoded.status == Status.UNSUPPORTED
    assert "no known white" in decoded.message


def test_box_is_in_the_upright_image():
    stored = numbered(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(stored), exif=exif)
    decoded = decode(lambda: content, Geometry(8, 5), np.array([2.0, 10.0, 7.0, 18.0]))
    assert np.array_equal(decoded.pixels[0], np.rot90(stored, -1)[10:18, 2:7])


# Reduced


def photograph(width: int, height: int, orientation: int = 1, kind: str = "JPEG") -> bytes:
    """A ramp to the right and one downwards, which every codec keeps, in a stored image of this size."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns * 200 // width, rows * 200 // height, np.full_like(rows, 90)], axis=2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else LOSSLESS[kind]
    return encoded(Image.fromarray(pixels.astype(np.uint8)), kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("side", "divisor"), [(20, 4), (40, 2), (49, 1), (11, 8)])
def test_a_reduced_jpeg_is_pillows_draft(side, divisor, orientation):
    content = photograph(128, 96, orientation)
    with Image.open(io.BytesIO(content)) as image:
        image.draft(None, (128 // divisor, 96 // divisor))
        assert image.size == (128 // divisor, 96 // divisor)
        upright = ImageOps.exif_transpose(image)
    expected = upright.resize((side, side), Image.Resampling.BILINEAR)
    found = decode(lambda: content, Geometry(side, side, decode="reduced"))
    assert np.array_equal(found.pixels[0], np.asarray(expected))
    assert found.sha256 == decode(lambda: content, Geometry(side, side)).sha256


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("box", [None, [13.0, 30.0, 70.5, 69.0]])
def test_a_size_that_is_no_multiple_shifts_nothing(orientation, resize, box):
    content, where = photograph(125, 99, orientation), None if box is None else np.array(box)
    full, reduced = (
        decode(lambda: content, Geometry(10, 10, resize, decode=how), where).pixels[0].astype(int)
        for how in ("full", "reduced")
    )
    # Without a box 3 columns and 5 rows of a reduced pixel's 8 are not there: 5 and 10 values of the ramps.
    assert 0 < np.abs(full - reduced).max() <= 3
    assert np.abs(full - reduced).mean() < 1


def test_a_part_is_decoded_as_far_as_it_needs_itself():
    content = photograph(128, 96)
    boxes = [np.array(box, float) for box in ([0, 0, 128, 96], [3, 3, 20, 20], [60, 10, 100, 50], [200, 0, 210, 5])]
    geometry = Geometry(9, 9, decode="reduced")
    together = decoded_parts(lambda: content, geometry, boxes)
    for part, box in zip(together, boxes, strict=True):
        alone = decode(lambda: content, geometry, box)
        assert np.array_equal(part.pixels, alone.pixels)
        assert (part.status, part.message) == (alone.status, alone.message)
    assert together[-1].message == "the box 200,0,210,5 is outside the 128 x 96 image"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_are_decoded_in_full(kind):
    content = photograph(128, 96, kind=kind)
    full, reduced = (decode(lambda: content, Geometry(9, 9, decode=how)).pixels for how in ("full", "reduced"))
    assert np.array_equal(full, reduced)


def test_a_reduced_image_may_be_damaged_or_too_large_as_any_other():
    content = photograph(128, 96)
    for broken in (content[:300], content[:-400], b"\xff\xd8\xff" + b"nothing"):
        full, reduced = (decode(lambda: broken, Geometry(9, 9, decode=how)) for how in ("full", "reduced"))  # noqa: B023
        assert (full.status, full.message) == (reduced.status, reduced.message)
    decoded = decode(lambda: content, Geometry(9, 9, max_pixels=12_000, decode="reduced"))
    assert decoded.status == Status.TOO_LARGE


# Reading files


def bad_status(path: object, *span: int) -> tuple[Status, str]:
    with pytest.raises(BadImage) as caught:
        read_file(str(path), *span)
    return caught.value.status, str(caught.value)


def test_read_file_reads_a_span_as_far_as_it_goes(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    assert read_file(str(path)) == b"0123456789"
    assert read_file(str(path), 3, 4) == b"3456"
    assert read_file(str(path), 8, 1 << 62) == b"89"
    assert read_file(str(path), 50, 4) == b""


def test_what_is_no_regular_file_is_unreadable_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "loop", tmp_path / "file" / "inside", Path("/dev/zero")):
        assert bad_status(path)[0] == Status.UNREADABLE, path
    assert bad_status(tmp_path / "absent") == (Status.MISSING, "no such file")


def test_no_file_stays_open(tmp_path):
    for _ in range(3):
        bad_status(tmp_path)
    numbers = os.listdir("/proc/self/fd")
    open_files = [os.path.realpath(f"/proc/self/fd/{number}") for number in numbers]
    assert [path for path in open_files if path.startswith(str(tmp_path))] == []  # earlier tests may have left others


def test_forbidden_file(ordinary_folder):
    path = ordinary_folder / "f"
    path.write_bytes(b"x")
    path.chmod(0)
    assert bad_status(path) == (Status.UNREADABLE, "cannot be read: Permission denied")


def test_file_larger_than_any_image_is_not_read(tmp_path):
    path = tmp_path / "disk.jpg"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)  # sparse
    assert bad_status(path)[0] == Status.TOO_LARGE
