"""Manifests: everything they can say, and everything that can be wrong with them, by line."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import read_manifest


def read_csv(folder: Path, text: str | bytes, root: str | None = None, label: str | None = "label") -> Listing:
    path = folder / "m.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_manifest(str(path), root, label)


def read_jsonl(folder: Path, *rows: object) -> Listing:
    """Rows that are text are written as they are."""
    path = folder / "m.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return read_manifest(str(path), None)


def read_json(folder: Path, text: str | bytes) -> Listing:
    path = folder / "m.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
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


# Tables

TABLE = "path,label,split\nb/2.jpg,dog,test\na/1.jpg,cat,train\nc.png,,\n"


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_as_programs_write_it(tmp_path, start, end, delimiter):
    wanted = read_csv(tmp_path, TABLE)
    listing = read_csv(tmp_path, start + TABLE.replace(",", delimiter).replace("\n", end))
    assert listing == wanted
    assert listing.labels == [("dog",), ("cat",), ()]


def test_pandas_writes_manifests(tmp_path):
    table = pandas.DataFrame({"path": ["b/2.jpg", "a/1.jpg", "c.png"], "label": ["dog", "cat", None],
                              "split": ["test", "train", None]})  # fmt: skip
    wanted = read_csv(tmp_path, TABLE)
    table.to_csv(tmp_path / "p.csv", index=False, sep=";")
    table.to_csv(tmp_path / "p.tsv", index=False, sep="\t")
    table.to_csv(tmp_path / "n.csv", index=False, na_rep="nan")
    table.to_json(tmp_path / "p.json", orient="records")
    table.to_json(tmp_path / "p.jsonl", orient="records", lines=True)
    table.to_json(tmp_path / "l.json", orient="records", lines=True)
    for name in ("p.csv", "p.tsv", "n.csv", "p.json", "p.jsonl", "l.json"):
        assert read_manifest(str(tmp_path / name), None) == wanted, name


def test_a_tsv_has_tabs_only(tmp_path):
    (tmp_path / "m.TSV").write_text("path\tlabel\na, b.jpg\tc;d\n")
    listing = read_manifest(str(tmp_path / "m.TSV"), None)
    assert (listing.ids, listing.classes) == (["a, b.jpg"], ["c;d"])


def test_a_comma_wins_over_other_marks(tmp_path):
    assert read_csv(tmp_path, "a;b\tc,path,label\nx,1.jpg,cat\n").ids == ["1.jpg"]
    assert read_csv(tmp_path, '"id";"path";"label"\n1;"1,5.jpg";cat\n').ids == ["1,5.jpg"]


def test_one_image_in_a_json_file(tmp_path):
    assert read_json(tmp_path, '\ufeff [{"path": "1.jpg"}]').ids == ["1.jpg"]
    assert read_json(tmp_path, '{"path": "1.jpg"}\n').ids == ["1.jpg"]


JSON = 'm.json should be an array of objects, [{"path": ...}, ...], or an object on every line. Found: '
PANDAS = '\nA table of pandas is written so: to_json("m.json", orient="records").'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", JSON + "Expecting value: line 1 column 1 (char 0)."),
        ("[{]", JSON + "Expecting property name enclosed in double quotes: line 1 column 3 (char 2)."),
        ('{"path": {"0": "1.jpg"}, "label": {"0": "a"}}', JSON + "one dict with 'path', 'label'." + PANDAS),
        ('{"images": [], "annotations": []}', JSON + "one dict with 'images', 'annotations'." + PANDAS),
        ("7", JSON + "one int." + PANDAS),
        ("[1]", "m.json, row 1, should be a JSON object. Found: int."),
        ('[{"path": "1.jpg"}, {"label": "a"}]', "m.json, row 2, should have a path. Found: none beside 'label'."),
        ('[{"path": "1.jpg", "labell": "a"}]',
         "m.json, row 1 has a column 'labell'. Did you mean 'label'?\nRename it, or give --label-column labell."),
        ("[]", "m.json should hold images. Found: none."),
        ('{"path": "1.jpg"}\n{"path": 2', "m.json, line 2, should be a JSON object. Found: Expecting ',' delimiter: "
                                         "line 1 column 11 (char 10)."),
    ],
)  # fmt: skip
def test_what_a_json_gets_wrong(tmp_path, text, message):
    with pytest.raises(BadInput) as caught:
        read_json(tmp_path, text)
    assert str(caught.value).replace(f"{tmp_path}/", "") == message


def test_json_that_nests_or_is_no_text(tmp_path):
    for content in ("[" * 100_000, "1" * 10_000, b"\xff\xfe[", '[{"path": "caf\xe9"}]'.encode("latin-1")):
        with pytest.raises(BadInput, match=r"m\.json should be "):
            read_json(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (TABLE.replace("cat", "caf\u00e9").encode("latin-1"),
         "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW, if Windows wrote it."),
        (TABLE.encode("utf-16"), "iconv -f UTF-16 -t UTF-8 OLD > NEW"),
    ],
)  # fmt: skip
def test_another_encoding_and_the_way_out(tmp_path, content, remedy):
    message = csv_error(tmp_path, content)
    assert message.startswith("m.csv should be CSV in UTF-8. Found: 'utf-8' codec can't decode byte")
    assert message.endswith(f"\nWrite it in UTF-8: {remedy}")
    (tmp_path / "old").write_bytes(content)
    source = remedy.split()[2]
    text = subprocess.run(["iconv", "-f", source, "-t", "UTF-8", tmp_path / "old"], capture_output=True, check=True)
    assert len(read_csv(tmp_path, text.stdout)) == 3


# Labels


@pytest.mark.parametrize(
    "name", ["class", "Class", "target", "y", "category", "class_name", "Category ID", "species", "tag"]
)
def test_a_label_under_another_name(tmp_path, name):
    text = f"path,{name}\n1.jpg,cat\n2.jpg,dog\n"
    shown = f"'{name}'" if " " in name else name
    assert csv_error(tmp_path, text) == (
        f"m.csv should have its classes in a column label. Found: none, but {name!r}.\n"
        f"Give --label-column {shown}, or rename the column if it does not say what an image shows."
    )
    listing = read_csv(tmp_path, text, label=name)
    assert (listing.labels, listing.several) == ([("cat",), ("dog",)], False)
    assert read_csv(tmp_path, text, label=None).labels == [(), ()]


def test_a_label_under_another_name_in_json(tmp_path):
    assert jsonl_error(tmp_path, {"path": "1.jpg"}, {"path": "2.jpg", "y": 3, "class": "a"}) == (
        "m.jsonl should have its classes in a column label. Found: none, but 'class', 'y'.\n"
        "Give --label-column class, or rename the column if it does not say what an image shows."
    )


def test_the_label_column_wins_over_label(tmp_path):
    text = "path,label,class,Label\n1.jpg,3,cat,c\n"
    assert read_csv(tmp_path, text, label="class").classes == ["cat"]
    assert read_csv(tmp_path, text).classes == ["3"]
    assert read_csv(tmp_path, text, label="Label").classes == ["c"]


def test_other_columns_may_be_called_as_they_like_when_there_is_a_label(tmp_path):
    assert read_csv(tmp_path, "path,label,class,y\n1.jpg,cat,c,0\n").classes == ["cat"]
    assert read_csv(tmp_path, "path,labels,class\n1.jpg,cat;dog,c\n").classes == ["cat", "dog"]
    assert read_csv(tmp_path, "path,classification_date,year\n1.jpg,1,2\n").classes == []
    assert read_csv(tmp_path, "path,x,y\n1.jpg,1,2\n").classes == []


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("klass", "m.csv should have the column klass that --label-column names. Found: 'class', 'path'."),
        (
            "split",
            "--label-column should name the column that has the class of an image. Found: split, which has its own "
            "meaning.",
        ),
        (
            "labels",
            "--label-column should name the column that has the class of an image. Found: labels, which has its own "
            "meaning.",
        ),
    ],
)
def test_label_columns_that_are_none(tmp_path, label, message):
    with pytest.raises(BadInput) as caught:
        read_csv(tmp_path, "path,class\n1.jpg,a\n", label=label)
    assert str(caught.value).replace(f"{tmp_path}/", "") == message


def test_two_label_columns_of_the_same_name(tmp_path):
    with pytest.raises(BadInput, match=r"m\.csv should have one column class\. Found: 2\.$"):
        read_csv(tmp_path, "path,class,class\n1.jpg,a,b\n", label="class")


@pytest.mark.parametrize("value", ["", " ", "nan", "NaN", " nan ", "<NA>"])
def test_no_value_is_no_label_and_no_split(tmp_path, value):
    text = f"path,label,split,x0,y0,x1,y1\n1.jpg,{value},{value},{value},{value},{value},{value}\n2.jpg,a,train,,,,\n"
    listing = read_csv(tmp_path, text)
    assert (listing.labels, listing.splits, listing.boxes) == ([(), ("a",)], ["", "train"], None)
    row = dict.fromkeys(("label", "split", "x0", "y0", "x1", "y1"), value)
    assert read_jsonl(tmp_path, {"path": "1.jpg", **row}, {"path": "2.jpg", "label": "a", "split": "train"}) == listing


def test_json_null_and_nan_are_no_label(tmp_path):
    listing = read_jsonl(tmp_path, '{"path": "1.jpg", "label": NaN}', '{"path": "2.jpg", "label": null}', {"path": "3"})
    assert listing.labels == [(), (), ()]
    assert read_csv(tmp_path, "path,labels\n1.jpg,nan\n2.jpg,a;b\n").label_array().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("value", ["None", "none", "null", "NA", "n/a", "nano", "0", "False"])
def test_what_is_a_label_nevertheless(tmp_path, value):
    assert read_csv(tmp_path, f"path,label\n1.jpg,{value}\n").classes == [value]


@pytest.mark.parametrize("value", ["1", "1.0", "0.50", "1e3", "-0", "007", "12345678901234567890.0"])
def test_numbers_are_the_text_that_stands_there(tmp_path, value):
    assert read_csv(tmp_path, f"path,label\n1.jpg,{value}\n").classes == [value]
    if value not in ("-0", "007"):  # JSON has one zero, and no such numbers
        assert read_jsonl(tmp_path, f'{{"path": "1.jpg", "label": {value}}}').classes == [value]


def test_one_class_written_as_two_numbers(tmp_path):
    message = "m.csv should write every class in one way. Found: '1' and '1.0'."
    assert csv_error(tmp_path, "path,label\n1.jpg,1\n2.jpg,1.0\n3.jpg,1.5\n") == message
    assert jsonl_error(tmp_path, '{"path": "1", "label": 1.00}', '{"path": "2", "label": 1}').endswith(
        "'1' and '1.00'."
    )
    assert read_csv(tmp_path, "path,label\n1.jpg,v1\n2.jpg,v1.0\n").classes == ["v1", "v1.0"]
    assert read_csv(tmp_path, "path,label\n1.jpg,1.0\n2.jpg,2.0\n").classes == ["1.0", "2.0"]


# Splits


@pytest.mark.parametrize(
    ("value", "split"),
    [("Train", "train"), (" TEST ", "test"), ("validation", "val"), ("valid", "val"), ("training", "train"),
     ("Testing_Set", "test"), ("", "")],
)  # fmt: skip
def test_splits_by_other_names(tmp_path, value, split):
    assert read_csv(tmp_path, f"path,split\n1.jpg,{value}\n").splits == [split]
    assert read_jsonl(tmp_path, {"path": "1.jpg", "split": value}).splits == [split]


@pytest.mark.parametrize("value", ["holdout", "0", "trian", "train1", "test,"])
def test_splits_that_are_none(tmp_path, value):
    assert csv_error(tmp_path, f'path,split\n1.jpg,train\n2.jpg,"{value}"\n') == (
        f"m.csv, line 3, should have the split train, val or test, or none. Found: {value!r}."
    )


# Paths


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """caf\u00e9 composed, nai\u0308ve decomposed, and a plain one."""
    for name in ("caf\u00e9/1.jpg", "nai\u0308ve/2.jpg", "plain/3.jpg", "odd\\name.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("cafe\u0301/1.jpg", "caf\u00e9/1.jpg"),
        ("caf\u00e9/1.jpg", "caf\u00e9/1.jpg"),
        ("na\u00efve/2.jpg", "nai\u0308ve/2.jpg"),
        ("na\u00efve\\2.jpg", "nai\u0308ve/2.jpg"),
        ("plain\\3.jpg", "plain/3.jpg"),
        (".\\plain\\3.jpg", "plain/3.jpg"),
        ("./plain//3.jpg", "plain/3.jpg"),
        ("plain/../plain/3.jpg", "plain/3.jpg"),
        ("odd\\name.jpg", "odd\\name.jpg"),
        ("gone\\4.jpg", "gone\\4.jpg"),
        ("cafe\u0301/gone.jpg", "cafe\u0301/gone.jpg"),
    ],
)
def test_paths_are_those_on_the_disk(images, written, found):
    listing = read_csv(images, f"path\n{written}\n")
    assert listing.ids == [found]
    assert os.path.exists(listing.files[0]) == ("gone" not in found)
    other = images / "lists"
    other.mkdir()
    assert read_csv(other, f"path\n{written}\n", root=str(images)).ids == [found]


def test_absolute_paths_below_the_root_are_found(images):
    listing = read_csv(images, f"path\n{images}/plain/3.jpg\n{images}/cafe\u0301/1.jpg\n")
    assert all(map(os.path.exists, listing.files))
    assert listing.ids == [f"{images}/plain/3.jpg", f"{images}/caf\u00e9/1.jpg"]


def test_two_ways_to_write_one_path(images):
    assert csv_error(images, "path\nplain/3.jpg\nplain\\3.jpg\n") == (
        "m.csv should name every image once. Found: 'plain/3.jpg' 2 times."
    )


# What can be wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv should have a column path. Found: nothing."),
        ("path,label\n", "m.csv should hold images. Found: none."),
        (
            "file,label\n1.jpg,a\n",
            "m.csv should have a column path. Found: 'file', 'label'.\n"
            "Rename 'file' to path, if it says where the images are.",
        ),
        ("where,label\n1.jpg,a\n", "m.csv should have a column path. Found: 'where', 'label'."),
        ("path|label\n1.jpg|a\n", "m.csv should have a column path. Found: 'path|label'."),
        (
            "path,lable\n1.jpg,a\n",
            "m.csv has a column 'lable'. Did you mean 'label'?\nRename it, or give --label-column lable.",
        ),
        ("path,Split\n1.jpg,a\n", "m.csv has a column 'Split'. Did you mean 'split'?"),
        (
            "path, label\n1.jpg,a\n",
            "m.csv has a column ' label'. Did you mean 'label'?\nRename it, or give --label-column ' label'.",
        ),
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
