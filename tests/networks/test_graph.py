"""Flat graphs compute what the nested, unsized, 16-bit models that they come from compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.networks import graph
from fne_cli.networks.backend import load_keras
from fne_cli.networks.tapping.taps import find_taps

keras = load_keras()
layers = keras.layers
PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)


def backbone(side: int | None = 16) -> Any:
    """A small residual network without top."""
    images = keras.Input((side, side, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = short = layers.Conv2D(4, 3, strides=2, activation="relu", name="stem")(x)
    x = layers.BatchNormalization(name="bn", moving_mean_initializer="ones")(layers.Conv2D(4, 1, name="conv")(x))
    x = keras.ops.relu(layers.Add()([x, short]))
    return keras.Model(images, x, name="backbone")


def functional_with_backbone() -> Any:
    images = keras.Input((16, 16, 3))
    augmented = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.5)], name="augmentation")(images)
    x = layers.GlobalAveragePooling2D()(backbone()(augmented, training=False))
    return keras.Model(images, layers.Dense(5, name="scores", activation="softmax")(layers.Dropout(0.5)(x)))


def sequential_with_backbone() -> Any:
    top = keras.Sequential([layers.Flatten(), layers.Dense(6, activation="relu", name="fc")], name="top")
    return keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Dropout(0.5), backbone(), top, layers.Dense(5, name="scores")]
    )


@pytest.mark.parametrize(
    ("build", "taps"),
    [
        (backbone, ["stem", "conv"]),
        (lambda: backbone(None), ["stem", "conv"]),
        (functional_with_backbone, ["stem", "conv", "scores"]),
        (sequential_with_backbone, ["stem", "conv", "fc", "scores"]),
        (
            lambda: keras.Sequential([layers.Conv2D(4, 3, name="a"), layers.ReLU(), layers.Conv2D(2, 1, name="b")]),
            ["a", "b"],
        ),
    ],
)
def test_flat_models_give_the_same_and_show_every_layer(build: Any, taps: list[str]) -> None:
    model = build()
    expected = model(PIXELS, training=False)
    flat = graph.flat(model, 16, 16)
    np.testing.assert_array_equal(flat(PIXELS, training=False), expected)
    assert [tap.layer for tap in find_taps(flat)] == taps
    assert flat.input_shape == (None, 16, 16, 3)
    assert [id(weight) for weight in flat.weights] == [id(weight) for weight in model.weights]


def test_a_model_of_any_size_takes_the_size_asked_for() -> None:
    (stem, conv) = find_taps(graph.flat(backbone(None), 20, 12))
    assert (stem.shape, conv.shape) == ((9, 5, 4), (9, 5, 4))


@pytest.mark.parametrize("saved", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_precision_is_the_one_asked_for_whatever_the_model_was_saved_with(saved: str, precision: Any) -> None:
    keras.utils.set_random_seed(1)
    reference = backbone()(PIXELS)
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(saved)
    try:
        model = backbone()
    finally:
        keras.config.set_dtype_policy("float32")
    flat = graph.flat(model, 16, 16, precision)
    assert {layer.compute_dtype for layer in flat.layers[1:]} == {precision}
    assert {weight.dtype for weight in flat.weights} == {"float32"}
    output = flat(PIXELS)
    assert output.dtype == precision
    tolerance = {"float32": 0, "bfloat16": 0.02, "float16": 0.002}[precision]
    difference = np.abs(np.asarray(output, np.float64) - np.asarray(reference)).max()
    assert difference <= tolerance * np.abs(reference).max()


def test_a_normalization_layer_keeps_its_statistics_in_16_bits() -> None:
    # Its mean and variance are weights that count only after finalize_state: EfficientNet begins with such a layer.
    images = keras.Input((16, 16, 3))
    normalization = layers.Normalization()
    normalization.adapt(PIXELS)
    model = keras.Model(images, normalization(images))
    expected = model(PIXELS)
    np.testing.assert_allclose(np.asarray(graph.flat(model, 16, 16, "float16")(PIXELS)), expected, atol=5e-3)


def test_a_model_with_code_of_its_own_inside_is_an_error() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.conv = layers.Conv2D(3, 1)

        def call(self, images: Any) -> Any:
            return self.conv(images)

    images = keras.Input((16, 16, 3))
    with pytest.raises(BadInput) as error:
        graph.flat(keras.Model(images, Own()(images), name="outer"), 16, 16)
    assert str(error.value) == (
        "outer should be made of functional and sequential models. Found: own, a Own with code of its own, "
        "whose layers are not known before it runs."
    )


@pytest.mark.parametrize("side", [1, 20])
def test_a_size_that_the_layers_cannot_take_is_an_error(side: int) -> None:
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)], name="net"
    )
    with pytest.raises(BadInput, match=f"net cannot be built for images of {side} x {side}: "):
        graph.flat(model, side, side)


def test_two_layers_of_one_name_get_the_name_of_their_model_too() -> None:
    inner = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(3, 1, name="same")], name="inner")
    outer = keras.Sequential([keras.Input((16, 16, 3)), inner, layers.Conv2D(3, 1, name="same")], name="outer")
    expected = outer(PIXELS)
    flat = graph.flat(outer, 16, 16)
    assert [tap.layer for tap in find_taps(flat)] == ["inner.same", "same"]
    np.testing.assert_array_equal(flat(PIXELS), expected)
