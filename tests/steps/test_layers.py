"""fne layers: the tables of VGG16 and VGG19 as the paper counts them, and what other options change."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.networks.weights import open_network
from fne_cli.steps.layers import known, layers

VGG16 = """\
order  layer         kind                output           pooling     features  first column
1      block1_conv1  Conv2D              224 x 224 x 64   avg         64        0
2      block1_conv2  Conv2D              224 x 224 x 64   avg         64        64
3      block2_conv1  Conv2D              112 x 112 x 128  avg         128       128
4      block2_conv2  Conv2D              112 x 112 x 128  avg         128       256
5      block3_conv1  Conv2D              56 x 56 x 256    avg         256       384
6      block3_conv2  Conv2D              56 x 56 x 256    avg         256       640
7      block3_conv3  Conv2D              56 x 56 x 256    avg         256       896
8      block4_conv1  Conv2D              28 x 28 x 512    avg         512       1,152
9      block4_conv2  Conv2D              28 x 28 x 512    avg         512       1,664
10     block4_conv3  Conv2D              28 x 28 x 512    avg         512       2,176
11     block5_conv1  Conv2D              14 x 14 x 512    avg         512       2,688
12     block5_conv2  Conv2D              14 x 14 x 512    avg         512       3,200
13     block5_conv3  Conv2D              14 x 14 x 512    avg         512       3,712
14     fc1           Dense               4096                         4,096     4,224
15     fc2           Dense               4096                         4,096     8,320
16     predictions   Dense (classifier)  1000             not tapped
vgg16, 224 x 224, preprocessing caffe: 15 taps, 12,416 features; 49,664 bytes per image (float32), 12,416 as codes
left out: predictions (classifier: --layers '*' takes it too)
"""


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_vgg16_has_the_12416_features_of_the_paper(fne: Callable[..., Any]) -> None:
    result = fne("layers", "vgg16")
    assert result.code == 0
    assert words(result.out) == words(VGG16)


def test_vgg19_has_13696_features() -> None:
    table = layers("VGG19")
    tapped = [row for row in table.rows if row.first_column is not None]
    assert (len(tapped), table.features, table.bytes_per_image) == (18, 13696, 54784)
    assert [row.layer for row in tapped[-4:]] == ["block5_conv3", "block5_conv4", "fc1", "fc2"]


def test_json_has_the_whole_table(fne: Callable[..., Any]) -> None:
    result = fne("layers", "mini", "--layers", "block5*,predictions", "--pool", "max,block5_conv3=avg:2", "--json")
    table = json.loads(result.out)
    assert table["network"] == "mini"
    assert (table["image_size"], table["preprocess"]) == ([32, 32], "tf")
    assert len(table["rows"]) == 16
    chosen = {
        row["layer"]: (row["order"], row["pooling"], row["features"], row["first_column"])
        for row in table["rows"]
        if row["first_column"] is not None
    }
    assert chosen == {
        "block5_conv1": (11, "max", 128, 0),
        "block5_conv2": (12, "max", 128, 128),
        "block5_conv3": (13, "avg:2", 512, 256),
        "predictions": (16, "max", 10, 768),
    }
    assert table["rows"][12]["output_shape"] == [2, 2, 128]
    assert table["rows"][12]["output_of"] == "block5_conv3"
    assert (table["features"], table["bytes_per_image"], table["code_bytes_per_image"]) == (778, 3112, 778)


@pytest.fixture
def any_size(tmp_path: Path) -> str:
    keras = load_keras()
    images = keras.Input((None, None, 3))
    x = keras.layers.ReLU(name="act")(keras.layers.Conv2D(4, 3, name="conv")(images))
    keras.Model(images, x, name="net").save(tmp_path / "net.keras")
    return str(tmp_path / "net.keras")


def test_a_keras_file_needs_no_preprocessing_but_perhaps_a_size(any_size: str, fne: Callable[..., Any]) -> None:
    result = fne("layers", any_size)
    assert (result.code, result.out) == (1, "")
    assert result.err == f"fne: {any_size} takes images of any size. Give --image-size.\n"
    result = fne("layers", any_size, "--image-size", "12x10", "--pool", "none")
    assert words(result.out)[1:] == words(
        "1 conv Conv2D 10 x 8 x 4 none 320 0\n"
        "net, 12 x 10, preprocessing to be given: 1 taps, 320 features; "
        "1,280 bytes per image (float32), 320 as codes"
    )


def test_another_size_of_a_known_network_leaves_its_dense_layers_out() -> None:
    table = layers("vgg16", image_size=(64, 32))
    assert [row.layer for row in table.rows][-1] == "block5_conv3"
    assert (table.features, table.rows[-1].output_shape) == (4224, (4, 2, 512))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ("fc9",)}, "--layers 'fc9' should match a convolutional or dense layer. There are: block1_conv1, "),
        (
            {"pool": ("median",)},
            "--pool should be avg, max, avg:2, max:3 ... or none; of transformers also cls, mean or ",
        ),
        ({"pool": ("mean",)}, "--pool 'mean' should be for layers with tokens. Found: block1_conv1, which has none."),
        ({"pool": ("predictions=max",)}, "--pool 'predictions=max' should name layers that are tapped."),
    ],
)
def test_options_that_fit_nothing_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        layers("mini", **options)
    assert str(error.value).startswith(message)


def test_an_unknown_network_is_an_error(fne: Callable[..., Any]) -> None:
    result = fne("layers", "vgg-61")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("fne: 'vgg-61' should be a network's name or a .keras file. Did you mean vgg")


@pytest.mark.parametrize(
    ("model", "widths"),
    [
        ("fisher", {"cells1x1": 40_960, "cells3x1": 122_880, "cells2x2": 163_840}),
        ("bow", {"cells1x1": 1024, "cells3x1": 3072, "cells2x2": 4096}),
        ("HOG", {"cell8": 34_596, "cell16": 8100, "cell32": 1764}),
    ],
)
def test_features_made_by_hand_are_listed_as_layers(model, widths):
    found = layers(model)
    assert {row.layer: row.features for row in found.rows} == widths
    assert (found.features, found.image_size) == (sum(widths.values()), (256, 256))
    [last] = [row for row in layers(model, layers=("*2*",)).rows if row.first_column is not None]
    assert (last.layer, last.first_column) == (list(widths)[-1], 0)
    with pytest.raises(BadInput, match="--pool is for networks"):
        layers(model, pool=("max",))


def test_without_a_network_those_with_a_name_are_listed(fne: Callable[..., Any]) -> None:
    found = {one["name"]: one for one in json.loads(fne("layers", "--json").out)["networks"]}
    assert {name: found["mini"][name] for name in ("name", "image_size", "preprocess", "features", "licence")} == {
        "name": "mini", "image_size": 32, "preprocess": "tf", "features": 3104, "licence": "MIT",
    }  # fmt: skip
    # The parameters as https://keras.io/api/applications has them in millions, VGG16's as its paper counts them.
    published = {"vgg16": 138.4, "resnet50": 25.6, "xception": 22.9, "mobilenetv2": 3.5, "densenet121": 8.1,
                 "inceptionv3": 23.9, "efficientnetb0": 5.3, "convnexttiny": 28.6, "nasnetlarge": 88.9}  # fmt: skip
    assert {name: round(found[name]["parameters"] / 1e6, 1) for name in published} == published
    # Multiplications with additions as the papers have them, in billions; here both are counted.
    papers = {"vgg16": 15.5, "resnet50": 3.8, "mobilenetv2": 0.3, "xception": 8.4, "densenet121": 2.9,
              "efficientnetb0": 0.39, "convnexttiny": 4.5, "nasnetlarge": 23.8}  # fmt: skip
    assert {name: found[name]["flop"] / 2e9 for name in papers} == pytest.approx(papers, rel=0.08)
    assert found["inceptionv3"]["image_size"] == 299
    listed = fne("layers", "--list")
    assert listed.out == fne("layers").out
    assert all(name in listed.out for name in found)
    assert fne("layers", "--pool", "max").code == 2
    assert fne("layers", "vgg16", "--list").code == 2


@pytest.mark.parametrize("key", ["name", "image_size", "features", "parameters", "flop", "licence"])
def test_the_list_of_networks_can_be_sorted(key: str, fne: Callable[..., Any]) -> None:
    found = json.loads(fne("layers", "--list", "--sort", key, "--json").out)["networks"]
    values = [one[key] for one in found]
    assert values == sorted(values)
    assert len(values) == 41


@pytest.mark.parametrize("name", ["mini", pytest.param("mobilenetv2", marks=pytest.mark.slow)])
def test_what_the_list_says_is_what_the_network_has(name: str, fne: Callable[..., Any]) -> None:
    model = open_network(name, weights="random").model
    (listed,) = [one for one in known() if one.name == name]
    assert model.count_params() == listed.parameters
    assert layers(name).features == listed.features
    products = 0  # of convolutions and dense layers, which all but a little of the work is in
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            per_place = kernel.shape[0] * kernel.shape[1] * layer.input.shape[-1] if "Depthwise" in type(
                layer
            ).__name__ else math.prod(kernel.shape)  # fmt: skip
            products += per_place * math.prod(layer.output.shape[1:-1])
    assert 2 * products == pytest.approx(listed.flop, rel=0.05)
