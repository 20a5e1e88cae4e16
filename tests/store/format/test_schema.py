"""The table of images, the fingerprint, and what differs between two of them."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_files import found, images, settings

from fne_cli.errors import BadInput
from fne_cli.images.pixels.bad import Status
from fne_cli.store.format import schema
from fne_cli.store.format.schema import Images, Layer, differences, fingerprint, image_differences
from fne_cli.store.format.text import canonical_json


def test_a_good_image_has_the_status_that_images_give_it():
    assert schema.GOOD == Status.GOOD == 0


@pytest.mark.parametrize(
    ("shape", "dtype", "features", "row_bytes"),
    [((), "f4", 1, 4), ((3,), "f4", 3, 12), ((2, 3, 4), "f2", 24, 48), ((5, 0), "f4", 0, 0)],
)
def test_layer_sizes(shape, dtype, features, row_bytes):
    layer = Layer("fc", shape, np.dtype(dtype))
    assert (layer.features, layer.row_bytes) == (features, row_bytes)


def table(splits: str, bad: tuple[int, ...] = ()) -> Images:
    """One image for each letter: t is train, v is val, e is test, - is none."""
    result = images(len(splits))
    result.split = [{"t": "train", "v": "val", "e": "test", "-": ""}[letter] for letter in splits]
    result.status = found(result, bad)[0]
    return result


@pytest.mark.parametrize(
    ("splits", "bad", "rows", "expected"),
    [
        ("tet", (), None, ("train", [1, 0, 1])),
        ("tet", (2,), None, ("train", [1, 0, 0])),
        ("tet", (2,), "all", ("all", [1, 1, 0])),
        ("te-v", (), "val", ("val", [0, 0, 0, 1])),
        ("t--", (), None, ("train", [1, 0, 0])),
        ("---", (0,), None, ("all", [0, 1, 1])),
    ],
)
def test_the_rows_that_are_chosen(splits, bad, rows, expected):
    name, chosen = table(splits, bad).chosen(rows)
    assert (name, chosen.astype(int).tolist()) == expected


@pytest.mark.parametrize(
    ("splits", "bad", "rows", "message"),
    [
        ("ve", (), None, "There should be a split train. Found: val, test. Choose one with --rows."),
        (
            "te",
            (0,),
            None,
            "--rows train should choose at least one good image. Found: none. Splits: train, test; good",
        ),
        ("te", (), "val", "--rows val should choose at least one good image"),
        (
            "--",
            (0, 1),
            None,
            "--rows all should choose at least one good image. Found: none. Splits: none; good images: 0 of 2.",
        ),
    ],
)
def test_choices_that_leave_nothing(splits, bad, rows, message):
    with pytest.raises(BadInput) as raised:
        table(splits, bad).chosen(rows)
    assert message in str(raised.value)


def test_splits_stand_in_order_of_appearance():
    assert table("-eetve").splits == ["test", "train", "val"]


def test_canonical_json_is_one_text_for_one_content():
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_the_fingerprint_as_a_golden_value():
    """Written by hand from docs/format.md; it must never change within version 1."""
    one = Images(["a/1.png"], ["train"], np.array([0], np.int32), ["a"], np.array([0], np.uint8), [""], ["00"])
    text = (
        '{"format":"fne","kind":"activations","settings":{"crops":1},"sources":[],"version":1}\n'
        '["a/1.png","train",0,0,"00"]\n'
        '["a"]\n'
    )
    assert fingerprint("activations", {"crops": 1}, [], one) == hashlib.sha256(text.encode()).hexdigest()
    head = '{"format":"fne","kind":"moments","settings":{"rows":"é"},"sources":[{"kind":"x"}],"version":1}\n'
    expected = hashlib.sha256(head.encode()).hexdigest()
    assert fingerprint("moments", {"rows": "é"}, [{"kind": "x"}]) == expected


def test_labels_of_several_classes_in_the_fingerprint():
    two = images(5000, several=True)
    lines = [
        json.dumps([path, split, label, 0, ""], ensure_ascii=False, separators=(",", ":"))
        for path, split, label in zip(two.path, two.split, two.label.tolist(), strict=True)
    ]
    head = '{"format":"fne","kind":"activations","settings":{},"sources":[],"version":1}'
    text = "\n".join([head, *lines, '["class a","class b","class c"]', ""])
    assert fingerprint("activations", {}, [], two) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("path", ["b.png"] * 4),
        ("split", ["val"] * 4),
        ("sha256", ["00"] * 4),
        ("label", np.array([-1, -1, -1, -1], np.int32)),
        ("status", np.array([0, 0, 0, 1], np.uint8)),
        ("classes", ["class a", "class b", "zebra"]),
    ],
)
def test_every_column_but_the_message_counts(column, values):
    first, second = images(4), images(4)
    setattr(second, column, values)
    assert fingerprint("activations", {}, [], first) != fingerprint("activations", {}, [], second)
    second = images(4)
    second.message = ["another wording"] * 4
    assert fingerprint("activations", {}, [], first) == fingerprint("activations", {}, [], second)


def test_a_half_character_in_the_settings():
    assert fingerprint("codes", {"a": "\udce9"}, []) == fingerprint("codes", json.loads('{"a": "\\udce9"}'), [])


def test_differences_name_what_is_not_the_same():
    wanted = {"crops": 5, "layers": {"a": "avg", "b": "max"}, "same": [1], "new": "x" * 100, "kind": {}}
    existing = {"crops": 1, "layers": {"a": "avg", "c": "max"}, "same": [1], "kind": 3}
    assert differences(wanted, existing) == [
        "crops: 1 in the existing output, 5 asked for",
        "kind: 3 in the existing output, {} asked for",
        'layers.b: nothing in the existing output, "max" asked for',
        'layers.c: "max" in the existing output, nothing asked for',
        f'new: nothing in the existing output, "{"x" * 59}... (102 characters) asked for',
    ]


json_objects = st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=4)


@given(first=json_objects, second=json_objects)
def test_there_are_differences_if_and_only_if_something_differs(first, second):
    kept = [{key: value for key, value in each.items() if value is not None} for each in (first, second)]
    assert bool(differences(first, second)) == (kept[0] != kept[1])


def test_the_same_tables_do_not_differ():
    for several in (False, True):
        assert image_differences(images(9, several=several), images(9, several=several)) == []


def test_only_the_first_different_image_of_a_column_is_named():
    wanted, existing = images(9, several=True), images(9, several=True)
    wanted.label = wanted.label.copy()
    wanted.label[4:] = 0
    assert image_differences(wanted, existing) == [
        "label of image Größe/0004 画.png: [-1,0,1] in the existing output, [0,0,0] asked for"
    ]


def test_settings_survive_json():
    assert json.loads(canonical_json(settings())) == settings()
