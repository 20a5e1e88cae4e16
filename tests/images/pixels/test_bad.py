"""How many bad images are acceptable, and how to speak of them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput
from fne_cli.images.pixels.bad import Allowed, Status, bad_summary


def test_statuses_are_part_of_the_file_format():
    names = "GOOD EMPTY MISSING UNREADABLE NOT_AN_IMAGE DAMAGED TOO_LARGE UNSUPPORTED BOX_OUTSIDE NOT_FINITE"
    assert [(status.name, status.value) for status in Status] == [*zip(names.split(), range(10), strict=True)]


@pytest.mark.parametrize(
    ("text", "images", "limit"),
    [
        ("0", 100, 0),
        ("7", 100, 7),
        (" 7 ", 3, 7),
        ("0%", 100, 0),
        ("0.5%", 1000, 5),
        ("0.5%", 1199, 5),
        ("100%", 12, 12),
        ("33.3%", 10, 3),
        ("0.57%", 10_000, 57),  # in floating point 56.99999999999999
    ],
)
def test_limit(text, images, limit):
    assert Allowed.parse(text).limit(images) == limit


@given(hundredths=st.integers(0, 10_000), images=st.integers(0, 10**7))
def test_share_is_exact(hundredths, images):
    limit = Allowed.parse(f"{hundredths // 100}.{hundredths % 100:02d}%").limit(images)
    assert limit <= Fraction(hundredths * images, 10_000) < limit + 1


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "100.01%", "%", "five", "1e3", "nan", "inf%", "9" * 400])
def test_what_is_neither_a_number_nor_a_share(text):
    with pytest.raises(
        BadInput, match=r"^--max-bad should be a number of images \(7\) or a share of them \(0\.5%\)\. F"
    ):
        Allowed.parse(text)


def test_summary_of_one():
    assert bad_summary([("a/1.jpg", "0 bytes")], 1200) == "1 of 1,200 images is bad:\n  a/1.jpg: 0 bytes"


def test_summary_names_five():
    bad = [(f"{number}.jpg", "no such file") for number in range(7)]
    lines = bad_summary(bad, 1000).splitlines()
    assert lines[0] == "7 of 1,000 images are bad:"
    assert lines[1:6] == [f"  {number}.jpg: no such file" for number in range(5)]
    assert lines[6:] == ["  and 2 more"]


def test_a_name_cannot_add_lines_to_the_summary():
    assert bad_summary([("a\n0 of 9 images are bad", "x")], 9).splitlines()[1] == r"  a\n0 of 9 images are bad: x"
