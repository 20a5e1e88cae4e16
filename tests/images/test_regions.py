"""Regions: which boxes they are, and that sizes are those of upright images, without decoding."""

from __future__ import annotations

import io
import itertools
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import write_image
from PIL import Image, PngImagePlugin

from fne_cli.errors import BadInput
from fne_cli.images.lists.source import list_images
from fne_cli.images.pixels import opening
from fne_cli.images.pixels.geometry import MAX_PIXELS
from fne_cli.images.pixels.opening import upright, upright_size
from fne_cli.images.regions import MOST, Windows, divided

SIDES = st.integers(1, 400)


def ignored(_: int) -> None:
    """Nobody looks at the progress."""


def test_sliding_windows_by_hand():
    """Level 2 of 90 x 60: 60 x 40, half of that from each other. Level 3: 45 x 30, by 22.5 (outwards) and 15."""
    boxes = Windows("sliding", 3).boxes(90, 60)
    assert boxes[0] == (0, 0, 90, 60)
    assert boxes[1:5] == [(0, 0, 60, 40), (30, 0, 90, 40), (0, 20, 60, 60), (30, 20, 90, 60)]
    assert boxes[5:8] == [(0, 0, 45, 30), (22, 0, 68, 30), (45, 0, 90, 30)]
    assert len(boxes) == 1 + 4 + 9


def test_levels_that_are_named_are_those_of_all_levels():
    """The windows of levels 2 and 4 of 1 ... 4: after the first, and after 1 + 4 + 9."""
    every = Windows("sliding", 4).boxes(90, 60)
    assert Windows("sliding", (4, 2, 4)).boxes(90, 60) == every[1:5] + every[14:]
    assert str(Windows("sliding", (4, 2, 4))) == "sliding:2,4"


def test_a_grid_by_hand():
    assert Windows("grid", 2).boxes(5, 4) == [(0, 0, 2, 2), (2, 0, 5, 2), (0, 2, 2, 4), (2, 2, 5, 4)]
    assert Windows("grid", 1).boxes(5, 4) == Windows("sliding", 1).boxes(5, 4) == [(0, 0, 5, 4)]


@given(st.integers(1, 6), SIDES, SIDES)
def test_cells_of_a_grid_are_every_pixel_once(count, width, height):
    covered = np.zeros((height, width), int)
    for x0, y0, x1, y1 in Windows("grid", count).boxes(width, height):
        covered[int(y0) : int(y1), int(x0) : int(x1)] += 1
    assert (covered == 1).all()


@given(st.integers(1, 6), st.integers(20, 400), st.integers(20, 400))
def test_windows_of_a_level_are_of_one_size_and_cover_the_image(count, width, height):
    boxes = iter(Windows("sliding", count).boxes(width, height))
    for level in range(1, count + 1):
        own = np.array(list(itertools.islice(boxes, level * level)))
        assert own[:, :2].min() == 0
        assert (own[:, 2].max(), own[:, 3].max()) == (width, height)
        sides = own[:, 2:] - own[:, :2]
        share = 2 / (level + 1)
        assert (np.abs(sides - share * np.array([width, height])) < 2).all()
        covered = np.zeros((height, width), bool)
        for x0, y0, x1, y1 in own.astype(int):
            covered[y0:y1, x0:x1] = True
        assert covered.all()
    assert next(boxes, None) is None


@given(st.sampled_from(["sliding", "grid"]), st.integers(1, MOST), st.integers(1, 3), st.integers(1, 3))
def test_tiny_images_have_no_region_twice_and_none_without_pixels(arrangement, count, width, height):
    boxes = Windows(arrangement, count).boxes(width, height)
    assert len(set(boxes)) == len(boxes) > 0
    assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in boxes)


@pytest.mark.parametrize(
    ("arrangement", "count"),
    [("sliding", 0), ("grid", MOST + 1), ("spiral", 2), ("grid", (2, 3)), ("sliding", (4, MOST + 1))],
)
def test_other_regions_are_refused(arrangement, count):
    with pytest.raises(BadInput, match=r"sliding:LEVEL,LEVEL or grid:COUNT, with numbers from 1 to 32\. Found: "):
        Windows(arrangement, count)


@pytest.fixture
def never_decoded(monkeypatch):
    """Asking for the pixels of any image is an error until the fixture's function is called."""

    def refuse(*_):
        raise AssertionError("decoded")

    with monkeypatch.context() as only:
        for kind in {type(image) for image in map(opened, ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "AVIF"))}:
            only.setattr(kind, "load", refuse)
        yield only.undo


def opened(kind: str) -> Image.Image:
    return Image.open(io.BytesIO(written(kind, 1)))


def written(kind: str, orientation: int, size: tuple[int, int] = (40, 24)) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 99, 9)).save(buffer, kind, **({} if kind in ("GIF", "BMP") else {"exif": exif}))
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "AVIF"])
def test_the_size_is_that_of_the_upright_image_and_nothing_is_decoded(kind, orientation, never_decoded):
    content = written(kind, orientation)
    size = upright_size(content, MAX_PIXELS)
    never_decoded()
    assert size == upright(content, MAX_PIXELS).size


@pytest.mark.parametrize("where", ["a chunk behind the pixels", "a profile", "XMP"])
def test_pngs_that_say_elsewhere_which_way_is_up(where, never_decoded):
    if where == "a chunk behind the pixels":
        chunks = chunks_of(written("PNG", 6))
        exif = next(chunk for chunk in chunks if chunk[4:8] == b"eXIf")
        rest = [chunk for chunk in chunks if chunk is not exif]
        content = b"".join([b"\x89PNG\r\n\x1a\n", *rest[:-1], exif, rest[-1]])
    else:
        text = PngImagePlugin.PngInfo()
        if where == "XMP":
            text.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta><a tiff:Orientation="6"/></x:xmpmeta>')
        else:
            exif = Image.Exif()
            exif[0x0112] = 6
            content = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
            text.add_text("Raw profile type exif", f"\nexif\n{len(content):8}\n{content.hex()}\n", zip=True)
        buffer = io.BytesIO()
        Image.new("RGB", (40, 24)).save(buffer, "PNG", pnginfo=text)
        content = buffer.getvalue()
    size = upright_size(content, MAX_PIXELS)
    never_decoded()
    assert size == upright(content, MAX_PIXELS).size == (24, 40)


def chunks_of(content: bytes) -> list[bytes]:
    found, place = [], 8
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        found.append(content[place:end])
        place = end
    return found


def test_a_photograph_is_read_as_far_as_its_size_stands(tmp_path, monkeypatch):
    """With much before it, all of it is read."""
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 8
    noise = np.random.default_rng(0).integers(0, 256, (800, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a/1.jpg", quality=95, exif=exif)
    Image.fromarray(noise).save(tmp_path / "a/2.jpg", exif=exif, icc_profile=bytes(400_000))
    read = []
    monkeypatch.setattr("fne_cli.images.regions.upright_size", lambda content, most: read.append(len(content)) or
                        opening.upright_size(content, most))  # fmt: skip
    parts = divided(list_images(str(tmp_path)), Windows("grid", 1), ignored)
    assert parts.listing.boxes.tolist() == [[0, 0, 800, 600]] * 2
    assert read == [1 << 18, 1 << 18, (tmp_path / "a/2.jpg").stat().st_size]


def test_images_that_cannot_be_opened_stay_one_row(tmp_path):
    write_image(tmp_path / "a" / "1.png", 1, (20, 16))
    (tmp_path / "a" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "a" / "3.jpg").write_bytes(b"")
    parts = divided(list_images(str(tmp_path)), Windows("grid", 2), ignored)
    assert parts.bad == ["a/2.png", "a/3.jpg"]
    assert parts.listing.ids[3:] == ["a/1.png#10,8,20,16", "a/2.png", "a/3.jpg"]
    assert parts.whose.tolist() == [0, 0, 0, 0, 1, 2]
    assert np.isinf(parts.listing.boxes[4:, 2:]).all()


def test_members_of_an_archive(tmp_path):
    for number in (1, 2):
        write_image(tmp_path / "a" / f"{number}.png", number, (20, 16 * number))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a", "a")
    parts = divided(list_images(str(tmp_path / "a.tar")), Windows("sliding", 1), ignored)
    assert parts.listing.ids == ["a/1.png#0,0,20,16", "a/2.png#0,0,20,32"]
    assert parts.listing.spans.shape == (2, 2)
