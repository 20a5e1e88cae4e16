"""fne export --cells: hypercolumns, and where they lie."""

import csv

import numpy as np
import pytest
from activations import table, write
from pictures import write_image
from pyarrow import parquet
from scipy import ndimage

from fne_cli.numerics.localization.grids import enlarged

SETTINGS = {"image_size": [8, 12], "resize": "squash"}
TEXTS = {
    "fine": {"pooling": "none", "output_shape": "4 x 4 x 3"},
    "coarse": {"pooling": "avg:2", "output_shape": "8 x 8 x 2"},
    "dense": {"pooling": "avg:2", "output_shape": "5"},
}


@pytest.fixture
def grid(tmp_path):
    """Three images, the second of them bad; maps of 4 x 4 and 2 x 2, and a dense layer."""
    rng = np.random.default_rng(0)
    layers = {"fine": rng.random((3, 4, 4, 3), np.float32), "coarse": rng.random((3, 8), np.float32)}
    layers["dense"] = rng.random((3, 5), np.float32)
    names = [f"a/{number}.png" for number in range(3)]
    images = table(3, paths=names, bad=(1,))
    images.sha256 = [""] * 3
    write(tmp_path / "grid.h5", layers, images, settings=SETTINGS, texts=TEXTS)
    write_image(tmp_path / "photos" / "a" / "0.png", 0, size=(24, 16))
    return tmp_path, layers


def test_cells_have_all_layers_on_the_finest_grid(fne, grid):
    folder, layers = grid
    done = fne("export", folder / "grid.h5", folder / "c.npz", "--cells")
    assert (done.code, "32 rows x 10 features" in done.err) == (0, True), done.err
    with np.load(folder / "c.npz") as found:
        values, boxes, cells = found["features"], found["box"], found["cell"]
        assert found["path"][16] == "a/2.png"
    np.testing.assert_array_equal(values[16:, :3], layers["fine"][2].reshape(16, 3))
    coarse = layers["coarse"][2].reshape(2, 2, 2)
    expected = [ndimage.zoom(coarse[..., k], 2, order=1, grid_mode=True, mode="nearest").ravel() for k in range(2)]
    np.testing.assert_allclose(values[16:, 3:5], np.stack(expected, axis=1), rtol=1e-5)
    np.testing.assert_allclose(values[16:, 5:], np.tile(layers["dense"][2], (16, 1)))
    assert cells.tolist() == [*range(16)] * 2
    assert boxes[[0, 1, 4, 15]].tolist() == [[0, 0, 3, 2], [3, 0, 6, 2], [0, 2, 3, 4], [9, 6, 12, 8]]


def test_boxes_in_pixels_of_the_images_and_the_other_forms(fne, grid):
    folder, _ = grid
    words = ("--cells", "--layers", "fine", "--images", folder / "photos")
    for ending in ("csv", "parquet", "npy"):
        done = fne("export", folder / "grid.h5", folder / f"c.{ending}", *words)
        assert (done.code, "1 images are missing" in done.err) == (0, True), done.err
    assert "is up to date" in fne("export", folder / "grid.h5", folder / "c.csv", *words).err
    with open(folder / "c.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(lines[15][side]) for side in ("x0", "y0", "x1", "y1")] == [18.0, 12.0, 24.0, 16.0]
    assert lines[16]["x0"] == "nan"
    assert parquet.read_table(folder / "c.parquet").column("x1")[15].as_py() == 24.0
    with open(folder / "c.npy.images.csv", newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["path", "cell", "split", "label", "x0", "y0", "x1", "y1"]
    again = fne("export", folder / "grid.h5", folder / "c.npy", *words, "--overwrite")
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("c.faiss", "--cells"), "--cells are for .npy"),
        (("c.npz", "--cells", "--embedding", "raw"), "Leave --embedding out"),
        (("c.npz", "--images", "photos"), "Give --cells, too"),
    ],
)
def test_options_that_do_not_go_together(fne, grid, options, said):
    done = fne("export", grid[0] / "grid.h5", grid[0] / options[0], *options[1:])
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.parametrize(("before", "after"), [((2, 3), (5, 4)), ((1, 1), (3, 2)), ((4, 4), (2, 2)), ((3, 2), (3, 2))])
def test_enlarged_is_scipys(before, after):
    values = np.random.default_rng(1).random((2, *before, 1)).astype(np.float32)
    zoom = [new / old for new, old in zip(after, before, strict=True)]
    expected = [ndimage.zoom(one[..., 0], zoom, order=1, grid_mode=True, mode="nearest") for one in values]
    np.testing.assert_allclose(enlarged(values, *after)[..., 0], expected, rtol=1e-5)
