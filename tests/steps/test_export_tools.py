"""fne export for TensorBoard, FiftyOne and Spotlight, read back with TensorBoard's, pandas' and Pillow's own code."""

from __future__ import annotations

import csv

import numpy as np
import pandas
import pytest
from activations import table, write
from google.protobuf import text_format
from pictures import write_image
from PIL import Image
from tensorboard.plugins.projector import projector_plugin
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from fne_cli.errors import BadInput, DifferentOutput, WrongOptions
from fne_cli.steps.export import export
from fne_cli.steps.export.projector import side_of

NAMES = ["a/0.png", "a/1\t#.png", "b/2.png", "b/3.png", "=b/4.png"]


@pytest.fixture
def source(tmp_path):
    """Five images, the fourth of them bad, with files; two layers of codes; and predictions of three."""
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "images" / name, number)
    images = table(5, paths=NAMES, split=["train", "train", "test", "test", "test"], bad=(3,),
                   label=np.array([0, 0, 1, 1, -1], np.int32))  # fmt: skip
    images.sha256[:] = [""] * 5
    rows = np.random.default_rng(0).integers(-1, 2, (5, 7)).astype(np.int8)
    (tmp_path / "p.csv").write_text("path,prediction,extra\na/0.png,a,\nb/2.png,a,\n'=b/4.png,b,\n")
    return write(tmp_path / "c.h5", {"one": rows[:, :3], "two": rows[:, 3:]}, images, kind="codes"), rows[[0, 1, 2, 4]]


def told(tmp_path):
    return {"images": str(tmp_path / "images"), "predictions": tmp_path / "p.csv"}


def test_pandas_reads_a_table_with_files_and_predictions(source, tmp_path):
    export(source[0], tmp_path / "c.parquet", **told(tmp_path))
    found = pandas.read_parquet(tmp_path / "c.parquet")
    assert list(found.columns) == ["path", "crop", "split", "label", "prediction", "file", "one", "two"]
    assert found["prediction"].fillna("-").tolist() == ["a", "-", "a", "b"]
    assert found["file"].tolist() == [str(tmp_path / "images" / NAMES[number]) for number in (0, 1, 2, 4)]
    assert all(Image.open(path).size == (20, 16) for path in found["file"])
    assert np.array_equal(np.hstack([np.stack(found["one"]), np.stack(found["two"])]), source[1])


def test_tensorboard_reads_the_folder(source, tmp_path):
    folder = tmp_path / "c.projector"
    export(source[0], folder, **told(tmp_path))
    config = ProjectorConfig()
    text_format.Parse((folder / "projector_config.pbtxt").read_text(), config)
    (one,) = config.embeddings
    tensor = projector_plugin._read_tensor_tsv_file(str(folder / one.tensor_path))
    assert np.array_equal(tensor, source[1])
    with open(folder / one.metadata_path, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert lines == [
        ["label", "split", "path", "prediction", "right"],
        ["a", "train", "a/0.png", "a", "yes"],
        ["a", "train", "'a/1\\x09#.png", "", ""],
        ["b", "test", "b/2.png", "a", "no"],
        ["", "test", "'=b/4.png", "b", ""],
    ]
    side = one.sprite.single_image_dim[0]
    assert list(one.sprite.single_image_dim) == [64, 64]
    pixels = np.asarray(Image.open(folder / one.sprite.image_path), np.float64)
    assert pixels.shape == (2 * side, 2 * side, 3)
    for place, name in enumerate((NAMES[0], NAMES[1], NAMES[2], NAMES[4])):
        top, left = divmod(place, 2)
        part = pixels[top * side : (top + 1) * side, left * side : (left + 1) * side]
        own = Image.open(tmp_path / "images" / name).resize((side, side), Image.Resampling.BILINEAR)
        assert np.abs(part - np.asarray(own)).mean() < 25  # noise, resized in another way; of another image it is 60


def test_the_folder_again_and_another_ones(source, tmp_path):
    folder = tmp_path / "c.projector"
    assert not export(source[0], folder).up_to_date
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert export(source[0], folder).up_to_date
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "sprite.png" not in before
    with pytest.raises(DifferentOutput, match=r"settings\.layers"):
        export(source[0], folder, layers=["one"])
    export(source[0], folder, layers=["one"], overwrite=True)
    assert len((folder / "tensors.tsv").read_text().split("\n")[0].split("\t")) == 3
    (folder / "metadata.tsv").write_text("mine")
    with pytest.raises(DifferentOutput, match=r"metadata\.tsv exists, so it should be .*Found: another file"):
        export(source[0], folder, layers=["one"], overwrite=True)


def test_pictures_fit_what_a_browser_takes():
    for count in (1, 5, 16_384, 16_385, 100_000):
        side = side_of(count)
        across = int(np.ceil(np.sqrt(count)))
        assert side * across <= 8192 and side <= 64 and (side == 64 or (side + 1) * across > 8192)


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        (
            "c.npz",
            {"images": "x"},
            WrongOptions,
            r"--images is for an OUTPUT that ends in \.parquet or \.projector\. Found: \.npz",
        ),
        ("c.csv", {"predictions": "p.csv"}, WrongOptions, r"--predictions is for an OUTPUT .*Found: \.csv"),
        ("c.parquet", {"root": "x"}, WrongOptions, "--root goes with --images"),
        ("c.projector", {"cells": True}, WrongOptions, r"--cells are for .*Found: \.projector"),
        ("c.projector", {"images": "nothing"}, BadInput, "--images .*nothing should have the images of the file"),
    ],
)
def test_what_does_not_go_together(source, tmp_path, name, options, error, said):
    (tmp_path / "nothing").mkdir()
    options = {
        key: tmp_path / value if isinstance(value, str) and key != "root" else value for key, value in options.items()
    }
    options = {key: str(value) if key == "images" else value for key, value in options.items()}
    with pytest.raises(error, match=said):
        export(source[0], tmp_path / name, **options)
    assert not (tmp_path / name).exists() or not list((tmp_path / name).iterdir())
