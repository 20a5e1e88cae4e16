"""Columns of text: what is written is read again, a block at a time."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput, DamagedFile
from fne_cli.store.format import columns as text
from fne_cli.store.format.columns import TextColumn, text_bytes, text_column

# What may be in a name: no half characters (UTF-8 has none), no NUL at the end (HDF5 pads with it).
names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda t: t[-1:] != "\0"))


def opened(values: list[str], size: int | None = None) -> TextColumn:
    """The column, from a file in memory."""
    file = h5py.File(io.BytesIO(), "w")
    return TextColumn.of(Path("nowhere.h5"), file.create_dataset("names", data=text_column(values, size)))


@given(values=names)
def test_what_is_written_is_read_again(values):
    assert list(opened(values)) == values
    assert text_bytes(values) == max(1, *(len(value.encode()) for value in values), 1)


@given(values=names, block=st.integers(1, 5), data=st.data())
def test_any_order_of_reading_gives_the_same(values, block, data):
    original, text.BLOCK_ROWS = text.BLOCK_ROWS, block
    try:
        column = opened(values)
        for place in data.draw(st.lists(st.integers(-len(values), len(values) - 1)) if values else st.just([])):
            assert column[place] == values[place]
        start, stop = (data.draw(st.none() | st.integers(-9, 9)) for _ in "ab")
        assert column[start:stop] == values[start:stop]
        assert list(column) == list(column) == values
        assert column == values
        assert len(column) == len(values)
    finally:
        text.BLOCK_ROWS = original


def test_a_column_is_not_another_one():
    column = opened(["a", "b"])
    assert column != ["a", "c"]
    assert column != ["a"]
    assert column != {"a", "b"}
    assert column == opened(["a", "b"])
    with pytest.raises(IndexError):
        column[2]


@pytest.mark.parametrize(
    ("value", "kept"), [("abcd", "abcd"), ("abcde", "abcd"), ("abcé", "abc"), ("ab画x", "ab"), ("", "")]
)
def test_a_long_message_is_cut_between_characters(value, kept):
    assert text_column([value], 4).tolist() == [kept.encode()]


def test_a_name_that_ends_in_nul_is_refused():
    with pytest.raises(BadInput, match=r"should not end in a NUL character\. Found: b'a\\x00'"):
        text_column(["a\0"])
    assert list(opened(["a\0b"])) == ["a\0b"]


def test_bytes_that_are_not_utf8_are_damage():
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset("names", data=np.array([b"caf\xe9"]))
        with pytest.raises(DamagedFile, match=r"nowhere\.h5: /names is not UTF-8"):
            list(TextColumn.of(Path("nowhere.h5"), dataset))


def test_a_type_that_any_reader_knows():
    with h5py.File(io.BytesIO(), "w") as file:
        kind = file.create_dataset("names", data=text_column(["é", "abc"])).id.get_type()
        assert (kind.get_size(), kind.is_variable_str()) == (3, False)
        assert kind.get_cset() == h5py.h5t.CSET_UTF8
        assert kind.get_strpad() == h5py.h5t.STR_NULLPAD
