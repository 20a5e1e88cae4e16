"""Text from files on terminals and pages: nothing in it commands, hides or reorders."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.unprintable import plain, plain_json

ANY = st.text(st.characters(exclude_categories=()), max_size=300)
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fc2", "fc2"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("tab\there\n\x00\x1b[31m", "tab\\there\\n\\x00\\x1b[31m"),
        ("half \ud800", "half \\ud800"),
        ("marks \u200e\u200f\u061c\u2028\u2029\u2066", "marks \\u200e\\u200f\\u061c\\u2028\\u2029\\u2066"),
        ("CSI of one character \x9b31m", "CSI of one character \\x9b31m"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("שלום, 你好, é", "שלום, 你好, é"),
    ],
)
def test_what_cannot_be_seen_is_escaped(name, expected):
    assert plain(name) == expected


def test_lines_may_be_kept():
    assert plain("a\nb\x00", keep="\n") == "a\nb\\x00"


@given(ANY)
def test_nothing_is_left_that_unicode_calls_a_control(text):
    for found in (plain(text), plain_json([text])):
        assert not {unicodedata.category(character) for character in found} & {"Cc", "Cs", "Co", "Zl", "Zp"}
        assert not set(found) & BIDI
        found.encode()


@given(ANY)
def test_json_says_the_same_to_programs(text):
    assert json.loads(plain_json({"a": [text, 1.5, None]})) == {"a": [text, 1.5, None]}


def test_json_has_numbers_only_unless_it_may():
    assert plain_json([float("nan")], allow_nan=True) == "[NaN]"
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain_json([float("inf")])
