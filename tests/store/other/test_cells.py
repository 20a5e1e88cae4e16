"""Names in CSV files: no formula, no command to a terminal, and the same names when they are read again."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from places import ROOT

from fne_cli.store.other.cells import as_cell, name_in

ANY = st.text(st.characters(exclude_categories=()), max_size=60)
RISKY = st.text(st.sampled_from("=+-@'\\;\t\r\n x01af\x1b\u202e\uff1d7."), max_size=12)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+1", "'+1+1"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\\x09=1"),
        ("\r=1", "'\\x0d=1"),
        ("  =1", "'  =1"),
        ("cat;=1", "'cat;\\x3d1"),
        ("\x1b]0;title\x07", "'\\x1b]0;title\\x07"),
        ("two\nlines", "'two\\x0alines"),
        ("a\u202egpj", "'a\\u202egpj"),
        ("'quoted'", "''quoted'"),
        ("=a\\b", "'=a\\\\b"),
    ],
)
def test_what_would_be_a_formula_or_a_command_is_marked(name, text):
    assert as_cell(name) == text
    assert name_in(text) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cat",
        "-1",
        "+1",
        "-0.5",
        "1e-3",
        "-1.5E+3",
        "-.5",
        "3-4",
        "a=b",
        "x@y",
        "a\\xff.jpg",
        "é",
        "שלום",
        "a'b",
        "❤\ufe0f",
    ],
)
def test_other_names_and_numbers_stay_as_they_are(name):
    assert as_cell(name) == name
    assert name_in(name) == name


@given(st.one_of(ANY, RISKY))
@example("'=")
@example("\\x3d")
@example("'\\x41")
def test_every_name_is_read_again(name):
    assert name_in(as_cell(name)) == name


@given(st.one_of(ANY, RISKY))
def test_no_cell_begins_a_formula_or_has_a_control_character(name):
    text = as_cell(name)
    assert not {unicodedata.category(character) for character in text} & {"Cc", "Cs", "Zl", "Zp"}
    for part in text.split(";"):
        if part.lstrip().startswith(("=", "+", "-", "@")):
            assert [float(number) for number in name.split(";")], "numbers are no formulas"


@pytest.fixture(scope="module")
def of_the_page():
    """The function that docs/format.md gives to others."""
    (code,) = re.findall(r"```python\n(import re\n.*?)```", (ROOT / "docs" / "format.md").read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    return names["name_in"]


@given(st.one_of(ANY, RISKY))
def test_the_function_of_the_page_reads_every_name(of_the_page, name):
    assert of_the_page(as_cell(name)) == name


def test_cells_of_others_are_taken_as_they_are():
    for text in ("'cat'", "'tis", "'\\q"):
        assert name_in(text) == text


@given(st.lists(st.one_of(ANY, RISKY), min_size=1, max_size=5))
def test_a_line_of_a_file_is_one_line_and_comes_back(names):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([as_cell(name) for name in names])
    assert file.getvalue().count("\n") == 1
    file.seek(0)
    assert [name_in(text) for text in next(csv.reader(file))] == names
