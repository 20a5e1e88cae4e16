"""Names on a page: short, on one line, with nothing in them that hides or reorders."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fne_cli.figures.names import distinct, file_name, shown

ANY = st.text(st.characters(exclude_categories=()), max_size=300)


@given(ANY, st.integers(8, 80))
def test_a_shown_name_is_short_and_printable(name, length):
    found = shown(name, length)
    assert 0 < len(found) <= length
    assert not {unicodedata.category(character) for character in found} & {"Cc", "Cs", "Co", "Zl", "Zp"}
    assert not set(found) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    found.encode()


def test_the_middle_of_a_long_name_is_left_out():
    assert shown("a" * 50 + "b" * 50, 10) == "aaaaaa…bbb"
    assert shown("") == "(no name)"


@given(ANY)
def test_a_file_name_stays_in_its_folder(name):
    found = file_name(name)
    assert found and "/" not in found and not found.startswith(".") and len(found.encode()) <= 60


def test_names_are_cut_between_words():
    assert shown("5-fold cross-validation, classifier knn:20", 40) == "5-fold cross-validation,…knn:20"
    assert shown("block4_conv1_relu_pointwise_expand", 20) == "block4_conv1_…expand"


@given(st.lists(ANY, min_size=1, max_size=6, unique=True), st.integers(20, 40))
def test_different_names_stay_different_and_short(names, length):
    found = distinct(names, length)
    assert all(0 < len(name) <= length for name in found) and len({*found}) == len(names)
