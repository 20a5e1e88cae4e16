"""Manifests of annotated boxes, and of regions that show what they overlap with."""

import csv

import pytest
from pictures import write_image


@pytest.fixture
def photos(tmp_path):
    """Two images of 40 x 40 pixels: a dog and a cat in the first quarter, a cat in the upper half."""
    for name in ("one", "two"):
        write_image(tmp_path / "photos" / "train" / "x" / f"{name}.png", 1, (40, 40))
    (tmp_path / "boxes.csv").write_text(
        "path,label,x0,y0,x1,y1,difficult\n"
        "one.png,dog,0,0,20,20,0\none.png,cat,10,0,40,20,0\none.png,bird,0,20,20,40,1\none.png,cat,0,0,20,20,0\n"
    )
    return tmp_path


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def test_a_row_for_each_object_that_is_not_difficult(fne, photos):
    words = ("split", photos / "photos", photos / "o.csv", "--boxes", photos / "boxes.csv")
    done = fne(*words)
    assert done.code == 0, done.err
    assert rows(photos / "o.csv") == [
        ("train/x/one.png", "cat;dog", "", "train", "0", "0", "20", "20"),
        ("train/x/one.png", "cat", "", "train", "10", "0", "40", "20"),
    ]
    assert "1 of 2 images have no annotation" in done.err
    assert "is up to date" in fne(*words).err


def test_regions_show_what_they_overlap_with_by_half(fne, photos):
    words = ("split", photos / "photos", photos / "r.csv", "--regions", "grid:2", "--boxes", photos / "boxes.csv")
    done = fne(*words)
    assert done.code == 0, done.err
    found = [(labels, ignored) for _, labels, ignored, *_ in rows(photos / "r.csv")]
    assert found[:4] == [("cat;dog", ""), ("cat", ""), ("", "bird"), ("", "")]  # 400 / 600 of the larger cat
    assert found[4:] == [("", "")] * 4
    assert "objects that some region overlaps with by half: cat 2 of 2, dog 1 of 1\n" in done.err
    (photos / "boxes.csv").write_text("path,label,x0,y0,x1,y1\none.png,dog,0,0,20,8\n")
    again = fne(*words)
    assert (again.code, "is made again, as its inputs have changed" in again.err) == (0, True), again.err
    assert rows(photos / "r.csv")[0][1:3] == ("", "dog")


def test_boxes_that_cannot_be(fne, photos):
    (photos / "boxes.csv").write_text("path,label,x0,y0,x1,y1,difficult\none.png,dog,0,0,20,20,1\n")
    done = fne("split", photos / "photos", photos / "o.csv", "--boxes", photos / "boxes.csv")
    assert (done.code, "should have objects that are not difficult" in done.err) == (1, True)
