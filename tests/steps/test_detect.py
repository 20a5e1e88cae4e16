"""fne detect: boxes of regions after suppression, and how well they find objects."""

import csv
import json

import numpy as np
import pytest
from activations import table, write

BOXES = [(0, 0, 10, 10), (2, 0, 12, 10), (20, 0, 30, 10), (0, 20, 10, 30)]


@pytest.fixture
def regions(fne, tmp_path):
    """Eight pictures of four regions, half for training; the first region shows the class dog, the last one cat.

    The second region overlaps with the first by 2/3, and looks like it, less.
    """
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.05, (32, 4)).astype(np.float32)
    values[:, :2] += np.tile([[2, 0], [1.2, 0], [0, 0], [0, 2]], (8, 1))
    label = np.tile([[0, 1], [0, -1], [0, 0], [1, 0]], (8, 1)).astype(np.int8)
    paths = [f"p{n // 4}.png#{','.join(map(str, BOXES[n % 4]))}" for n in range(32)]
    images = table(32, paths=paths, split=["train"] * 16 + ["test"] * 16, label=label, classes=("cat", "dog"))
    write(tmp_path / "regions.h5", {"conv": values}, images)
    words = ("--embedding", "raw", "--layers", "conv", "--model", tmp_path / "k.npz")
    assert fne("evaluate", tmp_path / "regions.h5", *words).code == 0
    objects = [f"p{n}.png,dog,0,0,10,10" for n in range(4, 8)] + ["p4.png,cat,0,20,10,29", "p5.png,cat,20,20,30,30"]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,label,x0,y0,x1,y1", *objects]) + "\n")
    return tmp_path


def lines(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_best_of_those_that_overlap_stays(fne, regions):
    words = ("detect", regions / "k.npz", regions / "regions.h5", regions / "d.csv")
    done = fne(*words)
    assert (done.code, "24 boxes in 4 images" in done.err) == (0, True), done.err
    found = [row for row in lines(regions / "d.csv") if row["path"] == "p4.png"]
    assert [row["class"] for row in found] == ["cat"] * 3 + ["dog"] * 3
    dogs = [tuple(float(row[key]) for key in ("x0", "y0", "x1", "y1")) for row in found if row["class"] == "dog"]
    assert dogs[0] == BOXES[0] and BOXES[1] not in dogs
    given = {row["path"]: row for row in csv.DictReader(fne("predict", *words[1:3]).out.splitlines())}
    assert found[3]["score"] == given["p4.png#0,0,10,10"]["decision:dog"]
    assert "is up to date" in fne(*words).err
    assert fne(*words, "--overlap", "0.9").code == 4
    assert fne(*words, "--overlap", "0.9", "--overwrite").code == 0
    assert len(lines(regions / "d.csv")) == 32


def test_average_precision_by_hand(fne, regions):
    """Every dog is found first. The best cat is right, then three are wrong, and one of two cats is never found."""
    words = ("detect", regions / "k.npz", regions / "regions.h5", regions / "d.csv", "--boxes", regions / "boxes.csv")
    measured = json.loads(fne(*words, "--json").out)
    cat, dog = measured["per_class"]
    assert (dog["average_precision"], dog["objects"], dog["detections"]) == (1.0, 4, 12)
    assert dog["average_precision_of_images"] == 1.0
    first = [row for row in lines(regions / "d.csv") if row["class"] == "cat"]
    order = sorted(first, key=lambda row: -float(row["score"]))
    rank = 1 + next(n for n, row in enumerate(order) if (row["path"], row["y0"]) == ("p4.png", "20.0"))
    assert cat["average_precision"] == pytest.approx(0.5 / rank)
    assert measured["images"] == 4
    assert "dog" in fne(*words).out


def test_what_is_no_region_is_refused(fne, regions):
    images = table(4, split=["train"] * 2 + ["test"] * 2)
    write(regions / "other.h5", {"conv": np.zeros((4, 4), np.float32)}, images)
    done = fne("detect", regions / "k.npz", regions / "other.h5", regions / "d.csv")
    assert (done.code, "should have regions of images" in done.err) == (1, True)
    (regions / "note.csv").write_text("mine\n")
    done = fne("detect", regions / "k.npz", regions / "regions.h5", regions / "note.csv", "--overwrite")
    assert (done.code, (regions / "note.csv").read_text()) == (4, "mine\n")
