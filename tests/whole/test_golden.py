"""The whole chain with numbers worked out by hand: a 1 x 1 convolution over images of one colour."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

# Grey levels of the images. The network is one convolution with three filters on 0 ... 255 values of the red channel:
# relu(r), relu(r - 100) and relu(-r), then a dense layer that nobody asks for.
TRAIN = {"a/1.png": 10, "a/2.png": 20, "b/1.png": 110, "b/2.png": 140}
TEST = {"a/3.png": 15, "b/3.png": 130, "b/4.png": 75}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fne_cli.networks.backend import load_keras
    from fne_cli.steps.discretize import discretize
    from fne_cli.steps.evaluate import evaluate
    from fne_cli.steps.extract import Recipe, extract
    from fne_cli.steps.normalize import normalize

    keras = load_keras()
    folder = tmp_path_factory.mktemp("golden")
    for split, files in (("train", TRAIN), ("test", TEST)):
        for name, level in files.items():
            path = folder / "images" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (5, 7), (level, 0, 0)).save(path)
    images = keras.Input((4, 4, 3))
    convolution = keras.layers.Conv2D(3, 1, activation="relu", name="conv")
    x = keras.layers.GlobalAveragePooling2D()(convolution(images))
    model = keras.Model(images, keras.layers.Dense(2, activation="softmax", name="scores")(x), name="golden")
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 0] = [1, 1, -1]
    convolution.set_weights([kernel, np.array([0, -100, 0], np.float32)])
    model.save(folder / "golden.keras")

    activations, moments, codes = (folder / f"{name}.h5" for name in ("activations", "moments", "codes"))
    recipe = Recipe(model=str(folder / "golden.keras"), preprocess="none", batch_size=2)
    extract(str(folder / "images"), activations, recipe)
    normalize(activations, moments)
    discretize(activations, moments, codes)
    evaluate(codes, folder / "results.json")
    return folder


def test_activations_are_the_relu_of_the_red_level(chain: Path) -> None:
    with h5py.File(chain / "activations.h5") as file:
        assert file["images/path"][:].astype(str).tolist() == [
            "test/a/3.png", "test/b/3.png", "test/b/4.png", "train/a/1.png", "train/a/2.png", "train/b/1.png",
            "train/b/2.png",
        ]  # fmt: skip
        assert file["images/split"][:].astype(str).tolist() == ["test"] * 3 + ["train"] * 4
        assert file["images/label"][:].tolist() == [0, 1, 1, 0, 0, 1, 1]
        assert file["classes"][:].astype(str).tolist() == ["a", "b"]
        assert file["layers/conv"][:].tolist() == [
            [15, 0, 0], [130, 30, 0], [75, 0, 0], [10, 0, 0], [20, 0, 0], [110, 10, 0], [140, 40, 0],
        ]  # fmt: skip


def test_moments_are_those_of_the_training_images_with_ddof_0(chain: Path) -> None:
    with h5py.File(chain / "moments.h5") as file:
        # 10, 20, 110, 140: mean 70, squared deviations 3600 + 2500 + 1600 + 4900 = 12600, / 4 = 3150
        # 0, 0, 10, 40: mean 12.5, squared deviations 156.25 * 2 + 6.25 + 756.25 = 1075, / 4 = 268.75
        assert file["layers/conv/mean"][:].tolist() == [70, 12.5, 0]
        assert file["layers/conv/std"][:] == pytest.approx([3150**0.5, 268.75**0.5, 0], rel=1e-15)
        assert file["layers/conv"].attrs["rows"] == 4


def test_codes_follow_the_thresholds_and_a_constant_feature_is_0(chain: Path) -> None:
    # z of the first column, std 56.12: 15 -> -.98, 130 -> 1.07, 75 -> .09, 10 -> -1.07, 20 -> -.89, 110 -> .71,
    # 140 -> 1.25
    # z of the second, std 16.39: 0 -> -.76, 30 -> 1.07, 0, 0, 0, 10 -> -.15, 40 -> 1.68
    with h5py.File(chain / "codes.h5") as file:
        assert file["layers/conv"][:].tolist() == [
            [-1, -1, 0], [1, 1, 0], [0, -1, 0], [-1, -1, 0], [-1, -1, 0], [1, 0, 0], [1, 1, 0],
        ]  # fmt: skip


def test_the_svm_separates_the_classes(chain: Path) -> None:
    results = json.loads((chain / "results.json").read_text())
    (embedding,) = results["results"]
    assert (embedding["features"], embedding["training_rows"], embedding["test_rows"]) == (3, 4, 3)
    # Test codes: a/3 is as the training a; b/3 as b/2. b/4 = (0, -1, 0) lies on a's side: the weights of b are positive
    # in both columns, so f_b = -w2 + b is below that of a.
    assert embedding["confusion"] == [[1, 0], [1, 1]]
    assert embedding["accuracy"] == pytest.approx(2 / 3)
    assert embedding["mean_per_class_accuracy"] == pytest.approx(0.75)
    assert [row["accuracy"] for row in embedding["per_class"]] == [1.0, 0.5]
