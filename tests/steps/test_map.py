"""fne map: evidence that adds up to the decision value, drawn over images, and measured with boxes."""

import csv
import json

import h5py
import numpy as np
import pytest
from activations import table, write
from grids import SETTINGS, TEXTS, write_grid
from PIL import Image

from fne_cli.steps.map.measured import found


@pytest.fixture
def grid(tmp_path):
    """As `write_grid` has it."""
    return write_grid(tmp_path)


def lines(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("options", "seen"), [(("--pool", "avg"), "average.h5"), ((), "grid.h5")])
def test_cells_add_up_to_the_decision_value_that_predict_gives(fne, grid, options, seen):
    saved = grid / "k.npz"
    done = fne("evaluate", grid / "grid.h5", *options, "--embedding", "standardized", "--model", saved)
    assert done.code == 0, done.err
    given = {line["path"]: line for line in csv.DictReader(fne("predict", saved, grid / seen).out.splitlines())}
    done = fne(
        "map", saved, grid / "grid.h5", grid / "maps", "--images", grid / "photos", "--boxes", grid / "boxes.csv"
    )
    assert done.code == 0, done.err
    rows = lines(grid / "maps" / "maps.csv")
    assert {row["path"] for row in rows} == {path for path in given if int(path[2:-4]) >= 12}
    for row in rows:
        assert float(row["decision"]) == pytest.approx(float(given[row["path"]][f"decision:{row['class']}"]), abs=1e-5)
    document = json.loads((grid / "maps" / "maps.json").read_text())
    for one in document["drawn"]["maps"]:
        total = one["intercept"] + one["without_place"] + np.sum(one["map"])
        assert total == pytest.approx(float(given[one["path"]][f"decision:{one['class']}"]), abs=1e-5)
    (b,) = document["pointing"]["per_class"]
    assert (b["class"], b["images"], b["centre"]) == ("b", 6, 1.0)
    assert b["area"] == pytest.approx(10 * 5 / (40 * 20), abs=0.01)
    if options:  # weights for each cell learn noise of other cells from twelve images
        assert b["pointing"] == 1.0
        strongest = next(row for row in rows if row["class"] == "b" and row["hit"])
        assert (float(strongest["peak_x"]), float(strongest["peak_y"])) == (15.0, 12.5)
    with Image.open(grid / "maps" / "maps.png") as picture:
        assert picture.width == 1400


def test_again_is_up_to_date_and_other_options_are_refused(fne, grid):
    saved, folder = grid / "k.npz", grid / "maps"
    assert fne("evaluate", grid / "grid.h5", "--pool", "avg", "--embedding", "l2", "--model", saved).code == 0
    words = ("map", saved, grid / "grid.h5", folder, "--images", grid / "photos", "--wrong", "0")
    assert fne(*words).code == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = fne(*words)
    assert (again.code, "is up to date" in again.err) == (0, True)
    assert json.loads(fne(*words, "--json").out) | {"folder": ""} == {
        "folder": "", "images": None, "missing": None, "wrong": None, "pointing": None, "up_to_date": True
    }  # fmt: skip
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert fne(*words, "--class", "b").code == 4
    other = fne(*words, "--class", "b", "--only", "b/1*.png", "--overwrite")
    assert other.code == 0, other.err
    drawn = json.loads((folder / "maps.json").read_text())["drawn"]["maps"]
    assert [(one["path"], one["class"]) for one in drawn] == [(f"b/{n}.png", "b") for n in range(13, 20, 2)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--class", "c"), "--class should be a class of"),
        (("--only", "nothing*"), "--only should name images"),
        (("--rows", "val"), "should choose at least one good image"),
        (("--boxes", "absent.csv"), "should be a manifest that can be read"),
    ],
)
def test_wrong_options_are_said_and_leave_no_figures(fne, grid, options, said):
    saved = grid / "k.npz"
    assert fne("evaluate", grid / "grid.h5", "--pool", "avg", "--embedding", "raw", "--model", saved).code == 0
    done = fne("map", saved, grid / "grid.h5", grid / "maps", "--images", grid / "photos", *options)
    assert (done.code, said in done.err) == (1, True), done.err
    assert not list((grid / "maps").glob("*.png")) and not list((grid / "maps").glob("*.csv"))


def test_what_does_not_add_up_is_refused(fne, grid):
    """Ternary codes of averages; neighbours; averages of a file without cells; images that are not there."""
    words = (grid / "grid.h5", "--embedding")
    assert fne("evaluate", *words, "fne", "--pool", "avg", "--model", grid / "c.npz").code == 0
    assert fne("evaluate", *words, "l2", "--classifier", "knn:3", "--model", grid / "n.npz").code == 0
    assert fne("evaluate", *words, "l2", "--pool", "avg", "--model", grid / "l.npz").code == 0
    photos = ("--images", grid / "photos")
    for saved, file, said in (
        ("c", "grid", "should add up to the decision value"),
        ("n", "grid", "should be a linear classifier"),
        ("l", "average", "should be cells of a map"),
    ):
        done = fne("map", grid / f"{saved}.npz", grid / f"{file}.h5", grid / "maps", *photos)
        assert (done.code, said in done.err) == (1, True), done.err
    (grid / "empty").mkdir()
    done = fne("map", grid / "l.npz", grid / "grid.h5", grid / "maps", "--images", grid / "empty")
    assert (done.code, "should have the images of the file. Found: none of 12" in done.err) == (1, True)


def test_a_file_that_does_not_say_the_size_of_images_is_refused(fne, grid):
    with h5py.File(grid / "grid.h5") as file:
        layers = {name: layer[:] for name, layer in file["layers"].items()}
    images = table(24, split=["train"] * 12 + ["test"] * 12)
    settings = SETTINGS | {"image_size": "8"}
    write(grid / "other.h5", layers, images, settings=settings, texts=TEXTS)
    assert fne("evaluate", grid / "other.h5", "--embedding", "l2", "--model", grid / "k.npz").code == 0
    done = fne("map", grid / "k.npz", grid / "other.h5", grid / "maps", "--images", grid / "photos")
    assert (done.code, "should say the size of the network's images" in done.err) == (1, True)


def test_what_is_found_by_hand():
    """A peak in one of two objects; a box that is half of the other; objects that cover 1/4 and 1/16 of the image."""
    objects = np.array([[0.0, 0, 50, 50], [75, 75, 100, 100]])
    one = found(np.array([80.0, 90.0]), np.array([0.0, 0, 50, 25]), objects, (0, 0, 100, 100))
    assert (one.hit, one.overlap, one.centre) == (True, 0.5, True)
    assert one.area == pytest.approx(1 / 4 + 1 / 16)
