"""Manifests: everything they can say, and everything that can be wrong with them, by line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput
from fne_cli.images.listing import Listing
from fne_cli.images.manifest import read_manifest


def read_csv(folder: Path, text: str | bytes, root: str | None = None) -> Listing:
    path = folder / "m.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_manifest(str(path), root)


def read_jsonl(folder: Path, *rows: object) -> Listing:
    """Rows that are text are written as they are."""
    path = folder / "m.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return read_manifest(str(path), None)


def csv_error(folder: Path, text: str | bytes) -> str:
    with pytest.raises(BadInput) as caught:
        read_csv(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def jsonl_error(folder: Path, *rows: object) -> str:
    with pytest.raises(BadInput) as caught:
        read_jsonl(folder, *rows)
    return str(caught.value).replace(f"{folder}/", "")


# What they can say


def test_csv_in_its_own_order(tmp_path):
    listing = read_csv(
        tmp_path, "path,label,split,photographer\nb/2.jpg,dog,test,me\na/1.jpg,cat,train,you\nc.png,,,\n"
    )
    assert listing.ids == ["b/2.jpg", "a/1.jpg", "c.png"]
    assert listing.files == [f"{tmp_path}/{name}" for name in listing.ids]
    assert listing.labels == [("dog",), ("cat",), ()]
    assert listing.splits == ["test", "train", ""]
    assert listing.label_array().tolist() == [1, 0, -1]
    assert listing.boxes is None


def test_jsonl_says_the_same(tmp_path):
    rows = [{"path": "b/2.jpg", "label": "dog", "split": "test", "id": [1]}, {"path": "c.png", "label": None}]
    listing = read_jsonl(tmp_path, rows[0], "", "  ", rows[1])
    assert (listing.ids, listing.labels, listing.splits) == (["b/2.jpg", "c.png"], [("dog",), ()], ["test", ""])


def test_byte_order_mark_and_windows_lines(tmp_path):
    listing = read_csv(tmp_path, b"\xef\xbb\xbfpath,label\r\n1.jpg,cat\r\n2.jpg,dog\r\n")
    assert (listing.ids, listing.classes) == (["1.jpg", "2.jpg"], ["cat", "dog"])


def test_quoted_fields_and_spaces_around_names(tmp_path):
    listing = read_csv(tmp_path, 'path,label,split\n"a, b\n.jpg", cat ,test \n"c ""d"".jpg",cat,test\n')
    assert listing.ids == ["a, b\n.jpg", 'c "d".jpg']
    assert (listing.classes, set(listing.splits)) == (["cat"], {"test"})


def test_several_labels(tmp_path):
    listing = read_csv(tmp_path, "path,labels,ignore\n1.jpg,cat; dog;,eel\n2.jpg,,\n3.jpg,eel,cat;dog\n")
    assert listing.classes == ["cat", "dog", "eel"]
    assert listing.label_array().tolist() == [[1, 1, -1], [0, 0, 0], [-1, -1, 1]]


def test_several_labels_as_lists(tmp_path):
    listing = read_jsonl(
        tmp_path, {"path": "1.jpg", "labels": ["a;b", "c"], "ignore": ["d"]}, {"path": "2.jpg", "labels": []}
    )
    assert listing.classes == ["a;b", "c", "d"]
    assert listing.label_array().tolist() == [[1, 1, -1], [0, 0, 0]]


def test_one_label_under_labels_is_still_several(tmp_path):
    assert read_csv(tmp_path, "path,labels\n1.jpg,cat\n").label_array().tolist() == [[1]]
    assert read_csv(tmp_path, "path,label\n1.jpg,cat\n").label_array().tolist() == [0]


def test_numbers_are_names(tmp_path):
    listing = read_jsonl(tmp_path, {"path": 7, "label": 3})
    assert (listing.ids, listing.classes) == (["7"], ["3"])


def test_boxes_are_part_of_the_id(tmp_path):
    listing = read_csv(tmp_path, "path,x0,y0,x1,y1\na.jpg,1,2,30,40\na.jpg,1.5,-0.0,498.07,1000000\nb.jpg,,,,\n")
    assert listing.ids == ["a.jpg#1,2,30,40", "a.jpg#1.5,0,498.07,1000000", "b.jpg"]
    assert listing.files[0] == listing.files[1]
    assert listing.boxes.tolist() == [[1, 2, 30, 40], [1.5, 0, 498.07, 1e6], [0, 0, np.inf, np.inf]]


@given(left=st.floats(-1e6, 1e6))
def test_boxes_that_differ_have_ids_that_differ(tmp_path_factory, left):
    rows = [{"path": "a", "x0": x, "y0": 0, "x1": 2e6, "y1": 1} for x in (left, np.nextafter(left, np.inf))]
    listing = read_jsonl(tmp_path_factory.getbasetemp(), *rows)
    assert [float(name.split("#")[1].split(",")[0]) for name in listing.ids] == [row["x0"] for row in rows]


def test_where_paths_start(tmp_path):
    text = "path\na/../b.jpg\n/abs/c.jpg\n"
    assert read_csv(tmp_path, text).files == [f"{tmp_path}/a/../b.jpg", "/abs/c.jpg"]
    other = read_csv(tmp_path, text, root="else/where")
    assert other.files == ["else/where/a/../b.jpg", "/abs/c.jpg"]
    assert other.ids == ["b.jpg", "/abs/c.jpg"]


def test_relative_manifest(tmp_path, monkeypatch):
    (tmp_path / "m.csv").write_text("path\n1.jpg\n")
    monkeypatch.chdir(tmp_path)
    assert read_manifest("m.csv", None).files == ["1.jpg"]


def test_a_name_that_is_not_utf8_as_json_escapes_it(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    listing = read_jsonl(tmp_path, {"path": name})
    assert (listing.ids, listing.files) == ([r"caf\xe9.jpg"], [f"{tmp_path}/{name}"])


# What can be wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv should have a column path. Found: nothing."),
        ("path,label\n", "m.csv should hold images. Found: none."),
        ("file,label\n1.jpg,a\n", "m.csv should have a column path. Found: 'file', 'label'."),
        ("path;label\n1.jpg;a\n", "m.csv should have a column path. Found: 'path;label'."),
        ("path,lable\n1.jpg,a\n", "m.csv has a column 'lable'. Did you mean 'label'?"),
        ("path,Split\n1.jpg,a\n", "m.csv has a column 'Split'. Did you mean 'split'?"),
        ("path, label\n1.jpg,a\n", "m.csv has a column ' label'. Did you mean 'label'?"),
        ("path,label,label\n1.jpg,a,b\n", "m.csv should have one column label. Found: 2."),
        ("path,label\n1.jpg,a\n2.jpg\n", "m.csv, line 3, should have 2 fields. Found: 1."),
        ("path,label\n1.jpg,a,b,c\n", "m.csv, line 2, should have 2 fields. Found: 4."),
        ("path,label\n,a\n", "m.csv, line 2, should have a path. Found: none beside 'path', 'label'."),
        ("path,label,labels\n1.jpg,a,b\n", "m.csv, line 2, should have label or labels. Found: both."),
        (
            "path,label,ignore\n1.jpg,a,b\n",
            "m.csv: the column ignore goes with labels (several per image). Found: label.",
        ),
        ("path\n1.jpg\n./1.jpg\n", "m.csv should name every image once. Found: '1.jpg' 2 times."),
        ('path\n"1.jpg\n', "m.csv should be CSV in UTF-8. Found: unexpected end of data."),
        ("path\na\0b.jpg\n", "m.csv, line 2, has a NUL character under path."),
        ("path,label\na.jpg,b\0\n", "m.csv, line 2, has a NUL character under label."),
    ],
)
def test_what_a_csv_gets_wrong(tmp_path, text, message):
    assert csv_error(tmp_path, text) == message


def test_csv_that_is_no_text(tmp_path):
    assert csv_error(tmp_path, b"path\ncaf\xe9.jpg\n").startswith("m.csv should be CSV in UTF-8. Found: 'utf-8' codec")
    assert "should be CSV" in csv_error(tmp_path, "path\n" + "x" * 200_000)


def test_columns_of_the_users_own_are_no_mistakes(tmp_path):
    assert len(read_csv(tmp_path, "path,label,labeller,x,,\n1.jpg,a,me,1,,\n")) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "m.jsonl, line 2, should be a JSON object. Found: Expecting property name"),
        ("[1]", "m.jsonl, line 2, should be a JSON object. Found: list."),
        ("[" * 100_000, "m.jsonl, line 2, should be a JSON object. Found: maximum recursion"),
        ("1" * 10_000, "m.jsonl, line 2, should be a JSON object. Found: Exceeds the limit"),
        ({}, "m.jsonl, line 2, should have a path. Found: none beside ."),
        ({"label": "a"}, "m.jsonl, line 2, should have a path. Found: none beside 'label'."),
        ({"path": "", "label": "a"}, "m.jsonl, line 2, should have a path."),
        ({"path": "2.jpg", "labell": "a"}, "m.jsonl, line 2 has a column 'labell'. Did you mean 'label'?"),
        ({"path": ["2.jpg"]}, "m.jsonl, line 2, should have text under path. Found: ['2.jpg']."),
        ({"path": "2.jpg", "label": True}, "m.jsonl, line 2, should have text under label. Found: True."),
        ({"path": "2.jpg", "label": ["a"]}, "m.jsonl, line 2, should have text under label. Found: ['a']."),
        ({"path": "2.jpg", "labels": ["a", [1]]}, "m.jsonl, line 2, should have text under labels. Found: [1]."),
        ({"path": "2.jpg", "labels": ["a", ""]}, "m.jsonl, line 2, should have names under labels. Found: ['a', '']."),
        ({"path": "2.jpg", "labels": {"a": 1}}, "m.jsonl, line 2, should have text under labels."),
        ({"path": "2\0.jpg"}, "m.jsonl, line 2, has a NUL character under path."),
        ({"path": "\ud800.jpg"}, "m.jsonl, line 2, has a character that cannot be stored under path. Found: '\\ud800"),
        ({"path": "2.jpg", "label": "\udcff"}, "m.jsonl, line 2, has a character that cannot be stored under label."),
        (
            {"path": "2.jpg", "labels": ["\ud800"]},
            "m.jsonl, line 2, has a character that cannot be stored under labels.",
        ),
    ],
)
def test_what_a_jsonl_gets_wrong(tmp_path, row, message):
    assert jsonl_error(tmp_path, {"path": "1.jpg"}, row).startswith(message)


@pytest.mark.parametrize(
    "box",
    [
        {"x0": 1},
        {"x0": 5, "y0": 0, "x1": 5, "y1": 9},
        {"x0": 5, "y0": 9, "x1": 8, "y1": 0},
        {"x0": "a", "y0": 0, "x1": 5, "y1": 9},
        {"x0": 0, "y0": 0, "x1": float("inf"), "y1": 9},
        {"x0": float("nan"), "y0": 0, "x1": 1, "y1": 9},
        {"x0": 0, "y0": 0, "x1": 1, "y1": float("nan")},
        {"x0": 0, "y0": 0, "x1": 10**400, "y1": 9},
        {"x0": -1e300, "y0": 0, "x1": 1, "y1": 9},
        {"x0": [0], "y0": 0, "x1": 1, "y1": 9},
    ],
)
def test_what_is_no_box(tmp_path, box):
    message = jsonl_error(tmp_path, {"path": "1.jpg", **box})
    assert message.startswith("m.jsonl, line 1, should have a box with x0 < x1 and y0 < y1 in pixels. Found: [")


def test_manifest_that_cannot_be_read(tmp_path):
    with pytest.raises(BadInput, match=r"should be a manifest that can be read. Found: No such file or directory"):
        read_manifest(str(tmp_path / "absent.csv"), None)


json_values = st.text(max_size=3) | st.sampled_from(
    [
        None,
        True,
        0,
        -7,
        10**400,
        0.5,
        float("nan"),
        float("inf"),
        [],
        ["a"],
        [None],
        [["a"]],
        {},
        "1",
        "\ud800",
        "\udcff",
    ]
)
columns = st.sampled_from(["path", "label", "labels", "ignore", "split", "x0", "y0", "x1", "y1", "own"])


@given(rows=st.lists(st.dictionaries(columns, json_values), max_size=4))
def test_any_json_is_a_listing_or_a_clear_error(tmp_path_factory, rows):
    try:
        listing = read_jsonl(tmp_path_factory.getbasetemp(), *rows)
    except BadInput:
        return
    assert len(listing) == len(rows) == len(listing.label_array())
    "".join([*listing.ids, *listing.splits, *listing.classes]).encode()


@given(st.text(alphabet='path,label\n"\r\0;x01 é', max_size=60))
def test_any_text_is_a_listing_or_a_clear_error(tmp_path_factory, text):
    try:
        read_csv(tmp_path_factory.getbasetemp(), "path,label\n" + text)
    except BadInput:
        return
