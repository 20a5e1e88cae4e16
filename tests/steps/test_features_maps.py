"""fne features --maps: a feature in every cell of the images that excite it most."""

import json

import numpy as np
import pytest
from activations import table, write
from pictures import write_image
from PIL import Image

SETTINGS = {"image_size": [8, 8], "resize": "squash", "layers": {"conv": "avg:4", "fc": "avg:4"}}
TEXTS = {"conv": {"pooling": "avg:4", "output_shape": "8 x 8 x 3"}, "fc": {"pooling": "avg:4", "output_shape": "5"}}


@pytest.fixture
def grid(tmp_path):
    """Twelve images of 40 x 20 pixels; the second channel has n in the cell 2, 1 (row, column) of image n."""
    rng = np.random.default_rng(1)
    cells = rng.uniform(0, 0.01, (12, 4, 4, 3)).astype(np.float32)
    cells[:, 2, 1, 1] = np.arange(12)
    names = [f"{'ab'[n % 2]}/{n}.png" for n in range(12)]
    for number, name in enumerate(names):
        write_image(tmp_path / "photos" / name, number, size=(40, 20))
    images = table(12, paths=names, split=["train"] * 6 + ["test"] * 6, bad=(11,))
    images.sha256 = [""] * 12
    layers = {"conv": cells.reshape(12, 48), "fc": np.zeros((12, 5), np.float32)}
    write(tmp_path / "grid.h5", layers, images, settings=SETTINGS, texts=TEXTS)
    return tmp_path


def test_the_largest_images_with_their_maps(fne, grid):
    words = ("features", grid / "grid.h5", "--feature", "conv:1", "--maps", grid / "maps", "--top", 3)
    done = fne(*words, "--images", grid / "photos")
    assert done.code == 0, done.err
    assert [line.split()[-1] for line in done.out.splitlines()[1:]] == ["a/10.png", "b/9.png", "a/8.png"]
    document = json.loads((grid / "maps" / "conv-1.json").read_text())
    first = document["images"][0]
    assert np.unravel_index(np.argmax(first["map"]), (4, 4)) == (2, 1)
    assert (first["x"], first["y"], np.max(first["map"])) == (15.0, 12.5, 10.0)
    assert first["value"] == pytest.approx(np.mean(first["map"]))
    with Image.open(grid / "maps" / "conv-1.png") as picture:
        assert picture.width == 1400
    before = {path.name: path.read_bytes() for path in (grid / "maps").iterdir()}
    again = fne(*words, "--images", grid / "photos")
    assert (again.code, "conv-1.png is up to date" in again.err, again.out) == (0, True, done.out)
    assert {path.name: path.read_bytes() for path in (grid / "maps").iterdir()} == before
    alone = fne(*words, "--json")  # other settings
    assert (alone.code, "--overwrite" in alone.err) == (4, True)
    alone = fne(*words, "--json", "--overwrite")
    assert [one["x"] for one in json.loads(alone.out)["images"]] == [None] * 3
    other = fne("features", grid / "grid.h5", "--feature", "conv:0", "--maps", grid / "maps")
    assert other.code == 0, other.err  # features do not meet in a folder
    assert fne(*words, "--json").err.count("up to date") == 1


def test_rows_and_classes_choose(fne, grid):
    done = fne("features", grid / "grid.h5", "--feature", "conv:1", "--maps", grid / "maps", "--rows", "train",
               "--class", "a", "--json")  # fmt: skip
    assert [one["path"] for one in json.loads(done.out)["images"]] == ["a/4.png", "a/2.png", "a/0.png"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--feature", "conv:3"), 1, "with a number below 3 for conv"),
        (("--feature", "pool:0"), 1, "has the layers: conv, fc"),
        (("--feature", "fc:0"), 1, "the layer fc should be cells of a map"),
        ((), 2, "--maps draws one feature"),
        (("--feature", "conv:1", "--class", "c"), 1, "should have a class 'c'"),
        (("--feature", "conv:1", "--images", "empty"), 1, "should have the images of the file. Found: none of 10"),
        (("--feature", "conv:1", "--top", "200"), 2, "--top should be at most 96"),
        (("--feature", "conv:1", "--distances"), 2, "--maps takes the activations as FILE"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_leaves_nothing(fne, grid, monkeypatch, options, code, said):
    monkeypatch.chdir(grid)
    (grid / "empty").mkdir()
    done = fne("features", "grid.h5", "--maps", "maps", *options)
    assert (done.code, said in done.err) == (code, True), done.err
    assert not list((grid / "maps").glob("*.png")) and not list((grid / "maps").glob("*.json"))


def test_images_without_maps_are_refused(fne, grid):
    done = fne("features", grid / "grid.h5", "--images", grid / "photos")
    assert (done.code, "go with --maps FOLDER" in done.err) == (2, True)
