"""Files of Keras 2 against the same network in plain Keras 3, and against tf_keras itself where it is installed."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras2_files import called, conv, functional, image, layer, write_h5, write_keras

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.networks.saved import files

keras = load_keras()
layers, ops = keras.layers, keras.ops
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (2, 6, 6, 3)).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.3, shape).astype(np.float32)


def kernel(name: str, size: int, channels: int, filters: int) -> dict[str, np.ndarray]:
    return {f"{name}/kernel:0": normal(size, size, channels, filters), f"{name}/bias:0": normal(filters)}


def same(path: Path, expected: Any, pixels: np.ndarray = PIXELS) -> None:
    model = files.load(str(path))
    np.testing.assert_allclose(model(pixels, training=False), expected, rtol=1e-6, atol=1e-6)


def convolved(pixels: Any, values: dict[str, np.ndarray]) -> np.ndarray:
    """A convolution of size 1: a product, by NumPy."""
    weights, bias = values.values()
    return pixels @ weights[0, 0] + bias


def fails(path: Path) -> str:
    with pytest.raises(BadInput) as error:
        files.load(str(path))
    return str(error.value)


def branches(order: tuple[str, str]) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]], np.ndarray]:
    """Two branches of the same shape, which only their names tell apart, in either order of the description."""
    weights = {name: kernel(name, 1, 3, 3) for name in order}
    both = [[["plus", 0, 0, {}], ["minus", 0, 0, {}]]]
    described = [image((6, 6, 3)), *(conv(name, "image") for name in order), layer("Subtract", "less", *both)]
    expected = convolved(PIXELS, weights["plus"]) - convolved(PIXELS, weights["minus"])
    return functional("two", described, "less"), weights, expected


@pytest.mark.parametrize("order", [("plus", "minus"), ("minus", "plus")])
def test_weights_go_where_their_names_say(order: tuple[str, str], tmp_path: Path) -> None:
    model, weights, expected = branches(order)
    same(write_h5(tmp_path / "a.h5", model, dict(reversed(weights.items()))), expected)
    numbered = {
        f"layers/conv2d{f'_{number}' if number else ''}/vars/{index}": values
        for number, name in enumerate(order)
        for index, values in enumerate(weights[name].values())
    }
    same(write_keras(tmp_path / "a.keras", model, numbered), expected)


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    """Keras before 2.12 wrote HDF5 into a file that was called .keras."""
    model, weights, expected = branches(("plus", "minus"))
    same(write_h5(tmp_path / "net.keras", model, weights, "2.11.0"), expected)


def ordinary() -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]], Any]:
    """Arguments and weights that have other names or forms in Keras 3; the layers of Keras 3 with the same values."""
    norm = {f"bn/{name}:0": np.abs(normal(4)) + 0.5 for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    weights = {
        "augment": {"StateVar:0": np.arange(3)},
        "scaled": {
            "scaled/mean:0": normal(3), "scaled/variance:0": np.abs(normal(3)) + 1, "scaled/count:0": np.int64(9),
        },
        "first": kernel("first", 3, 3, 4),
        "bn": norm,
        "dw": {"dw/depthwise_kernel:0": normal(3, 3, 4, 2), "dw/bias:0": normal(8)},
        "sep": {
            "sep/depthwise_kernel:0": normal(2, 2, 8, 1), "sep/pointwise_kernel:0": normal(1, 1, 8, 3),
            "sep/bias:0": normal(3),
        },
        "top": {"top/kernel:0": normal(3, 2), "top/bias:0": normal(2)},
    }  # fmt: skip
    window = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_last"}
    described = [
        image((6, 6, 3)),
        layer("RandomFlip", "augment", "image", mode="horizontal", seed=None, rng_type="stateful", trainable=True),
        layer("Normalization", "scaled", "augment", axis=[-1], mean=None, variance=None, invert=False),
        conv("first", "scaled", filters=4, size=3, padding="same"),
        layer("BatchNormalization", "bn", "first", axis=[3], momentum=0.9, epsilon=0.01, center=True, scale=True,
              gamma_initializer={"class_name": "Ones", "config": {}}, renorm=False, fused=True),
        layer("ReLU", "relu", "bn", max_value=1.5, negative_slope=0.25, threshold=0.125),
        layer("DepthwiseConv2D", "dw", "relu", **window, groups=1, depth_multiplier=2, activation="swish",
              depthwise_initializer={"class_name": "GlorotUniform", "config": {"seed": None}}),
        layer("SeparableConv2D", "sep", "dw", filters=3, kernel_size=[2, 2], strides=[2, 2], padding="valid", groups=1,
              kernel_initializer=None, depth_multiplier=1, activation={"class_name": "function", "config": "relu6"}),
        layer("LeakyReLU", "leaky", "sep", alpha=0.125),
        layer("GlobalAveragePooling2D", "pool", "leaky", data_format="channels_last", keepdims=False),
        layer("Dropout", "dropout", "pool", rate=0.5, noise_shape=None, seed=None),
        layer("Dense", "top", "dropout", units=2, activation="softmax", use_bias=True),
    ]  # fmt: skip
    x = (PIXELS - weights["scaled"]["scaled/mean:0"]) / np.sqrt(weights["scaled"]["scaled/variance:0"])
    steps = [
        (layers.Conv2D(4, 3, padding="same"), "first"),
        (layers.BatchNormalization(epsilon=0.01), "bn"),
        (layers.ReLU(1.5, 0.25, 0.125), None),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="silu"), "dw"),
        (layers.SeparableConv2D(3, 2, strides=2, activation="relu6"), "sep"),
        (layers.LeakyReLU(0.125), None),
        (layers.GlobalAveragePooling2D(), None),
        (layers.Dense(2, activation="softmax"), "top"),
    ]
    for step, name in steps:
        step.build(x.shape)
        if name:
            step.set_weights(list(weights[name].values()))
        x = step(x)
    return functional("ordinary", described, "top"), weights, x


def test_arguments_that_keras_3_has_not_are_dropped_and_nothing_else(tmp_path: Path) -> None:
    model, weights, expected = ordinary()
    same(write_h5(tmp_path / "net.h5", model, weights), expected)
    kinds = {"augment": "random_flip", "scaled": "normalization", "first": "conv2d", "bn": "batch_normalization",
             "dw": "depthwise_conv2d", "sep": "separable_conv2d", "top": "dense"}  # fmt: skip
    numbered = {
        f"layers/{kinds[name]}/vars/{index}": values
        for name, variables in weights.items()
        for index, values in enumerate(variables.values())
    }
    same(write_keras(tmp_path / "net.keras", model, numbered), expected)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_models_inside_models(ending: str, tmp_path: Path) -> None:
    """One is used twice, one is frozen, one ends the network; layers inside have the names of layers outside."""
    values = {name: kernel("same", 1, 3, 3) for name in ("base", "outer", "last")}
    base = functional("base", [image((6, 6, 3), "in"), conv("same", "in", trainable=False)], "same", "in")
    base["config"]["trainable"] = False
    last = {"class_name": "Sequential", "config": {"name": "last", "layers": [image((6, 6, 3), "x"), conv("same")]}}
    described = [
        image((6, 6, 3)),
        called(base, [["image", 0, 0, {"training": False}]], [["same", 0, 0, {}]]),
        conv("same", [["base", 1, 0, {}]]),
        layer("Add", "sum", [["base", 1, 0, {}], ["base", 2, 0, {}]]),
        called(last, "sum"),
    ]
    model = functional("whole", described, ["last", 1, 0])
    weights = {"base": values["base"], "same": values["outer"], "last": values["last"]}
    once = convolved(PIXELS, values["base"])
    again = convolved(convolved(once, values["outer"]), values["base"])
    expected = convolved(once + again, values["last"])
    if ending == "h5":
        path = write_h5(tmp_path / "net.h5", model, weights)
    else:
        places = {"base": "functional/layers/", "same": "", "last": "sequential/layers/"}
        path = write_keras(
            tmp_path / "net.keras",
            model,
            {
                f"layers/{places[name]}conv2d/vars/{index}": array
                for name, variables in weights.items()
                for index, array in enumerate(variables.values())
            },
        )
    same(path, expected)


def test_a_sequential_model_whose_first_layer_has_the_shape(tmp_path: Path) -> None:
    values = kernel("c", 1, 3, 3)
    first = conv("c", batch_input_shape=[None, 6, 6, 3])
    for config in ({"name": "old", "layers": [first]}, [first]):  # the latter before Keras 2.2.3
        path = write_h5(tmp_path / "net.h5", {"class_name": "Sequential", "config": config}, {"c": values}, "2.1.6-tf")
        same(path, convolved(PIXELS, values))
        assert files.load(str(path)).inputs[0].shape == (None, 6, 6, 3)


def test_slashes_in_names_become_underscores(tmp_path: Path) -> None:
    values = {name: kernel(name, 1, 3, 3) for name in ("Conv", "Conv/project", "Conv_project")}
    described = [image((6, 6, 3)), conv("Conv", "image"), conv("Conv/project", "Conv"),
                 conv("Conv_project", "Conv/project")]  # fmt: skip
    path = write_h5(tmp_path / "net.h5", functional("net", described, "Conv_project"), values)
    expected = PIXELS
    for one in values.values():
        expected = convolved(expected, one)
    same(path, expected)
    assert [one.name for one in files.load(str(path)).layers[1:]] == ["Conv", "Conv_project_", "Conv_project"]


def operation(function: str, source: str, name: str, **arguments: Any) -> dict[str, Any]:
    kind = "SlicingOpLambda" if "getitem" in function else "TFOpLambda"
    described = layer(kind, name, function=function, trainable=True, dtype="float32")
    return described | {"inbound_nodes": [[source, 0, 0, {**arguments, "name": None}]]}


def test_preprocessing_that_is_part_of_the_network(tmp_path: Path) -> None:
    """What preprocess_input of keras.applications leaves in a network of Keras 2: TensorFlow's own functions."""
    values, pixels = kernel("c", 1, 3, 3), PIXELS.astype(np.uint8)
    backwards = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
    described = [
        image((6, 6, 3), dtype="uint8"),
        operation("cast", "image", "tf.cast", dtype="float32"),
        operation("__operators__.getitem", "tf.cast", "tf.getitem", slice_spec=backwards),
        operation("nn.bias_add", "tf.getitem", "tf.bias", bias=[-103.939, -116.779, -123.68], data_format="NHWC"),
        operation("math.truediv", "tf.bias", "tf.div", y=127.5),
        operation("math.subtract", "tf.div", "tf.sub", y=1.0),
        conv("c", "tf.sub"),
        operation("math.multiply", "c", "tf.mul", y=["c", 0, 0]),
    ]
    path = write_h5(tmp_path / "net.h5", functional("net", described, "tf.mul"), {"c": values})
    prepared = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    same(path, convolved(keras.applications.mobilenet.preprocess_input(prepared), values) ** 2, pixels)


def described_with(*inner: dict[str, Any]) -> dict[str, Any]:
    return functional("net", [image((6, 6, 3)), *inner], inner[-1]["name"])


@pytest.mark.parametrize(
    ("inner", "named"),
    [
        ([layer("Lambda", "lam", "image", function=["4wEA", None, None])], "layer lam (Lambda)"),
        ([layer("Lambda", "lam", "image", function="relu", function_type="function")], "layer lam (Lambda)"),
        ([layer("TheirLayer", "own", "image")], "layer own (class TheirLayer)"),
        ([layer("TheirLayer", "own", "image"), layer("Lambda", "lam", "own", function="relu")],
         "layer own (class TheirLayer); layer lam (Lambda)"),
        ([conv("c", "image", activation="their_activation")], "layer c (the function their_activation)"),
        ([operation("image.resize", "image", "tf.resize", size=[3, 3])],
         "layer tf.resize (TensorFlow's function image.resize)"),
        ([layer("TorchModuleWrapper", "torch", "image", module="UEs=")], "layer torch (TorchModuleWrapper)"),
        ([layer("Conv2D", "c", "image") | {"registered_name": "Custom>Conv2D"}], "layer c (class Custom>Conv2D)"),
        ([layer("Conv2D", "c", "image") | {"module": "their.layers"}], "layer c (class their.layers.Conv2D)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_what_is_not_kerass_own_is_named(ending: str, inner: list[Any], named: str, tmp_path: Path) -> None:
    model = described_with(*inner)
    path = tmp_path / f"net.{ending}"
    if ending == "h5":
        write_h5(path, model, {})
    else:
        write_keras(path, model, {})
    assert fails(path).splitlines() == [
        f"{path} cannot be loaded as a Keras model in safe mode: it has code of its own (arbitrary code execution): "
        f"{named}.",
        "It should be made of Keras's own layers, without Lambda layers or others of its own.",
    ]


@pytest.mark.parametrize(
    ("inner", "weights", "told"),
    [
        (conv("c", "image", activation="hard_sigmoid"), {"c": kernel("c", 1, 3, 3)}, "hard_sigmoid is another"),
        (conv("c", "image"), {}, "should have the weight c/kernel, which is missing"),
        (conv("c", "image"), {"c": {"c/kernel:0": normal(1, 1, 3, 3)}}, "should have the weight c/bias once. Found: 0"),
        (conv("c", "image"), {"c": kernel("c", 1, 3, 4)}, "should be 1 x 1 x 3 x 3. Found: 1 x 1 x 3 x 4"),
        (conv("c", "image"), {"c": kernel("c", 1, 3, 3) | {"c/x:0": normal(2)}}, "should not have the weight c/x:0"),
        (conv("c", "image", groups=2), {"c": kernel("c", 1, 3, 3)}, "groups"),
        (layer("DepthwiseConv2D", "d", "image", kernel_size=[1, 1], groups=2), {}, "groups"),
    ],
)  # fmt: skip
def test_what_would_change_numbers_is_not_left_out(inner: Any, weights: Any, told: str, tmp_path: Path) -> None:
    message = fails(write_h5(tmp_path / "net.h5", described_with(inner), weights))
    assert message.startswith(f"{tmp_path}/net.h5 cannot be loaded as a Keras model in safe mode: ")
    assert told in message


def test_keras_1_is_not_guessed_at(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", described_with(conv("c", "image")), {}, "1.2.2")
    assert fails(path) == (
        f"{path} should be of Keras 2 or 3. Found: Keras 1.2.2.\nLoad it with Keras 2.2, and save it again."
    )


# tf_keras itself


@pytest.fixture(scope="module")
def k() -> Any:
    import tf_keras

    return tf_keras


def _functional(k: Any) -> Any:
    own = k.layers
    images = k.Input((16, 16, 3))
    x = k.applications.mobilenet.preprocess_input(images)
    a = own.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(x)
    b = own.Conv2D(4, 3, padding="same", activation="elu")(x)
    x = own.BatchNormalization()(own.Concatenate()([b, a]))
    x = own.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same")(x)
    x = own.ReLU(6.0, negative_slope=0.1, threshold=0.2)(own.SeparableConv2D(5, 3)(x))
    x = own.PReLU(shared_axes=[1, 2])(own.LeakyReLU(0.2)(x))
    x = own.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)(x)
    x = own.AveragePooling2D(3, 2, padding="same")(own.UpSampling2D(2, interpolation="bilinear")(x))
    x = own.LayerNormalization()(own.Activation("gelu")(own.Activation("swish")(x)))
    gate = own.Conv2D(3, 1, activation="sigmoid")(own.GlobalAveragePooling2D(keepdims=True)(x))
    x = own.Dropout(0.3)(own.Flatten()(own.Multiply()([x, gate])))
    return k.Model(images, own.Dense(3, activation="softmax")(x))


def _sequential(k: Any) -> Any:
    own = k.layers
    return k.Sequential([
        own.Rescaling(1 / 127.5, -1, input_shape=(16, 16, 3)), own.RandomFlip(), own.RandomRotation(0.1),
        own.Conv2D(4, 3, activation=own.LeakyReLU(0.1)), own.MaxPooling2D(), own.TimeDistributed(own.Dense(4)),
        own.Reshape((49, 4)), own.Flatten(), own.Dense(3),
    ])  # fmt: skip


def _nested(k: Any) -> Any:
    base = k.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    base.trainable = False
    images = k.Input((32, 32, 3))
    x = base(k.applications.mobilenet.preprocess_input(images), training=False)
    return k.Model(images, k.layers.Dense(3)(k.layers.GlobalAveragePooling2D()(x)))


def _attention(k: Any) -> Any:
    images = k.Input((8, 8, 3))
    x = k.layers.Reshape((64, 3))(images)
    return k.Model(images, k.layers.MultiHeadAttention(2, 3)(x, k.layers.Activation("tanh")(x)))


def _mixed(k: Any) -> Any:
    images = k.Input((8, 8, 3))
    return k.Model(images, k.layers.Conv2D(3, 1, dtype="mixed_float16")(images))


MADE: tuple[Callable[[Any], Any], ...] = (_functional, _sequential, _nested, _attention, _mixed)


def shaken(theirs: Any) -> tuple[Any, np.random.Generator]:
    """A model of tf_keras with random weights, as if it was trained."""
    random = np.random.default_rng(1)
    theirs.set_weights([
        (np.abs(random.normal(1, 0.2, value.shape)) if "variance" in own.name or "gamma" in own.name
         else random.normal(0, 0.2, value.shape)).astype(value.dtype) if value.dtype.kind == "f" else value
        for own, value in zip(theirs.weights, theirs.get_weights(), strict=True)
    ])  # fmt: skip
    return theirs, random


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__[1:])
def test_the_values_are_those_of_tf_keras(make: Callable[[Any], Any], ending: str, k: Any, tmp_path: Path) -> None:
    theirs, random = shaken(make(k))
    theirs.save(tmp_path / f"net.{ending}")
    pixels = random.integers(0, 256, (2, *theirs.input_shape[1:])).astype(np.float32)
    expected = theirs.predict(pixels, verbose=0)
    found = files.load(str(tmp_path / f"net.{ending}")).predict(pixels, verbose=0)
    tolerance = 2e-3 if make is _mixed else 1e-6  # of the largest; ours computes in float16 in another order
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.slow
def test_the_two_lines_for_a_saved_model_do_what_they_say(k: Any, tmp_path: Path, monkeypatch: Any) -> None:
    theirs, random = shaken(_nested(k))
    theirs.save(tmp_path / "saved", save_format="tf")
    message = fails(tmp_path / "saved")
    assert message.splitlines()[:-1] == [
        f"{tmp_path}/saved should be a network in a .keras, .h5 or .onnx file. Found: a SavedModel folder of Keras 2, "
        "which has compiled code.",
        "These two lines make a file of it:",
        "pip install tf_keras",
    ]
    python, flag, program = shlex.split(message.splitlines()[-1])
    assert (python, flag) == ("python", "-c")
    monkeypatch.chdir(tmp_path)
    exec(program)  # the line itself
    pixels = random.integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    expected = theirs.predict(pixels, verbose=0)
    found = files.load(str(tmp_path / "network.h5")).predict(pixels, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.slow
def test_the_builder_writes_what_tf_keras_writes(k: Any, tmp_path: Path) -> None:
    """That files made by hand here are those of Keras 2: tf_keras reads them, too."""
    model, weights, expected = branches(("plus", "minus"))
    write_h5(tmp_path / "a.h5", model, weights)
    found = k.models.load_model(tmp_path / "a.h5", custom_objects={"TheirInitializer": k.initializers.Zeros})
    np.testing.assert_allclose(found(PIXELS), expected, rtol=1e-5, atol=1e-5)
    assert zipfile.is_zipfile(write_keras(tmp_path / "a.keras", model, {}))
