"""--weights of a network that got another head: what is loaded, and what is said of the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras2_files import functional, image, layer, write_h5
from small_networks import small_vgg

from fne_cli.errors import BadInput
from fne_cli.networks import mini
from fne_cli.networks.backend import load_keras
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running.speed import measure
from fne_cli.networks.tapping.taps import find_taps, select
from fne_cli.networks.weights import Network, open_network

keras = load_keras()
layers = keras.layers
SIZE = (8, 8)
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "VGG16", small_vgg)


def nested(base: Any) -> Any:
    images = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(base(images, training=False))
    return keras.Model(images, layers.Dense(3, name="mine")(layers.Dense(7, name="hidden")(x)))


def flat(base: Any) -> Any:
    x = layers.GlobalAveragePooling2D()(base.output)
    return keras.Model(base.input, layers.Dense(3, name="mine")(layers.Dense(7, name="hidden")(x)))


def save(model: Any, path: Path) -> Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def features(network: Network) -> list[np.ndarray]:
    tapped = [tap.tensor for tap in select(find_taps(network.model), ())]
    return [np.asarray(values) for values in keras.Model(network.model.inputs, tapped)(PIXELS)]


@pytest.mark.parametrize("make", [nested, flat])
@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5"])
def test_the_head_of_a_fine_tuned_network_is_left_out_and_named(make: Any, name: str, tmp_path: Path) -> None:
    base = small_vgg(include_top=False)
    path = save(make(base), tmp_path / name)
    network = open_network("vgg16", str(path), image_size=SIZE)
    assert sorted(network.notes[0].removeprefix(f"--weights {path}: its head is left out: ").split(", ")) == [
        "hidden", "mine",
    ]  # fmt: skip
    conv1, conv2 = base.layers[1:]
    for found, expected in zip(features(network), (conv1(PIXELS), conv2(conv1(PIXELS))), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_is_timed_has_the_layers_that_a_file_of_weights_has(tmp_path: Path) -> None:
    path = save(small_vgg(include_top=False), tmp_path / "net.weights.h5")
    recipe = Recipe("vgg16", weights=str(path), batch_size=1)
    assert list(measure(recipe).features) == ["block1_conv1", "block1_conv2"]
    assert list(measure(replace(recipe, weights=None)).features) == ["block1_conv1", "block1_conv2", "fc1"]


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5"])
def test_a_new_classifier_costs_no_other_dense_layer(name: str, tmp_path: Path) -> None:
    whole = small_vgg()
    tuned = keras.Model(whole.input, layers.Dense(9, name="flowers")(whole.get_layer("fc1").output))
    path = save(tuned, tmp_path / name)
    network = open_network("vgg16", str(path), image_size=SIZE)
    assert network.notes == (f"--weights {path}: its head is left out: flowers",)
    assert [tap.layer for tap in select(find_taps(network.model), ())] == ["block1_conv1", "block1_conv2", "fc1"]
    np.testing.assert_array_equal(features(network)[2], keras.Model(whole.input, whole.get_layer("fc1").output)(PIXELS))
    assert "predictions" not in [one.name for one in network.model.layers]  # it would have random weights


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5"])
@pytest.mark.parametrize("include_top", [True, False])
def test_a_file_that_fits_says_nothing(name: str, include_top: bool, tmp_path: Path) -> None:
    path = save(small_vgg(include_top), tmp_path / name)
    assert open_network("vgg16", str(path), image_size=SIZE).notes == ()


def test_a_file_of_keras_2_with_another_head(tmp_path: Path) -> None:
    values = {name: small_vgg(False).get_layer(name).get_weights() for name in ("block1_conv1", "block1_conv2")}
    inner = {f"{name}/{part}:0": value for name, both in values.items()
             for part, value in zip(("kernel", "bias"), both, strict=True)}  # fmt: skip
    model = functional("net", [image((8, 8, 3)), layer("Dense", "mine", "image", units=1)], "mine")
    path = write_h5(tmp_path / "net.h5", model, {"vgg16": inner, "mine": {"mine/kernel:0": np.ones((3, 1))}})
    network = open_network("vgg16", str(path), image_size=SIZE)
    assert network.notes == (f"--weights {path}: its head is left out: mine",)
    for name, both in values.items():
        for found, expected in zip(network.model.get_layer(name).get_weights(), both, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_mini_takes_another_head_too(tmp_path: Path) -> None:
    model = mini.build()
    last = model.layers[-1]
    path = save(keras.Model(model.input, layers.Dense(3, name="mine")(last.input)), tmp_path / "mini.weights.h5")
    network = open_network("mini", str(path))
    assert network.notes == (f"--weights {path}: its head is left out: mine",)
    assert last.name not in [one.name for one in network.model.layers]


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5"])
def test_a_file_that_fits_nothing_says_what_it_has(name: str, tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 1, name="a"), layers.Dense(2, name="b")])
    path = save(other, tmp_path / name)
    with pytest.raises(BadInput) as error:
        open_network("vgg16", str(path), image_size=SIZE)
    start, *reasons, last = str(error.value).splitlines()
    assert start == f"--weights {path} should hold the weights of vgg16. Found:"
    assert [reason.split(":")[0] for reason in reasons] == ["with top", "without top"]
    assert last == "None of its layers (block1_conv1, block1_conv2) is in the file, which has a, b."


def test_the_right_names_with_other_shapes_are_refused(tmp_path: Path) -> None:
    path = save(nested(small_vgg(False, width=3)), tmp_path / "net.weights.h5")
    with pytest.raises(BadInput, match="should hold the weights of vgg16"):
        open_network("vgg16", str(path), image_size=SIZE)
