"""Where networks are tapped: small graphs with one rule each, Keras's own networks, and real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.networks.tapping.taps import Tap, find_taps, in_one_line, left_out, select
from fne_cli.networks.weights import open_network

keras = load_keras()
layers = keras.layers


def taps_of(network: Callable[[Any], Any]) -> list[Tap]:
    images = keras.Input((8, 8, 3))
    return find_taps(keras.Model(images, network(images)))


def after(taps: list[Tap]) -> dict[str, str]:
    """Which layer's output each tapped layer gives."""
    return {tap.layer: tap.output_of for tap in taps}


def conv(x: Any, name: str = "conv", activation: Any = None) -> Any:
    return layers.Conv2D(4, 3, padding="same", name=name, activation=activation)(x)


@pytest.mark.parametrize("activation", ["relu", "swish", "leaky_relu", "softplus"])
def test_a_fused_activation_is_the_layers_own_output(activation: str) -> None:
    assert after(taps_of(lambda x: layers.ReLU()(conv(x, activation=activation)))) == {"conv": "conv"}


def test_a_fused_activation_that_is_a_layer_counts_as_one() -> None:
    assert after(taps_of(lambda x: layers.ReLU()(conv(x, activation=layers.LeakyReLU())))) == {"conv": "conv"}


@pytest.mark.parametrize(
    "activation",
    [
        layers.ReLU(name="act"),
        layers.ReLU(max_value=6, name="act"),
        layers.LeakyReLU(name="act"),
        layers.PReLU(name="act"),
        layers.ELU(name="act"),
        layers.Activation("relu", name="act"),
        layers.Activation("hard_swish", name="act"),
    ],
)
@pytest.mark.parametrize("normalised", [False, True])
def test_an_activation_as_its_own_layer_is_taken(activation: Any, normalised: bool) -> None:
    def network(x: Any) -> Any:
        x = conv(x)
        if normalised:
            x = layers.BatchNormalization(name="bn")(x)
        return conv(type(activation).from_config(activation.get_config())(x), "next", "relu")

    assert after(taps_of(network)) == {"conv": "act", "next": "next"}


@pytest.mark.parametrize("function", ["relu", "relu6", "leaky_relu", "silu", "gelu", "tanh"])
@pytest.mark.parametrize("room", ["ops", "activations"])
def test_an_activation_of_keras_ops_is_taken(function: str, room: str) -> None:
    tap = taps_of(lambda x: layers.Add()([getattr(getattr(keras, room), function)(conv(x))] * 2))[0]
    assert tap.output_of == tap.tensor._keras_history.operation.name != "conv"


def test_a_linear_activation_is_passed_on_the_way_to_the_real_one() -> None:
    taps = taps_of(lambda x: layers.ReLU(name="act")(layers.Activation("linear")(conv(x))))
    assert after(taps) == {"conv": "act"}


def test_batch_norm_without_activation_is_taken_before_the_addition() -> None:
    def network(x: Any) -> Any:
        short = conv(x, "short")
        long = layers.BatchNormalization(name="bn")(conv(x, "long"))
        return layers.ReLU(name="act")(layers.Add(name="add")([short, long]))

    assert after(taps_of(network)) == {"short": "short", "long": "bn"}


def test_two_consumers_end_the_search() -> None:
    def twice(x: Any) -> Any:
        x = conv(x)
        return layers.Add()([layers.ReLU()(x), layers.LeakyReLU()(x)])

    def twice_normalised(x: Any) -> Any:
        x = layers.BatchNormalization(name="bn")(conv(x))
        return layers.Add()([layers.ReLU()(x), x])

    assert after(taps_of(twice)) == {"conv": "conv"}
    assert after(taps_of(twice_normalised)) == {"conv": "bn"}


def test_the_next_layers_own_activation_is_not_taken_for_this_ones() -> None:
    assert after(taps_of(lambda x: conv(conv(x, "first"), "second", "relu"))) == {"first": "first", "second": "second"}


def test_one_activation_layer_called_after_many_is_told_apart() -> None:
    act = layers.ReLU(name="act")
    first, second = taps_of(lambda x: act(conv(act(conv(x, "first")), "second")))
    assert (first.output_of, second.output_of) == ("act", "act")
    assert first.tensor is not second.tensor


def chain(*between: Any, first: Any = None) -> dict[str, str]:
    """Where a linear layer is tapped that these come after, with another convolution behind them."""

    def network(x: Any) -> Any:
        x = (first or layers.Conv2D(4, 3, padding="same", name="conv"))(x)
        for layer in between:
            x = layer(x)
        return x

    return after(taps_of(network))


@pytest.mark.parametrize(
    "between",
    [
        [layers.BatchNormalization, lambda: layers.Dropout(0.5)],
        [layers.MaxPooling2D],
        [layers.BatchNormalization, layers.MaxPooling2D, lambda: layers.SpatialDropout2D(0.5)],
        [lambda: layers.AveragePooling2D(2)],
        [layers.GlobalAveragePooling2D],
        [lambda: layers.AdaptiveMaxPooling2D(2)],
        [layers.LayerNormalization],
        [lambda: layers.GroupNormalization(2), lambda: layers.GaussianNoise(1.0)],
        [layers.ZeroPadding2D, layers.Identity],
        [layers.UpSampling2D, lambda: layers.Rescaling(2.0), lambda: layers.ActivityRegularization(0.1)],
        [lambda: lambda x: keras.ops.max_pool(keras.ops.cast(x, "float32"), 2)],
        [lambda: layers.TimeDistributed(layers.BatchNormalization())],
    ],
)
@pytest.mark.parametrize("activation", [lambda: layers.ReLU(name="act"), lambda: layers.PReLU(name="act")])
def test_what_keeps_values_apart_is_passed_on_the_way_to_the_activation(between: Any, activation: Any) -> None:
    assert chain(*(make() for make in between), activation()) == {"conv": "act"}


def test_an_activation_in_a_wrapper_and_one_written_by_hand_count() -> None:
    assert chain(layers.TimeDistributed(layers.ReLU(), name="act")) == {"conv": "act"}
    for by_hand in (lambda x: keras.ops.maximum(x, 0), lambda x: keras.ops.clip(x, 0, 6)):
        tap = taps_of(lambda x, by_hand=by_hand: conv(by_hand(conv(x)), "next", "relu"))[0]
        assert tap.output_of == tap.tensor._keras_history.operation.name != "conv"


@pytest.mark.parametrize(
    "between",
    [
        [layers.Flatten],  # what follows sees no map any more
        [lambda: layers.Reshape((4, 64))],
        [lambda: lambda x: x + 3.0],  # a hard sigmoid as MobileNetV3 writes it
        [layers.MaxPooling2D, layers.BatchNormalization],  # the next block of ResNet's second version
        [lambda: layers.EinsumDense("bhwc,cd->bhwd", (None, None, 4))],
        [lambda: layers.Dense(4, activation="relu", name="dense")],
    ],
)
def test_what_makes_other_values_is_not_passed(between: Any) -> None:
    assert chain(*(make() for make in between), layers.ReLU(name="act"))["conv"] == "conv"


@pytest.mark.parametrize(
    "other", [layers.LSTM(4), layers.GRU(4), layers.EinsumDense("bsc,cd->bsd", (None, 4), activation="relu")]
)
def test_the_activation_of_a_layer_of_another_kind_is_not_taken_for_this_ones(other: Any) -> None:
    dense = layers.Dense(4, name="dense")
    assert chain(type(other).from_config(other.get_config()), first=lambda x: dense(layers.Reshape((8, 24))(x))) == {
        "dense": "dense"
    }


def test_without_an_activation_it_is_the_batch_norm_that_follows_at_once() -> None:
    assert chain(layers.BatchNormalization(name="bn"), layers.Dropout(0.5), layers.MaxPooling2D()) == {"conv": "bn"}
    assert chain(layers.Dropout(0.5), layers.BatchNormalization(name="bn")) == {"conv": "conv"}


def test_wrappers_are_tapped_as_what_they_wrap() -> None:
    def network(x: Any) -> Any:
        x = layers.SpectralNormalization(layers.Conv2D(4, 3), name="spectral")(x)
        x = layers.TimeDistributed(layers.TimeDistributed(layers.Dense(5, activation="relu")), name="twice")(x)
        return layers.TimeDistributed(layers.Conv1D(6, 3), name="rows")(x)

    assert [(tap.layer, tap.kind, tap.shape) for tap in taps_of(network)] == [
        ("spectral", "SpectralNormalization(Conv2D)", (6, 6, 4)),
        ("twice", "TimeDistributed(TimeDistributed(Dense))", (6, 6, 5)),
        ("rows", "TimeDistributed(Conv1D)", (6, 4, 6)),
    ]


def test_what_is_left_out_has_a_reason() -> None:
    def network(x: Any) -> Any:
        x = layers.LayerNormalization()(layers.PReLU()(layers.BatchNormalization()(conv(x))))  # part of conv
        x = layers.TimeDistributed(keras.Sequential([layers.Conv1D(3, 3)]), name="model")(x)
        x = layers.EinsumDense("bhwc,cd->bhwd", (None, None, 4), name="einsum")(x)
        return layers.Dense(3, activation="softmax", name="top")(layers.GlobalAveragePooling2D()(x))

    images = keras.Input((8, 8, 3))
    left = left_out(keras.Model(images, network(images)))
    assert left == [("model", "TimeDistributed(Sequential)"), ("einsum", "EinsumDense"), ("top", "classifier")]
    assert in_one_line(left) == "model (TimeDistributed(Sequential)), einsum (EinsumDense), top (classifier)"
    many = [*((f"attention_{number}", "MultiHeadAttention") for number in range(12)), ("top", "classifier")]
    assert in_one_line(many) == "attention_0 ... attention_11 (12 of MultiHeadAttention), top (classifier)"


def test_kinds_and_shapes() -> None:
    def network(x: Any) -> Any:
        x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
        x = layers.SeparableConv2D(5, 3, activation="relu", name="separable")(x)
        x = layers.Conv2DTranspose(6, 3, activation="relu", name="transpose")(x)
        x = layers.Dense(7, activation="relu", name="pointwise")(x)
        return layers.Dense(8, activation="relu", name="dense")(layers.Flatten()(x))

    assert [(tap.layer, tap.kind, tap.shape) for tap in taps_of(network)] == [
        ("depthwise", "DepthwiseConv2D", (6, 6, 3)),
        ("separable", "SeparableConv2D", (4, 4, 5)),
        ("transpose", "Conv2DTranspose", (6, 6, 6)),
        ("pointwise", "Dense", (6, 6, 7)),
        ("dense", "Dense", (8,)),
    ]


def pooled(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(conv(x, activation="relu"))


CLASSIFIERS: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "dense softmax": (lambda x: layers.Dense(5, activation="softmax", name="top")(pooled(x)), "top"),
    "dense sigmoid": (lambda x: layers.Dense(5, activation="sigmoid", name="top")(pooled(x)), "top"),
    "dense logits": (lambda x: layers.Dense(5, name="top")(pooled(x)), "top"),
    "dense, softmax layer": (lambda x: layers.Softmax()(layers.Dense(5, name="top")(pooled(x))), "top"),
    "dense, softmax of keras.ops": (lambda x: keras.ops.softmax(layers.Dense(5, name="top")(pooled(x))), "top"),
    "conv, average, softmax": (lambda x: layers.Softmax()(pooled(x)), "conv"),
    "conv, average, dropout, softmax": (
        lambda x: layers.Activation("softmax")(layers.Dropout(0.5)(layers.Flatten()(pooled(x)))),
        "conv",
    ),
    "no top": (lambda x: layers.MaxPooling2D()(conv(x, activation="relu")), None),
    "no top, linear convolution": (lambda x: layers.BatchNormalization()(conv(x)), None),
    "no top, pooled": (pooled, None),
    "ends in features": (lambda x: layers.Dense(5, activation="relu", name="top")(pooled(x)), None),
    "ends in features, relu layer": (lambda x: layers.ReLU()(layers.Dense(5, name="top")(pooled(x))), None),
    "ends in features, relu of keras.ops": (lambda x: keras.ops.relu(layers.Dense(5, name="top")(pooled(x))), None),
    "ends in an embedding": (lambda x: layers.UnitNormalization()(layers.Dense(5, name="top")(pooled(x))), None),
    "ends in a layer of another kind": (
        lambda x: layers.EinsumDense("bc,cd->bd", 5, activation="softmax")(layers.Dense(5, name="top")(pooled(x))),
        None,
    ),
    "ends in an addition": (lambda x: layers.Add()([conv(x, "a"), conv(x, "b")]), None),
}


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_the_classifier_is_found_and_left_out(case: str) -> None:
    network, classifier = CLASSIFIERS[case]
    taps = taps_of(lambda x: network(conv(x, "hidden", "relu")))
    assert [tap.layer for tap in taps if tap.is_classifier] == ([classifier] if classifier else [])
    assert [tap.layer for tap in select(taps, ())] == [tap.layer for tap in taps if tap.layer != classifier]


def test_every_output_has_its_classifier() -> None:
    def network(x: Any) -> Any:
        x = pooled(x)
        return [layers.Dense(5, activation="softmax", name=name)(x) for name in ("main", "auxiliary")]

    assert [tap.layer for tap in select(taps_of(network), ())] == ["conv"]


def test_selection_by_names_and_globs_keeps_the_networks_order() -> None:
    def network(x: Any) -> Any:
        for name in ("block1_conv1", "block1_conv2", "block2_conv1", "fc"):
            x = conv(x, name, "relu")
        return x

    taps = taps_of(network)
    chosen = select(taps, ("fc", "block?_conv1"))
    assert [tap.layer for tap in chosen] == ["block1_conv1", "block2_conv1", "fc"]
    with pytest.raises(BadInput) as error:
        select(taps, ("block1*", "Block2*"))
    assert str(error.value) == (
        "--layers 'Block2*' should match a convolutional or dense layer. "
        "There are: block1_conv1, block1_conv2, block2_conv1, fc."
    )


def test_a_classifier_alone_has_to_be_asked_for() -> None:
    taps = taps_of(lambda x: layers.Dense(2, activation="softmax", name="scores")(layers.Flatten()(x)))
    with pytest.raises(BadInput) as error:
        select(taps, ())
    assert str(error.value) == "There should be a layer before the classifier. Found none: try --layers scores."
    assert select(taps, ("scores",)) == taps


def test_a_layer_that_is_applied_twice_has_a_tap_for_each() -> None:
    def shared(x: Any) -> Any:
        layer = layers.Conv2D(3, 3, padding="same", name="shared")
        return layers.Add()([layers.ReLU(name="act")(layer(layers.Conv2D(3, 1, name="shared.2")(layer(x)))), x])

    assert after(taps_of(shared)) == {"shared.1": "shared.1", "shared.2_": "act", "shared.2": "shared.2"}


def test_a_network_without_weights_cannot_be_tapped() -> None:
    with pytest.raises(BadInput) as error:
        taps_of(layers.GlobalAveragePooling2D())
    assert str(error.value).split(" ", 1)[1] == "should have convolutional or dense layers. Found none."


def test_resnet_is_tapped_after_its_batch_norms_and_before_its_additions() -> None:
    found = {
        tap.layer: tap.output_of for tap in find_taps(open_network("resnet50", "random", image_size=(32, 32)).model)
    }
    assert len(found) == 53
    assert found["conv1_conv"] == "conv1_relu"
    assert [found[f"conv2_block1_{index}_conv"] for index in (0, 1, 2, 3)] == [
        "conv2_block1_0_bn", "conv2_block1_1_relu", "conv2_block1_2_relu", "conv2_block1_3_bn",
    ]  # fmt: skip


def test_squeezenet(shared: Path) -> None:
    taps = find_taps(open_network(str(shared / "models/squeezenet_v1_1.keras"), preprocess="caffe").model)
    everything = select(taps, ("conv*", "fire*"))
    assert (len(everything), sum(tap.shape[-1] for tap in everything)) == (26, 3944)
    assert {tap.layer for tap in everything} - {tap.layer for tap in select(taps, ())} == {"conv10"}


def test_googlenet(shared: Path) -> None:
    taps = find_taps(open_network(str(shared / "models/bvlc_googlenet.keras"), preprocess="caffe").model)
    convolutions = [tap for tap in taps if tap.kind == "Conv2D"]
    assert (len(convolutions), sum(tap.shape[-1] for tap in convolutions)) == (57, 7280)
    assert [tap.kind for tap in taps if tap.is_classifier] == ["Dense"]


def test_squeezenet_with_batch_norm(shared: Path) -> None:
    taps = find_taps(open_network(str(shared / "models/squeezenet_bn_places365.keras"), preprocess="caffe").model)
    hidden = after(select(taps, ()))
    assert hidden == {name: f"{name}_relu" for name in hidden}
