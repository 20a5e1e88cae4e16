"""Millions of names: the same as lists of them, in less memory."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.images import gathering
from fne_cli.images import names as entries
from fne_cli.images.contents import listing_digest
from fne_cli.images.gathering import SortedTexts, Texts, Values
from fne_cli.images.lists import listing as listings
from fne_cli.images.lists.manifest import read_manifest
from fne_cli.images.lists.tree import from_folder
from fne_cli.images.names import Below, Coded, Names, compact, repeated, repeats

TEXTS = st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("\udcff\ud800")))


@given(TEXTS, st.slices(12))
def test_names_are_as_a_list(texts, part):
    names = Names.of(texts)
    assert names == texts
    assert list(names) == texts
    assert [names[number] for number in range(-len(texts), len(texts))] == [*texts, *texts]
    assert names[part] == texts[part]
    assert Below("a/", names)[part] == ["a/" + text for text in texts][part]
    assert names != [*texts, ""]


def test_names_end_where_a_list_does():
    names = Names.of(map(str, range(10_000)))
    assert list(names) == [str(number) for number in range(10_000)]
    for wrong in (10_000, -10_001):
        with pytest.raises(IndexError):
            names[wrong]


@given(TEXTS)
def test_repeats_are_never_overlooked(texts):
    assert repeats(texts) >= (len(set(texts)) < len(texts))


@pytest.mark.parametrize("files", [["r/a", "r/b"], ["r/a", "s/b"], ["x.tar", "x.tar"], ["ra", "rb"]])
def test_compact_columns_say_the_same(files):
    names, found = compact(["a", "b"], files)
    assert (names, found) == (["a", "b"], files)


@given(st.lists(st.sampled_from([("cat",), ("dog", "cat"), ()])), st.slices(12))
def test_coded_values_are_as_a_list(values, part):
    column = Coded.of(values)
    assert column == values
    assert list(column) == values
    assert column[part] == values[part]
    assert [column[number] for number in range(-len(values), len(values))] == [*values, *values]
    assert column != [*values, ()]


def test_a_repeated_value_takes_nothing():
    column = repeated("", 10**12)
    assert (len(column), column[10**11], column[-2:]) == (10**12, "", ["", ""])


@given(TEXTS, st.integers(1, 5))
def test_gathered_columns_are_as_lists(texts, many):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "MANY", many)
        patch.setattr(gathering, "_RUN", many)
        columns = Texts(), SortedTexts(), Values()
        for text in texts:
            for column in columns:
                column.append(text)
        assert columns[0].column() == texts
        assert columns[1].column() == sorted(texts)
        assert columns[2].column() == texts
        assert columns[2].column(len) == list(map(len, texts))


def test_runs_that_follow_each_other_are_only_joined(monkeypatch):
    monkeypatch.setattr(entries, "MANY", 2)
    monkeypatch.setattr(gathering.heapq, "merge", None)
    found = SortedTexts()
    for name in ("a/2", "a/1", "b/1", "c/2", "c/1"):
        found.append(name)
        if name in ("a/1", "b/1"):
            found.pause()
    assert found.column() == ["a/1", "a/2", "b/1", "c/1", "c/2"]


def test_listings_of_many_images_are_what_those_of_few_are(tmp_path, monkeypatch):
    for name in ("train/cat/1.jpg", "train/cat/2.jpg", "test/dog/1.jpg"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"")
    odd = os.fsencode(tmp_path / "p" / "test" / "dog") + b"/\xff.jpg"
    os.close(os.open(odd, os.O_CREAT))
    table = "path,label,split\np/a.jpg,x,train\nq.jpg,y,test\nr.jpg,x,\n"
    (tmp_path / "m.csv").write_text(table)
    few = [from_folder(str(tmp_path / "p")), read_manifest(str(tmp_path / "m.csv"), str(tmp_path))]
    monkeypatch.setattr(entries, "MANY", 1)
    many = [from_folder(str(tmp_path / "p")), read_manifest(str(tmp_path / "m.csv"), str(tmp_path))]
    assert many == few
    assert [listing_digest(one) for one in many] == [listing_digest(one) for one in few]
    assert [list(map(os.fsencode, one.files)) for one in many] == [list(map(os.fsencode, one.files)) for one in few]
    assert many[0].shard(1, 2) == few[0].shard(1, 2)
    assert many[0].part([2, 0]) == few[0].part([2, 0])


def test_an_image_of_a_large_listing_takes_a_quarter_of_what_its_strings_take():
    count = 70_000
    ids = [f"train/class{number % 100:03d}/{'x' * 36}{number:08d}.jpg" for number in range(count)]
    made = listings.Listing(ids, Below("/photos/", ids), [""] * count, [()] * count)
    tracemalloc.start()
    try:
        kept = made.checked("here")
        bytes_of_image = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    assert len(ids[0]) == 63
    assert bytes_of_image < 0.25 * 320
    assert np.array_equal(kept.ids[-3:], ids[-3:])
