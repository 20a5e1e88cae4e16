"""fne split: official lists, drawn splits, folds, and PASCAL VOC; the manifests work with the other commands."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from pictures import write_image
from PIL import Image

from fne_cli.errors import BadInput
from fne_cli.images.lists.annotated.voc import read_voc
from fne_cli.images.lists.manifest import read_manifest
from fne_cli.images.regions import Windows


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """30 images: 12 of a, 10 of b, 8 of c."""
    for number in range(30):
        folder = "a" if number < 12 else "b" if number < 22 else "c"
        write_image(tmp_path / "birds" / folder / f"{number:02d}.png", number, (8, 8))
    return tmp_path / "birds"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def counts(path: Path) -> dict[tuple[str, str], int]:
    return dict(Counter((row["label"], row["split"]) for row in rows(path)))


def test_so_many_of_each_class(fne, birds, tmp_path):
    assert fne("split", birds, tmp_path / "s.csv", "--per-class", 5, "--seed", 3).code == 0
    assert counts(tmp_path / "s.csv") == {
        ("a", "train"): 5, ("a", "test"): 7, ("b", "train"): 5, ("b", "test"): 5, ("c", "train"): 5, ("c", "test"): 3,
    }  # fmt: skip
    assert [row["path"] for row in rows(tmp_path / "s.csv")] == sorted(row["path"] for row in rows(tmp_path / "s.csv"))
    fne("split", birds, tmp_path / "again.csv", "--per-class", 5, "--seed", 3)
    fne("split", birds, tmp_path / "other.csv", "--per-class", 5, "--seed", 4)
    first, again, other = ((tmp_path / name).read_bytes() for name in ("s.csv", "again.csv", "other.csv"))
    assert first == again != other


def test_shares_of_each_class(fne, birds, tmp_path):
    assert fne("split", birds, tmp_path / "s.csv", "--test", "25%", "--val", "0.125").code == 0
    found = counts(tmp_path / "s.csv")
    assert [found[name, "test"] for name in "abc"] == [3, 2, 2]
    assert [found.get((name, "val"), 0) for name in "abc"] == [2, 1, 1]


def test_some_training_images_are_held_out_to_choose_by(fne, birds, tmp_path):
    """Test images get no split; where there are validation images these are measured, and all others trained on."""
    for name, options in (("own", ("--per-class", 6)), ("val", ("--per-class", 6, "--val", "0.5"))):
        assert fne("split", birds, tmp_path / f"{name}.csv", *options).code == 0
        done = fne("split", tmp_path / f"{name}.csv", tmp_path / f"{name}-in.csv", "--holdout", "0.34", "--root", birds)
        assert done.code == 0, done.err
        left = {"own": 12, "val": 6}[name]
        assert f"{left} of 30 images are left out, as test images are, and get no split" in done.err
        before, now = (
            {row["path"]: row["split"] for row in rows(tmp_path / f"{name}{end}.csv")} for end in ("", "-in")
        )
        held = "train" if name == "own" else "val"
        assert {before[path] for path in now if now[path] == "test"} == {held}
        assert {before[path] for path in now if now[path] == "train"} == {"train"}
        assert all(now[path] == "" for path in now if before[path] == "test")
    assert [counts(tmp_path / "own-in.csv")[label, "test"] for label in "abc"] == [2, 2, 2]
    refused = fne("split", birds, tmp_path / "no.csv", "--holdout", "0.2")
    assert (refused.code, "should have images of split train to hold some out. Found: splits none" in refused.err) == (
        1, True,
    )  # fmt: skip
    for count, code in ((2, 0), (1, 1)):  # one of two is held out, however small the share
        fne("split", birds, tmp_path / "few.csv", "--per-class", count, "--overwrite")
        few = fne("split", tmp_path / "few.csv", tmp_path / f"few{count}.csv", "--holdout", "0.2", "--root", birds)
        assert few.code == code
    assert [counts(tmp_path / "few2.csv")[label, "test"] for label in "abc"] == [1, 1, 1]
    assert "Found: 3 images in 3 classes. Give more images." in few.err


def test_folds_test_every_image_once(fne, birds, tmp_path):
    assert fne("split", birds, tmp_path / "f.csv", "--folds", 4).code == 0
    tested = [row["path"] for k in range(1, 5) for row in rows(tmp_path / f"f-{k}.csv") if row["split"] == "test"]
    assert sorted(tested) == sorted(row["path"] for row in rows(tmp_path / "f-1.csv"))
    for k in range(1, 5):
        assert {label for (label, split) in counts(tmp_path / f"f-{k}.csv") if split == "test"} == {"a", "b", "c"}


def test_official_lists(fne, birds, tmp_path):
    (tmp_path / "train.txt").write_text("a/00.png\na/01\nbirds/b/12.png 1\n\n")
    (tmp_path / "test.txt").write_text("b/13\nimages/c/22.png\n")
    lists = ("--list", f"train={tmp_path / 'train.txt'}", "--list", f"test={tmp_path / 'test.txt'}")
    result = fne("split", birds, tmp_path / "s.csv", *lists)
    assert result.code == 0, result.err
    assert "25 of 30 images are in no list" in result.err
    named = {row["path"]: row["split"] for row in rows(tmp_path / "s.csv") if row["split"]}
    assert named == {
        "a/00.png": "train",
        "a/01.png": "train",
        "b/12.png": "train",
        "b/13.png": "test",
        "c/22.png": "test",
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("z/99.png", "should name an image that is there. Found: 'z/99.png'"),
        ("a/00", "should not name an image of split train"),
    ],
)
def test_lists_that_do_not_fit_name_the_line(fne, birds, tmp_path, line, message):
    (tmp_path / "train.txt").write_text("a/00.png\n")
    (tmp_path / "test.txt").write_text(f"b/13\n{line}\n")
    lists = ("--list", f"train={tmp_path / 'train.txt'}", "--list", f"test={tmp_path / 'test.txt'}")
    result = fne("split", birds, tmp_path / "s.csv", *lists)
    assert (result.code, f"test.txt, line 2, {message}" in result.err) == (1, True), result.err
    assert not (tmp_path / "s.csv").exists()


def test_a_name_that_fits_several_images(fne, tmp_path):
    for name in ("a/1.png", "b/1.png"):
        write_image(tmp_path / "x" / name, 1)
    (tmp_path / "train.txt").write_text("1.png\n")
    result = fne("split", tmp_path / "x", tmp_path / "s.csv", "--list", f"train={tmp_path / 'train.txt'}")
    assert (result.code, "which fits 2 of them" in result.err) == (1, True)


def test_lists_of_other_machines(fne, tmp_path):
    for name in ("caf\u00e9/1.png", "dog/2.png", "dog/3.png"):
        write_image(tmp_path / "x" / name, 1)
    (tmp_path / "train.txt").write_bytes("\ufeffcafe\u0301\\1.png\r\n.\\dog\\2.png\r\n".encode())
    result = fne("split", tmp_path / "x", tmp_path / "s.csv", "--list", f"train={tmp_path / 'train.txt'}")
    assert result.code == 0, result.err
    assert [(row["path"], row["split"]) for row in rows(tmp_path / "s.csv")] == [
        ("caf\u00e9/1.png", "train"),
        ("dog/2.png", "train"),
        ("dog/3.png", ""),
    ]


def test_classes_of_a_manifest_with_another_column(fne, birds, tmp_path):
    lines = [f"{path.relative_to(birds)};{path.parent.name.upper()}" for path in sorted(birds.glob("*/*.png"))]
    (birds / "m.csv").write_text("\n".join(["path;class", *lines]))
    told = fne("split", birds / "m.csv", tmp_path / "s.csv", "--per-class", 4)
    assert (told.code, told.err) == (
        1,
        f"fne: {birds}/m.csv should have its classes in a column label. Found: none, but 'class'.\n"
        "Give --label-column class, or rename the column if it does not say what an image shows.\n",
    )
    done = fne("split", birds / "m.csv", tmp_path / "s.csv", "--per-class", 4, "--label-column", "class")
    assert (done.code, done.err) == (
        0,
        f"{birds}/m.csv: 30 images (no splits), 3 classes, 0 images without label\n"
        f"{tmp_path}/s.csv: 18 test, 12 train\n",
    )
    assert {name for name, _ in counts(tmp_path / "s.csv")} == {"A", "B", "C"}


def test_what_is_found_is_said(fne, birds, tmp_path):
    (birds / "a/notes.md").touch()
    (birds / "d").mkdir()
    assert fne("split", birds, tmp_path / "s.csv", "--per-class", 4).err == (
        f"{birds}: 30 images (no splits), 3 classes, 0 images without label\n"
        "  1 file left out: .md 1\n"
        "  1 class folder without images: d\n"
        f"{tmp_path}/s.csv: 18 test, 12 train\n"
    )


def test_the_manifest_works_where_splits_are_asked_for(fne, birds, tmp_path):
    fne("split", birds, tmp_path / "s.csv", "--per-class", 4)
    listing = read_manifest(str(tmp_path / "s.csv"), str(birds))
    assert all(Path(path).is_file() for path in listing.files)
    assert Counter(listing.splits) == {"train": 12, "test": 18}


def test_up_to_date_and_different(fne, birds, tmp_path):
    command = ("split", birds, tmp_path / "s.csv", "--per-class", 4)
    assert fne(*command).code == 0
    assert "up to date" in fne(*command).err
    other = fne(*command, "--seed", 1)
    assert (other.code, "settings.seed: 0 in the existing output, 1 asked for" in other.err) == (4, True)
    assert fne(*command, "--seed", 1, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "Give one way to split: --test 20% or --per-class 30"),
        (("--per-class", "2", "--folds", "3"), 2, "Found: several."),
        (("--per-class", "8"), 1, "class c should have more than 8 images"),
        (("--folds", "31"), 1, "at most 30 folds"),
        (("--folds", "3", "--val", "0.1"), 1, "--val goes with --test"),
        (("--test", "60%", "--val", "0.5"), 1, "should leave images for training"),
        (("--test", "120%"), 2, "should be a share such as 20%"),
        (("--list", "train"), 2, "should be train=FILE"),
    ],
)
def test_options_that_make_no_sense(fne, birds, tmp_path, options, code, message):
    result = fne("split", birds, tmp_path / "s.csv", *options)
    assert (result.code, message in result.err) == (code, True), result.err


@pytest.mark.parametrize("name", ["s.jsonl", "s.txt", "s"])
def test_a_name_that_says_something_else_than_csv(fne, birds, tmp_path, name):
    result = fne("split", birds, tmp_path / name, "--per-class", 4)
    assert (result.code, result.err) == (
        1,
        f"fne: {tmp_path / name} should be the name of a manifest to write, ending in .csv.\n",
    )
    assert not (tmp_path / name).exists()


# Regions


def test_regions_keep_the_label_and_the_split_of_their_image(fne, birds, tmp_path):
    fne("split", birds, tmp_path / "s.csv", "--per-class", 4)
    before = {row["path"]: (row["label"], row["split"]) for row in rows(tmp_path / "s.csv")}
    command = ("split", tmp_path / "s.csv", tmp_path / "r.csv", "--root", birds, "--regions", "sliding:2")
    done = fne(*command)
    assert (done.code, done.err.splitlines()[-1]) == (
        0,
        f"{tmp_path}/r.csv: 18 test, 12 train; 150 regions of these images",
    )
    found = rows(tmp_path / "r.csv")
    assert list(found[0]) == ["path", "label", "split", "x0", "y0", "x1", "y1"]
    assert len(found) == 150
    assert all((row["label"], row["split"]) == before[row["path"]] for row in found)
    listing = read_manifest(str(tmp_path / "r.csv"), str(birds))
    assert listing.ids[:3] == ["a/00.png#0,0,8,8", "a/00.png#0,0,6,6", "a/00.png#2,0,8,6"]
    assert f"{tmp_path}/r.csv is up to date" in fne(*command).err
    other = fne(*command[:-1], "grid:2")
    assert (other.code, 'settings.regions: "sliding:2" in the existing output, "grid:2" asked for' in other.err) == (
        4,
        True,
    )
    assert fne(*command[:-1], "grid:2", "--overwrite").code == 0
    assert len(rows(tmp_path / "r.csv")) == 120
    again = fne("split", tmp_path / "r.csv", tmp_path / "q.csv", "--root", birds, "--regions", "grid:2")
    assert (again.code, "r.csv should name images. Found: boxes, whose ids are not their paths." in again.err) == (
        1,
        True,
    )


def test_regions_go_with_every_way_to_split(fne, birds, tmp_path):
    """All regions of an image are on one side."""
    for name, options in (("one", ("--per-class", 4)), ("folds", ("--folds", 3)), ("none", ())):
        assert fne("split", birds, tmp_path / f"{name}.csv", *options, "--regions", "grid:2").code == 0
    assert counts(tmp_path / "one.csv")["a", "train"] == 16
    assert counts(tmp_path / "none.csv") == {("a", ""): 48, ("b", ""): 40, ("c", ""): 32}
    for path in (tmp_path / "one.csv", tmp_path / "folds-1.csv", tmp_path / "folds-3.csv"):
        sides: dict[str, set[str]] = {}
        for row in rows(path):
            sides.setdefault(row["path"], set()).add(row["split"])
        assert len(sides) == 30
        assert all(len(splits) == 1 for splits in sides.values())


def test_regions_of_images_with_several_labels(fne, voc, tmp_path):
    assert fne("split", voc, tmp_path / "voc.csv", "--voc", "--regions", "grid:2").code == 0
    listing = read_manifest(str(tmp_path / "voc.csv"), str(voc))
    assert listing.ids[0] == "JPEGImages/000001.jpg#0,0,10,8"
    np.testing.assert_array_equal(listing.label_array()[::4], [[0, 1, -1], [0, 0, 1], [-1, 0, 0], [0, 0, 0]])


def test_an_image_without_a_size_has_one_row_and_is_named(fne, birds, tmp_path):
    (birds / "a" / "00.png").write_bytes(b"nothing")
    (birds / "b" / "12.png").write_bytes(b"")
    done = fne("split", birds, tmp_path / "r.csv", "--regions", "grid:2")
    assert (done.code, done.err.splitlines()[1]) == (
        0,
        "2 of 30 images cannot be opened, and get one row without a box: a/00.png and 1 more. fne extract says what is "
        "wrong with them",
    )
    assert [row["path"] for row in rows(tmp_path / "r.csv") if not row["x0"]] == ["a/00.png", "b/12.png"]


def test_other_sizes_of_images_make_the_manifest_again(fne, birds, tmp_path):
    command = ("split", birds, tmp_path / "r.csv", "--regions", "sliding:1")
    fne(*command)
    write_image(birds / "a" / "00.png", 1, (9, 9))
    assert "r.csv is made again, as its inputs have changed" in fne(*command).err
    assert rows(tmp_path / "r.csv")[0]["x1"] == "9"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ("--regions", "sliding"),
            2,
            "such as sliding:3 or sliding:4,9, found 'sliding'",
        ),
        (("--regions", "grid:0"), 1, "with numbers from 1 to 32. Found: grid:0."),
        (("--regions", "grid:2", "--val", "10%"), 1, "--val goes with --test"),
        (("--regions", "grid:2", "--folds", "2", "--test", "10%"), 2, "Give one way to split"),
    ],
)
def test_regions_that_make_no_sense(fne, birds, tmp_path, options, code, message):
    result = fne("split", birds, tmp_path / "r.csv", *options)
    assert (result.code, message in result.err) == (code, True), result.err


def test_a_region_is_extracted_as_the_image_that_it_shows(fne, tmp_path):
    """Every row is that of a file with just these pixels; the first that of the whole."""
    for number, size in enumerate(((40, 30), (31, 50))):
        path = write_image(tmp_path / "whole" / "a" / f"{number}.png", number, size)
        for x0, y0, x1, y1 in Windows("sliding", 2).boxes(*size):
            cut = tmp_path / "cut" / "a" / f"{number}-{int(x0)}-{int(y0)}-{int(x1)}-{int(y1)}.png"
            cut.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).crop((x0, y0, x1, y1)).save(cut)
    assert fne("split", tmp_path / "whole", tmp_path / "r.csv", "--regions", "sliding:2").code == 0
    sides = {"regions": (tmp_path / "r.csv", "--root", tmp_path / "whole"), "cut": (tmp_path / "cut",)}
    found = {}
    for name, images in sides.items():
        out = tmp_path / f"{name}.h5"
        assert fne("extract", *images[:1], out, *images[1:], "--model", "mini").code == 0
        with h5py.File(out) as file:
            layer = next(iter(file["layers"].values()))
            ids = [name.decode() for name in file["images/path"][:]]
            found[name] = {
                re.sub(r"[#,]", "-", one).replace(".png", ""): row for one, row in zip(ids, layer[:], strict=True)
            }
    assert len(found["cut"]) == len(found["regions"]) == 10
    for name, row in found["cut"].items():
        np.testing.assert_array_equal(found["regions"][name], row, name)


# PASCAL VOC

OBJECT = "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>1</xmin></bndbox></object>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Four images in the layout of the challenge."""
    shown = {
        "000001": [("dog", 0), ("person", 1)],
        "000002": [("person", 0), ("person", 1)],
        "000003": [("cat", 1)],
        "000004": [],
    }
    root = tmp_path / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for name, objects in shown.items():
        body = "".join(OBJECT.format(*one) for one in objects)
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation><!-- by hand -->{body}</annotation>")
        write_image(root / "JPEGImages" / f"{name}.jpg", int(name))
    for split, names in (("train", ["000001"]), ("val", ["000002"]), ("test", ["000003", "000004"])):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


def test_voc(fne, voc, tmp_path):
    assert fne("split", voc, tmp_path / "voc.csv", "--voc").code == 0
    listing = read_manifest(str(tmp_path / "voc.csv"), str(voc))
    assert listing.classes == ["cat", "dog", "person"]
    assert listing.splits == ["train", "val", "test", "test"]
    np.testing.assert_array_equal(listing.label_array(), [[0, 1, -1], [0, 0, 1], [-1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object></object></annotation>", "should have a name in every object"),
        ("<annotation", "should be an annotation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "a document type or entities"),
        ("x" * (1 << 21), "more than 1,048,576 bytes"),
        (None, "No such file"),
    ],
)
def test_annotations_that_are_none_are_named(voc, content, message):
    path = voc / "Annotations" / "000002.xml"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=r"000002\.xml") as error:
        read_voc(str(voc), {"train": ["train"], "val": ["val"]})
    assert message in str(error.value)


def test_voc_has_no_label_column(fne, voc, tmp_path):
    told = fne("split", voc, tmp_path / "voc.csv", "--voc", "--label-column", "class")
    assert (told.code, told.err) == (
        1,
        "fne: --label-column names a column of a manifest. --voc has its classes in XML.\n",
    )


def test_image_sets_that_lead_elsewhere(voc):
    (voc / "ImageSets" / "Main" / "train.txt").write_text("../../../etc/passwd\n")
    with pytest.raises(BadInput, match="without folders"):
        read_voc(str(voc), {"train": ["train"]})
