"""What a recipe says of itself: its batches, the settings that a file stores, and the columns that it gives."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.networks.mini import build
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    keras = load_keras()
    images = keras.Input((None, None, 3))
    x = keras.layers.ReLU(name="act")(keras.layers.Conv2D(4, 3, name="first")(images))
    x = keras.layers.Conv2D(5, 3, activation="relu", name="second")(x)
    x = keras.layers.Dense(6, activation="relu", name="fc")(keras.layers.GlobalAveragePooling2D()(x))
    path = tmp_path_factory.mktemp("recipe") / "net.keras"
    keras.Model(images, keras.layers.Dense(2, activation="softmax", name="scores")(x), name="net").save(path)
    return str(path)


@pytest.fixture(scope="module")
def recipe(network: str) -> Recipe:
    return Recipe(network, preprocess="tf", image_size=(9, 8), batch_size=3)


@pytest.mark.parametrize(
    ("batch_size", "crops", "images", "rows"), [(16, 1, 16, 16), (16, 10, 1, 10), (4, 10, 1, 10), (64, 5, 12, 60)]
)
def test_a_batch_has_whole_images(batch_size: int, crops: Any, images: int, rows: int) -> None:
    recipe = Recipe(batch_size=batch_size, crops=crops)
    assert (recipe.images_per_batch, recipe.batch_rows) == (images, rows)


def test_settings_are_plain_and_complete(recipe: Recipe) -> None:
    settings = json.loads(json.dumps(Prepared.of(recipe).settings()))
    assert len(settings.pop("weights_sha256")) == 64
    assert settings == {
        "network": "net",
        "weights": "file",
        "preprocess": "tf",
        "image_size": [9, 8],
        "layers": {"first": "avg", "second": "avg", "fc": "avg"},
        "resize": "squash",
        "crops": 1,
        "box_context": 1.0,
        "batch_rows": 3,
        "precision": "float32",
        "xla": False,
        "dtype": "float32",
    }


CHANGES: dict[str, Any] = {
    "preprocess": "none",
    "image_size": (9, 9),
    "layers": ("second",),
    "pool": ("fc=none", "second=max"),
    "resize": "crop",
    "crops": 5,
    "box_context": 1.5,
    "decode": "reduced",
    "batch_size": 4,
    "precision": "bfloat16",
    "xla": True,
    "dtype": "float16",
}


def test_every_option_is_tried_below() -> None:
    assert {field.name for field in dataclasses.fields(Recipe)} == {*CHANGES, "model", "weights", "seed"}


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_shows_in_the_settings(option: str, recipe: Recipe) -> None:
    changed = dataclasses.replace(recipe, **{option: CHANGES[option]})
    assert Prepared.of(changed).settings() != Prepared.of(recipe).settings()


def test_the_weights_show_in_the_settings(tmp_path: Path) -> None:
    build().save_weights(tmp_path / "mini.weights.h5")
    weights = [("random", 0), ("random", 3), (str(tmp_path / "mini.weights.h5"), 0)]
    random, seeded, file = (Prepared.of(Recipe("mini", name, seed)).settings() for name, seed in weights)
    assert len({settings["weights"] for settings in (random, seeded, file)}) == 3
    assert len({settings["weights_sha256"] for settings in (random, seeded, file)}) == 3


def test_columns_describe_what_the_extractor_gives(recipe: Recipe) -> None:
    prepared = Prepared.of(dataclasses.replace(recipe, pool=("first*=max:2", "second=none")))
    columns = prepared.columns()
    assert columns == [
        ("first", (16,), {"tap": "Conv2D after act", "output_shape": "7 x 6 x 4", "pooling": "max:2"}),
        ("second", (5, 4, 5), {"tap": "Conv2D after second", "output_shape": "5 x 4 x 5", "pooling": "none"}),
        ("fc", (6,), {"tap": "Dense after fc", "output_shape": "6", "pooling": "avg"}),
    ]
    values = prepared.extractor(print)(np.zeros((3, 9, 8, 3), np.uint8))
    assert [np.asarray(value).shape for value in values] == [(3, *shape) for _, shape, _ in columns]


def test_the_default_recipe_is_vgg16_in_float32() -> None:
    recipe = Recipe()
    assert (recipe.model, recipe.weights, recipe.batch_rows, recipe.precision) == ("vgg16", None, 16, "float32")


def test_a_layer_that_is_not_there_is_an_error(recipe: Recipe) -> None:
    with pytest.raises(
        BadInput, match=r"'conv5' should match a convolutional or dense layer\. There are: first, second"
    ):
        Prepared.of(dataclasses.replace(recipe, layers=("conv5",)))


def test_two_spellings_of_one_network_have_the_same_settings(network: str, recipe: Recipe, tmp_path: Path) -> None:
    copy = tmp_path / "copy.keras"
    copy.write_bytes(Path(network).read_bytes())
    again = Prepared.of(dataclasses.replace(recipe, model=str(copy))).settings()
    assert again == Prepared.of(recipe).settings()
