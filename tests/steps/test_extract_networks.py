"""fne extract with networks of one's own: files, preprocessing and what is said of them, from the command line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras2_files import conv, functional, image, layer, write_h5
from PIL import Image

from fne_cli import FullNetworkEmbedding

TORCH = "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,order=rgb,scale=0.00392156862745098"


@pytest.fixture
def of_keras_2(tmp_path: Path) -> Path:
    """A network of Keras 2 in HDF5, 8 x 8: a convolution, and a dense layer on its average."""
    random = np.random.default_rng(0)
    dense = layer("Dense", "embedding", "pool", units=5, activation="relu", use_bias=True)
    described = [
        image((8, 8, 3)),
        conv("c", "image", filters=4, size=3),
        layer("GlobalAveragePooling2D", "pool", "c", data_format="channels_last", keepdims=False),
        dense,
        layer("Dense", "scores", "embedding", units=2, activation="softmax", use_bias=True),
    ]
    shapes = {"c": (3, 3, 3, 4), "embedding": (4, 5), "scores": (5, 2)}
    weights = {
        name: {f"{name}/kernel:0": random.normal(0, 1, shape), f"{name}/bias:0": random.normal(0, 1, shape[-1])}
        for name, shape in shapes.items()
    }
    return write_h5(tmp_path / "two.h5", functional("two", described, "scores"), weights)


def rows(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[f"layers/{name}"][:]


def settings(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return json.loads(file["settings"][()] if "settings" in file else file.attrs["settings"])


def pixels(photos: Path, paths: list[bytes]) -> np.ndarray:
    images = [Image.open(photos / name.decode()).convert("RGB") for name in paths]
    return np.stack([np.asarray(one, np.float64) for one in images])


@pytest.mark.parametrize(
    "written",
    ["mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=1/255", "mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225],"
     "scale=1/255,order=RGB", TORCH],
)  # fmt: skip
def test_a_network_of_keras_2_with_numbers_as_preprocessing(
    fne: Any, written: str, of_keras_2: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    folder = tmp_path / "eight"
    for number in range(5):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixel = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixel).save(folder / "ab"[number % 2] / f"{number}.png")
    output = tmp_path / "out.h5"
    words = ("extract", folder, output, "--model", of_keras_2, "--batch-size", 2)
    done = fne(*words, "--preprocess", written)
    assert (done.code, done.out) == (0, "")
    assert "left out: scores (classifier)" in done.err
    assert settings(output)["preprocess"] == TORCH
    with h5py.File(output) as file:
        seen = pixels(folder, list(file["images/path"][:]))
    with h5py.File(of_keras_2) as file:
        kernel, bias, dense, dense_bias = (
            file[f"model_weights/{name}/{name}/{part}:0"][:]
            for name in ("c", "embedding")
            for part in ("kernel", "bias")
        )
    prepared = ((seen / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype(np.float32)
    convolved = np.asarray(keras.ops.conv(prepared, kernel.astype(np.float32))) + bias
    average = convolved.mean((1, 2))
    np.testing.assert_allclose(rows(output, "c"), average, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        rows(output, "embedding"), np.maximum(average @ dense + dense_bias, 0), rtol=1e-5, atol=1e-5
    )
    before = output.read_bytes()
    assert "up to date" in fne(*words, "--preprocess", TORCH).err
    assert output.read_bytes() == before
    other = fne(*words, "--preprocess", "unit")
    assert other.code == 4
    (line,) = [line for line in other.err.splitlines() if "preprocess" in line]
    assert line.strip().startswith('preprocess: "mean=0.485/0.456/0.406,std=0.229/')
    assert line.endswith('in the existing output, "unit" asked for')


def test_the_estimator_takes_the_same_words(of_keras_2: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), np.uint8)
    one, other = (
        FullNetworkEmbedding(str(of_keras_2), preprocess=text).activations(images)
        for text in ("scale=1/255,mean=[0.5,0.5,0.5],std=0.5", "mean=0.5,std=0.5/0.5/0.5,scale=1/255")
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pytorch", "Did you mean torch?"),
        ("mean=0.5,std=0.5", "Add scale=1/255, or scale=1 if it is meant so."),
        ("order=rgb,scale=0", "scale should be a number, or a fraction as 1/255. Found: '0'."),
    ],
)
def test_a_wrong_preprocessing_is_a_wrong_command_line(fne: Any, text: str, told: str, tmp_path: Path) -> None:
    done = fne("extract", tmp_path, tmp_path / "out.h5", "--model", "net.keras", "--preprocess", text)
    assert done.code == 2
    assert "Invalid value for '--preprocess'" in done.err
    assert told in done.err


def test_configuration_files_and_variables_have_it_too(
    fne: Any, of_keras_2: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fne.toml").write_text('[extract]\npreprocess = "scale=1/255"\nimage-size = 8\n')
    words = ("extract", photos, tmp_path / "out.h5", "--model", of_keras_2)
    assert fne(*words, "--config", tmp_path / "fne.toml").code == 0
    assert settings(tmp_path / "out.h5")["preprocess"] == "mean=0.0,std=1.0,order=rgb,scale=0.00392156862745098"
    (tmp_path / "fne.toml").write_text("[extract]\npreprocess = 3\n")
    wrong = fne(*words, "--config", tmp_path / "fne.toml")
    assert (wrong.code, "should be text, found 3" in wrong.err) == (2, True)
    monkeypatch.setenv("FNE_EXTRACT_PREPROCESS", "mena=3")
    assert fne(*words).code == 2


def test_without_a_preprocessing_it_is_asked_for(fne: Any, of_keras_2: Path, photos: Path, tmp_path: Path) -> None:
    done = fne("extract", photos, tmp_path / "out.h5", "--model", of_keras_2)
    assert done.code == 1
    told = "does not say how its input is to be prepared. Give --preprocess caffe|tf|torch|unit|none|imagenet|clip:"
    assert f"{of_keras_2} {told}" in done.err
    assert "It is what was done to the images in training" in done.err
    assert sorted(tmp_path.glob("out*")) == []


def test_a_network_that_prepares_its_images_gets_a_note(fne: Any, photos: Path, tmp_path: Path) -> None:
    images = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255, name="to_unit")(images)
    keras.Model(images, keras.layers.Conv2D(2, 3, activation="relu")(x), name="own").save(tmp_path / "own.keras")
    words = ("extract", photos, "--model", tmp_path / "own.keras", "--preprocess")
    told = "own begins with to_unit, a Rescaling that prepares the images, and gets --preprocess unit before it."
    done = fne(*words[:2], tmp_path / "a.h5", *words[2:], "unit")
    assert (done.code, told in done.err) == (0, True)
    done = fne(*words[:2], tmp_path / "b.h5", *words[2:], "none")
    assert (done.code, "begins with" in done.err) == (0, False)


@pytest.mark.parametrize("name", ["net.pt", "net.pkl", "net.keras", "net.h5", "net"])
@pytest.mark.parametrize("command", ["extract", "layers"])
def test_a_pickle_is_never_opened(fne: Any, name: str, command: str, photos: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    words = ("layers", tmp_path / name) if command == "layers" else (
        "extract", photos, tmp_path / "out.h5", "--model", tmp_path / name
    )  # fmt: skip
    done = fne(*words)
    assert done.code == 1
    assert "Found: a pickle." in done.err or "Found: a PyTorch file." in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "ran").exists()
    assert sorted(tmp_path.glob("out*")) == []
