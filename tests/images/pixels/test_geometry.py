"""The part of an image that a network sees, against Pillow's own resizing and pixels that say where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.geometry import Geometry, cropped, reduction

sides = st.integers(1, 60)


def numbered(height: int, width: int) -> np.ndarray:
    """Red is the column, green the row."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([columns, rows, np.full_like(rows, 7)], axis=2)


def cut(pixels: np.ndarray, height: int, width: int, box: object = None, **geometry: object) -> np.ndarray:
    where = None if box is None else np.array(box, float)
    return cropped(Image.fromarray(pixels), Geometry(height, width, **geometry), where)  # type: ignore[arg-type]  # by name


@given(height=sides, width=sides, to=st.tuples(sides, sides))
@settings(deadline=None, max_examples=50)
def test_squash_is_pillows_antialiased_bilinear_to_the_bit(height, width, to):
    pixels = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((to[1], to[0]), Image.Resampling.BILINEAR)
    assert np.array_equal(cut(pixels, *to)[0], np.asarray(expected))


def test_crop_takes_the_centre():
    wide, tall = numbered(40, 100), numbered(100, 40)
    assert np.array_equal(cut(wide, 40, 40, resize="crop")[0], wide[:, 30:70])
    assert np.array_equal(cut(tall, 40, 40, resize="crop")[0], tall[30:70])


def test_crop_keeps_the_aspect_ratio():
    rows, columns = np.mgrid[:60, :120]
    circle = np.where(np.hypot(rows - 29.5, columns - 59.5) < 20, 255, 0).astype(np.uint8)
    pixels = np.stack([circle] * 3, axis=2)
    found = cut(pixels, 30, 30, resize="crop")[0, :, :, 0] > 127
    assert found.any(axis=0).sum() == found.any(axis=1).sum() == 20  # 40 x 40, at half the size
    squashed = cut(pixels, 30, 30)[0, :, :, 0] > 127
    assert (squashed.any(axis=0).sum(), squashed.any(axis=1).sum()) == (10, 20)


@given(height=st.integers(1, 300), width=st.integers(1, 300), to=st.tuples(sides, sides))
@example(height=29, width=29, to=(224, 224))  # 224 * (29 / 224) > 29
@settings(deadline=None, max_examples=100)
def test_crop_of_any_size_to_any_size(height, width, to):
    pixels = np.full((height, width, 3), (90, 60, 30), np.uint8)
    assert (cut(pixels, *to, resize="crop") == (90, 60, 30)).all()


@pytest.mark.parametrize("crops", [5, 10])
def test_crops_are_corners_and_centre_then_mirrored(crops):
    image = numbered(256, 256)
    corners = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]  # top, left
    expected = [image[top : top + 224, left : left + 224] for top, left in corners]
    if crops == 10:
        expected += [crop[:, ::-1] for crop in expected]
    assert np.array_equal(cut(image, 224, 224, crops=crops), expected)


def test_crops_of_an_oblong_network():
    found = cut(numbered(128, 256), 112, 224, crops=5)
    assert found[:, 0, 0, :2].tolist() == [[0, 0], [32, 0], [0, 16], [32, 16], [16, 8]]
    assert found[:, -1, -1, :2].tolist() == [[223, 111], [255, 111], [223, 127], [255, 127], [239, 119]]


@pytest.mark.parametrize(
    ("box", "context", "columns", "rows"),
    [
        ((3, 4, 8, 9), 1.0, (3, 8), (4, 9)),
        ((3.2, 4.7, 7.1, 8.2), 1.0, (3, 8), (4, 9)),  # every pixel that it touches
        ((10, 8, 14, 12), 2.0, (8, 16), (6, 14)),
        ((10, 8, 14, 12), 0.5, (11, 13), (9, 11)),
        ((-5, -3, 4, 6), 1.0, (0, 4), (0, 6)),
        ((25, 15, 40, 50), 1.0, (25, 30), (15, 20)),
        ((1, 1, 29, 19), 3.0, (0, 30), (0, 20)),
        ((1, 1, 29, 19), float("inf"), (0, 30), (0, 20)),
        ((0, 0, float("inf"), float("inf")), 1.5, (0, 30), (0, 20)),  # how a listing says: the whole image
    ],
)
def test_box(box, context, columns, rows):
    found = cut(numbered(20, 30), rows[1] - rows[0], columns[1] - columns[0], box, box_context=context)
    assert np.array_equal(found[0], numbered(20, 30)[slice(*rows), slice(*columns)])


def test_crops_of_a_box():
    found = cut(numbered(200, 200), 14, 28, (40, 60, 72, 76), crops=5)
    assert found[:, 0, 0, :2].tolist() == [[40, 60], [44, 60], [40, 62], [44, 62], [42, 61]]


@given(left=st.integers(0, 200), size=st.floats(0.01, 50))
@settings(deadline=None, max_examples=50)
def test_rounding_moves_no_corner_of_a_box(left, size):
    assert cut(numbered(4, 255), 4, 300, (left, 0, left + size, 4))[0, 0, 0, 0] == left


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_nothing_outside_a_box_bleeds_into_it(resize):
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[5:10, 5:10] = 255
    assert (cut(pixels, 64, 48, (5, 5, 10, 10), resize=resize) == 255).all()


@pytest.mark.parametrize(
    "box",
    [(30, 0, 40, 10), (0, 20, 5, 25), (-9, 0, 0, 5), (0, -9, 5, 0), (1e308, 0, 1.5e308, 5), (-1.7e308, -2, -1, 1e308)],
)
@pytest.mark.parametrize("context", [1.0, 50.0])
def test_box_outside_is_bad_whatever_its_context(box, context):
    with pytest.raises(BadImage, match=r"^the box .* is outside the 30 x 20 image$") as caught:
        cut(numbered(20, 30), 4, 4, box, box_context=context)
    assert caught.value.status == Status.BOX_OUTSIDE


def test_what_an_image_may_be_divided_by_depends_on_what_is_cut_of_it():
    geometry = Geometry(100, 100)
    assert [reduction((width, 900), geometry, None) for width in (99, 199, 200, 399, 400, 799, 800, 9000)] == [
        1, 1, 2, 2, 4, 4, 8, 8,
    ]  # fmt: skip
    assert reduction((9000, 9000), geometry, np.array([0, 0, 250, 500.0])) == 2
    assert reduction((9000, 9000), Geometry(100, 100, box_context=2), np.array([300, 300, 550, 800.0])) == 4
    assert reduction((9000, 9000), geometry, np.array([9001, 0, 9100, 50.0])) == 1, "outside"
    assert reduction((800, 800), Geometry(100, 100, crops=5), None) == 4, "crops are cut of more"
