from __future__ import annotations

import numpy as np
import pytest

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.networks import mini
from fne_cli.networks.backend import load_keras
from fne_cli.networks.trained.building import Start, build
from fne_cli.networks.trained.parts import weight_layers

SMALL = "vgg-mini:width=4,depth=2,units=8,image=16"


def weights(model):
    return {
        f"{layer.name}/{number}": value for layer in model.layers for number, value in enumerate(layer.get_weights())
    }


def test_the_seed_alone_decides_what_is_drawn():
    one, same, other = (build(Start(SMALL, seed=seed), 3).model for seed in (1, 1, 2))
    assert all(np.array_equal(value, weights(same)[name]) for name, value in weights(one).items())
    assert not np.array_equal(weights(one)["block1_conv1/0"], weights(other)["block1_conv1/0"])


def test_copies_are_of_the_first_layers_and_the_rest_is_drawn():
    load_keras()
    theirs = mini.build()
    mini.load_weights(theirs)
    theirs = weights(theirs)
    whole, some = build(Start(source="mini"), 7), build(Start(source="mini", copy=3, freeze=True), 7)
    assert whole.copied == 15 and whole.frozen == 0
    assert whole.layers[-1] == "predictions" and whole.model.output_shape == (None, 7)
    ours = weights(some.model)
    drawn = weights(build(Start("mini"), 7).model)
    for name, value in ours.items():
        copied = name.split("/")[0] in ("block1_conv1", "block1_conv2", "block2_conv1")
        assert np.array_equal(value, theirs[name] if copied else drawn[name]), name
    assert [layer.name for layer in some.model.layers if layer.weights and not layer.trainable] == [
        "block1_conv1", "block1_conv2", "block2_conv1",
    ]  # fmt: skip


def test_normalisation_goes_with_its_layer(tmp_path):
    keras = load_keras()
    x = images = keras.Input((8, 8, 3))
    for number in (1, 2):
        x = keras.layers.Conv2D(4, 3, name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
    keras.Model(images, x, name="normed").save(tmp_path / "n.keras")
    made = build(Start(source=str(tmp_path / "n.keras"), preprocess="tf", copy=1, freeze=True), 2)
    assert [[one.name for one in part.members] for part in weight_layers(made.model)[:2]] == [
        ["conv1", "norm1"], ["conv2", "norm2"],
    ]  # fmt: skip
    assert not made.model.get_layer("norm1").trainable and made.model.get_layer("norm2").trainable
    assert made.model.get_layer("average_pool").output.shape[1:] == (4,)


def test_a_layer_of_another_shape_is_named_with_both_shapes():
    with pytest.raises(BadInput) as error:
        build(Start(SMALL, source="mini", copy=2), 3)
    said = str(error.value)
    assert "Weight layer 1 of mini should have the shapes of the network to train." in said
    assert "block1_conv1.kernel 3 x 3 x 3 x 16 there, block1_conv1.kernel 3 x 3 x 3 x 4 here" in said
    assert "--copy 0 or less" in said


def test_too_many_layers_are_told_with_those_that_there_are():
    for start in (Start(source="mini", copy=16), Start("mini", copy=16, freeze=True)):
        with pytest.raises(BadInput, match=r"--copy should be at most 15.*: 1 block1_conv1, 2 .*15 fc2\. Found: 16"):
            build(start, 3)


@pytest.mark.parametrize("start", [Start(weights="imagenet"), Start(copy=2), Start(freeze=True),
                                   Start(source="mini", copy=0, freeze=True)])  # fmt: skip
def test_options_that_do_not_go_together(start):
    with pytest.raises(WrongOptions):
        build(start, 3)
