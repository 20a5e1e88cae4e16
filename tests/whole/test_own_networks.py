"""Networks of people's own, one situation each: `fne extract` writes what plain Keras gives on the same pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.progress import Progress
from fne_cli.steps import extract as step
from fne_cli.steps.extract import Recipe, tasks
from fne_cli.tasks.engine import Cluster

keras = load_keras()
layers, ops = keras.layers, keras.ops
SIDE, IMAGES = 16, 5


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of noise in two classes, of the size that the networks take."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number}.png")
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(model: Any) -> Path:
        model.save(tmp_path / "net.keras")
        return tmp_path / "net.keras"

    return save


@pytest.fixture
def extracted(fne: Callable[..., Any], images: Path, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """What the command stores: rows by layer, in the network's order."""

    def run(network: Path, *options: object) -> dict[str, np.ndarray]:
        output = tmp_path / "out.h5"
        preprocess = [] if "--preprocess" in options else ["--preprocess", "none"]
        result = fne("extract", images, output, "--model", network, "--batch-size", 2, *preprocess, *options)
        assert result.code == 0, result.err
        assert not list(tmp_path.glob("*.partial*"))
        with h5py.File(output) as file:
            names = sorted(file["layers"], key=lambda name: file["layers"][name].attrs["order"])
            return {name: file["layers"][name][:] for name in names}

    return run


@pytest.fixture
def refused(fne: Callable[..., Any], images: Path, tmp_path: Path) -> Callable[..., str]:
    """What the command says that writes nothing, and leaves nothing behind."""

    def run(network: Path, *options: object) -> str:
        before = sorted(tmp_path.iterdir())
        preprocess = [] if "--preprocess" in options else ["--preprocess", "none"]
        result = fne("extract", images, tmp_path / "out.h5", "--model", network, *preprocess, *options)
        assert result.code == 1
        assert sorted(tmp_path.iterdir()) == before
        assert "Traceback" not in result.err
        return result.err[result.err.index("fne: ") :]  # behind what is said of the images

    return run


def pixels_of(folder: Path) -> np.ndarray:
    paths = sorted(folder.rglob("*.png"), key=lambda path: str(path.relative_to(folder)))
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths]).astype(np.float32)


def part(model: Any, *names: str, index: int = 0) -> Any:
    """The model up to a layer's output, as Keras's documentation builds it; names of models around it come first."""
    for name in names[:-1]:
        model = model.get_layer(name)
    return keras.Model(model.inputs, model.get_layer(names[-1])._inbound_nodes[index].output_tensors[0])


def outputs_of(path: Path, names: Sequence[str], pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What plain Keras gives at these layers, averaged over space."""
    model = keras.saving.load_model(path)
    outputs = keras.Model(model.inputs, [model.get_layer(name).output for name in names]).predict(pixels, verbose=0)
    return {name: averaged(values) for name, values in zip(names, outputs, strict=True)}


def averaged(values: np.ndarray) -> np.ndarray:
    exact = np.asarray(values, np.float64)
    return exact.mean(axis=tuple(range(1, exact.ndim - 1))) if exact.ndim > 2 else exact


def close(found: np.ndarray, expected: np.ndarray, relative: float = 1e-5) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=relative, atol=relative * np.abs(expected).max())
    assert np.ptp(expected, axis=0).max() > 0, "the images should differ"


def conv(x: Any, name: str, activation: str | None = "relu", size: int = 5) -> Any:
    return layers.Conv2D(size, 3, padding="same", activation=activation, name=name, bias_initializer="normal")(x)


# Operations whose names are those of ours


def with_attention(x: Any) -> Any:
    x = conv(x, "conv")
    weights = ops.softmax(layers.Dense(1, name="weight")(ops.mean(x, axis=-1, keepdims=True)), axis=1)
    x = ops.mean(x * weights, axis=(1, 2))
    return layers.Dense(3, activation="softmax", name="top")(layers.Dense(7, activation="relu", name="dense")(x))


def with_preprocess_input(x: Any) -> Any:
    x = conv(keras.applications.resnet50.preprocess_input(x), "conv")
    return layers.Dense(7, activation="relu", name="dense")(ops.max(x, axis=(1, 2)))


def with_our_names(x: Any) -> Any:
    x = ops.cast(x, "float32")
    x = conv(ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), "conv")
    x = ops.concatenate([x[:, :8], x[:, 8:16]], axis=-1)
    x = ops.max(ops.mean(x, axis=1), axis=1)
    return layers.Dense(7, activation="relu", name="dense")(x)


@pytest.mark.parametrize("pool", ["avg", pytest.param("avg:2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("network", [with_attention, with_preprocess_input, with_our_names])
def test_operations_may_have_any_names(network: Any, pool: str, images: Path, saved: Any, extracted: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    path = saved(keras.Model(inputs, network(inputs)))
    found = extracted(path, "--pool", pool)
    expected = outputs_of(path, ("conv", "dense"), pixels_of(images))
    close(found["dense"], expected["dense"])
    if pool == "avg":
        close(found["conv"], expected["conv"])


def test_an_input_of_bytes(images: Path, saved: Any, extracted: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    x = layers.Dense(7, activation="relu", name="dense")(layers.Flatten()(conv(ops.cast(inputs, "float32"), "conv")))
    path = saved(keras.Model(inputs, x))
    found = extracted(path, "--pool", "avg:2")
    model, pixels = keras.saving.load_model(path), pixels_of(images).astype(np.uint8)
    close(found["dense"], part(model, "dense").predict(pixels, verbose=0))


@pytest.mark.slow
def test_inceptionv3_in_another_model(images: Path, saved: Any, extracted: Any) -> None:
    inputs = keras.Input((75, 75, 3))
    base = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3), name="base")
    x = layers.Dense(7, activation="relu", name="head")(layers.GlobalAveragePooling2D()(base(inputs)))
    path = saved(keras.Model(inputs, x))
    found = extracted(path, "--pool", "avg:2")
    model = keras.saving.load_model(path)
    resized = np.stack([
        np.asarray(Image.fromarray(image.astype(np.uint8)).resize((75, 75), Image.Resampling.BILINEAR))
        for image in pixels_of(images)
    ]).astype(np.float32)  # fmt: skip
    assert len(found) == 95
    close(found["head"], model.predict(resized, verbose=0), 1e-4)


# One name for two layers


def base_of(name: str, layer: str = "dense") -> Any:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Flatten(name="flatten")(conv(layers.Rescaling(1 / 255, name="rescaling")(inputs), "conv"))
    return keras.Model(inputs, layers.Dense(6, activation="relu", name=layer)(x), name=name)


def test_an_own_base_and_a_new_head_of_another_session(
    images: Path, saved: Any, extracted: Any, fne: Callable[..., Any]
) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Dense(4, activation="relu", name="dense")(base_of("base")(inputs))
    path = saved(keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x)))
    found = extracted(path)
    assert list(found) == ["conv", "base.dense", "dense"]
    model, pixels = keras.saving.load_model(path), pixels_of(images)
    close(found["base.dense"], part(model, "base", "dense").predict(pixels, verbose=0))
    close(found["dense"], part(model, "dense").predict(pixels, verbose=0))
    shown = fne("layers", path).out.splitlines()
    assert [line.split()[1] for line in shown[1:5]] == ["conv", "base.dense", "dense", "top"]
    assert list(extracted(path, "--overwrite", "--layers", "*.dense", "--pool", "base.dense=max")) == ["base.dense"]


@pytest.mark.slow
def test_an_ensemble(images: Path, saved: Any, extracted: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Concatenate()([base_of("first")(inputs), base_of("second")(inputs)])
    path = saved(keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x)))
    found = extracted(path)
    assert sorted(found) == ["first.conv", "first.dense", "second.conv", "second.dense"]
    model, pixels = keras.saving.load_model(path), pixels_of(images)
    for name in found:
        close(found[name], averaged(part(model, *name.split(".")).predict(pixels, verbose=0)))


def test_a_network_that_is_used_twice(images: Path, saved: Any, extracted: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    base = base_of("base")
    x = layers.Concatenate()([base(inputs), base(ops.flip(inputs, axis=2))])
    path = saved(keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x)))
    found = extracted(path)
    assert list(found) == ["conv.1", "conv.2", "dense.1", "dense.2"]
    model, pixels = keras.saving.load_model(path), pixels_of(images)
    for layer in ("conv", "dense"):
        own = part(model, "base", layer)
        close(found[f"{layer}.1"], averaged(own.predict(pixels, verbose=0)))
        close(found[f"{layer}.2"], averaged(own.predict(pixels[:, :, ::-1], verbose=0)))


# Names


NAMES = [
    "two words", "conv[0]", "Schicht für Ränder", "*", "a?", "a:b", "a=b", "'a'", "-a", "(a)", "a>b", "层", ".a",
    "a@b#", "a_b", "a b",
]  # fmt: skip


@pytest.mark.slow
def test_any_name_will_do_and_means_the_layer_itself(images: Path, saved: Any, extracted: Any) -> None:
    inputs = x = keras.Input((SIDE, SIDE, 3))
    for name in NAMES:
        x = conv(x, name)
    path = saved(keras.Model(inputs, x))
    found = extracted(path)
    assert list(found) == NAMES
    model, pixels = keras.saving.load_model(path), pixels_of(images)
    for name in NAMES:  # TensorFlow does not take such names in a graph, as predict() makes one
        close(found[name], averaged(part(model, name)([pixels], training=False)))
    for name in ("*", "conv[0]", "Schicht für Ränder"):
        assert list(extracted(path, "--overwrite", f"--layers={name}", "--pool", f"{name}=max")) == [name]


def test_an_exact_name_goes_before_a_pattern_in_later_commands(
    images: Path, saved: Any, extracted: Any, fne: Callable[..., Any], tmp_path: Path
) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    extracted(saved(keras.Model(inputs, conv(conv(conv(inputs, "a[b]"), "ab"), "*"))))
    for pattern, columns in (("a[b]", 5), ("*", 5), ("a*", 10)):
        result = fne("export", tmp_path / "out.h5", tmp_path / "x.npy", "--layers", pattern, "--overwrite")
        assert result.code == 0, result.err
        assert np.load(tmp_path / "x.npy").shape == (IMAGES, columns)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_cannot_stand_in_a_file_is_refused(name: str, saved: Any, refused: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    message = refused(saved(keras.Model(inputs, conv(inputs, name), name="net")))
    assert message == (
        f"fne: net should have layers whose names can stand in a file. Found: {name!r}.\n"
        "Give the layer another name (name=...) and save it again.\n"
    )


# Policies, quantised layers


@pytest.mark.parametrize(
    ("policy", "relative"),
    [
        ("float64", 1e-5),
        ("float16", 5e-3),
        *(
            pytest.param(policy, relative, marks=pytest.mark.slow)
            for policy, relative in (("bfloat16", 5e-2), ("mixed_float16", 5e-3), ("mixed_bfloat16", 5e-2))
        ),
    ],
)
def test_whatever_policy_a_network_was_saved_with(
    policy: str, relative: float, images: Path, saved: Any, extracted: Any
) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        path = saved(keras.Sequential([base_of("base"), layers.Dense(5, activation="relu", name="last")]))
    finally:
        keras.config.set_dtype_policy("float32")
    found = extracted(path)
    model, pixels = keras.saving.load_model(path), pixels_of(images)
    close(found["dense"], part(model, "base", "dense").predict(pixels, verbose=0), relative)
    close(found["last"], model.predict(pixels, verbose=0), relative)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize:UserWarning")
@pytest.mark.parametrize("policy", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", ["int8", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("int4", "float8"))])
def test_quantised_layers_give_what_keras_gives(
    mode: str, policy: str, images: Path, saved: Any, extracted: Any
) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((SIDE, SIDE, 3))
        x = layers.Dense(9, activation="relu", name="pixelwise")(conv(layers.Rescaling(1 / 255)(inputs), "conv"))
        x = layers.BatchNormalization()(layers.Dense(8, name="normalised")(layers.Flatten()(x)))
        x = layers.Dense(6, activation="relu", name="dense")(layers.ReLU(name="act")(x))
        model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    model.quantize(mode)
    path = saved(model)
    found = extracted(path, "--layers", "*")
    expected = outputs_of(path, ("conv", "pixelwise", "act", "dense", "top"), pixels_of(images))
    for values, output in zip(found.values(), expected.values(), strict=True):
        close(values, output)


# Inputs


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_channels_first(images: Path, saved: Any, extracted: Any) -> None:
    first: Any = {"data_format": "channels_first"}
    inputs = keras.Input((3, SIDE, SIDE))
    x = layers.Conv2D(5, 3, name="conv", **first)(inputs)
    x = layers.ReLU(name="act")(layers.MaxPooling2D(name="pool", **first)(layers.BatchNormalization(axis=1)(x)))
    x = layers.Dense(4, activation="relu", name="dense")(layers.Flatten(**first)(x))
    path = saved(keras.Model(inputs, x))
    found = extracted(path, "--pool", "avg:2", "--preprocess", "tf")
    model = keras.saving.load_model(path)
    pixels = (pixels_of(images) / 127.5 - 1).transpose(0, 3, 1, 2)
    close(found["dense"], model.predict(pixels, verbose=0))
    maps = part(model, "act").predict(pixels, verbose=0).transpose(0, 2, 3, 1)
    cells = [maps[:, rows, columns].mean(axis=(1, 2)) for rows in HALVES for columns in HALVES]
    close(found["conv"], np.concatenate(cells, axis=1))


HALVES = (slice(0, 4), slice(3, 7))  # of seven


def test_a_network_of_grey_images(images: Path, saved: Any, extracted: Any, tmp_path: Path) -> None:
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Dense(4, activation="relu", name="dense")(layers.Flatten()(conv(inputs, "conv")))
    path = saved(keras.Model(inputs, x))
    model = keras.saving.load_model(path)
    found = extracted(path)
    grey = [np.asarray(Image.fromarray(image.astype(np.uint8)).convert("L")) for image in pixels_of(images)]
    close(found["dense"], model.predict(np.stack(grey)[..., None].astype(np.float32), verbose=0))


@pytest.mark.parametrize(
    ("shapes", "way_out"),
    [
        ([(SIDE, SIDE, 4)], "keras.ops.ones_like"),
        ([(SIDE, SIDE, 3), (7,)], "keras.Model(model.inputs[0], "),
        ([(SIDE, 3)], "Only networks of images"),
    ],
)
def test_other_inputs_are_refused_with_the_way_out(shapes: Any, way_out: str, saved: Any, refused: Any) -> None:
    inputs = [keras.Input(shape) for shape in shapes]
    x = layers.Dense(4)(layers.Concatenate()([layers.Flatten()(tensor) for tensor in (*inputs, inputs[0])]))
    assert way_out in refused(saved(keras.Model(inputs, x)))


def test_the_way_out_of_four_channels_leads_out(images: Path, saved: Any, extracted: Any, refused: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 4))
    model = keras.Model(inputs, layers.Dense(4, activation="relu", name="dense")(layers.Flatten()(inputs)))
    lines = refused(path := saved(model)).splitlines()
    model = keras.saving.load_model(path)
    code = "\n".join(line for line in lines if "keras." in line).replace("rgb.keras", str(path))
    exec(code, {"model": model, "keras": keras})
    opaque = np.concatenate([pixels_of(images), np.full((IMAGES, SIDE, SIDE, 1), 255, np.float32)], axis=-1)
    close(extracted(path)["dense"], model.predict(opaque, verbose=0))


def test_the_way_out_of_two_inputs_leads_out(images: Path, saved: Any, extracted: Any, refused: Any) -> None:
    image, age = keras.Input((SIDE, SIDE, 3), name="image"), keras.Input((1,), name="age")
    branch = layers.Dense(6, activation="relu", name="LAYER")(layers.Flatten()(conv(image, "conv")))
    model = keras.Model([age, image], layers.Dense(2)(layers.Concatenate()([branch, age])))
    lines = refused(path := saved(model)).splitlines()
    model = keras.saving.load_model(path)
    exec(lines[-1].replace("branch.keras", str(path)), {"model": model, "keras": keras})
    branch = keras.Model(model.get_layer("image").output, model.get_layer("LAYER").output)
    close(extracted(path)["LAYER"], branch.predict(pixels_of(images), verbose=0))


# Where


def test_taps_of_all_kinds_after_their_activations(images: Path, saved: Any, extracted: Any) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.ReLU(name="pooled_act")(layers.MaxPooling2D()(conv(inputs, "pooled", None)))
    x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = layers.ReLU(name="separable_act")(layers.SeparableConv2D(4, 3, name="separable")(x))
    x = layers.Conv2DTranspose(5, 3, activation="relu", name="transposed")(x)
    spectral = layers.SpectralNormalization(layers.Conv2D(6, 3), name="spectral")
    x = layers.LeakyReLU(name="spectral_act")(layers.BatchNormalization()(spectral(x)))
    x = layers.TimeDistributed(layers.Dense(7, activation="relu"), name="rows")(x)
    x = layers.Dense(8, name="dropped")(layers.Flatten()(x))
    x = layers.ReLU(name="dropped_act")(layers.Dropout(0.5)(layers.BatchNormalization()(x)))
    path = saved(keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x)))
    found = extracted(path)
    expected = {
        "pooled": "pooled_act", "depthwise": "depthwise", "separable": "separable_act", "transposed": "transposed",
        "spectral": "spectral_act", "rows": "rows", "dropped": "dropped_act",
    }  # fmt: skip
    assert list(found) == list(expected)
    by_keras = outputs_of(path, list(expected.values()), pixels_of(images))
    for layer, output in expected.items():
        close(found[layer], by_keras[output])


def test_what_is_left_out_is_said_with_the_reason(
    images: Path, saved: Any, fne: Callable[..., Any], tmp_path: Path
) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Reshape((SIDE * SIDE, 5))(layers.BatchNormalization()(conv(inputs, "conv")))
    x = layers.LSTM(4, name="sequence")(layers.MultiHeadAttention(2, 3, name="attention")(x, x))
    path = saved(keras.Model(inputs, layers.Dense(3, activation="softmax", name="predictions")(x), name="net"))
    command = ("extract", images, tmp_path / "out.h5", "--model", path, "--preprocess", "none")
    line = "left out: attention (MultiHeadAttention), sequence (LSTM), predictions (classifier)\n"
    for more in (("--dry-run",), ()):
        result = fne(*command, *more)
        assert result.code == 0
        assert line in result.err
    assert "left out" not in fne(*command, "--layers", "*", "--overwrite").err
    assert fne("layers", path).out.splitlines()[-3:] == [
        "left out: attention (MultiHeadAttention: only convolutional and dense layers are tapped)",
        "left out: sequence (LSTM: only convolutional and dense layers are tapped)",
        "left out: predictions (classifier: --layers '*' takes it too)",
    ]
    assert "predictions (classifier:" not in fne("layers", path, "--layers", "*").out


@pytest.mark.parametrize("normalise", [layers.UnitNormalization(), lambda x: ops.normalize(x, axis=-1)])
def test_a_last_layer_whose_vectors_have_length_one_is_an_embedding(
    normalise: Any, images: Path, saved: Any, extracted: Any
) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Dense(128, name="embedding")(layers.GlobalAveragePooling2D()(conv(inputs, "conv")))
    path = saved(keras.Model(inputs, normalise(x)))
    found = extracted(path)
    assert list(found) == ["conv", "embedding"]
    close(found["embedding"], part(keras.saving.load_model(path), "embedding").predict(pixels_of(images), verbose=0))


# What cannot be


def no_zip(path: Path) -> list[str]:
    path.write_bytes(b"PK\x03\x04 no")
    return []


def truncated(path: Path) -> list[str]:
    path.write_bytes(path.read_bytes()[:-200])
    return []


def with_code(path: Path) -> list[str]:
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Lambda(lambda x: x)]).save(path)
    return []


def without_layers(path: Path) -> list[str]:
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.GlobalAveragePooling2D()]).save(path)
    return []


def of_any_size(path: Path) -> list[str]:
    keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 3)]).save(path)
    return []


def mixing(rows: int) -> Callable[[Path], list[str]]:
    """A network that makes one image of `rows` images: as long as nobody computes it, its shapes are right."""

    def save(path: Path) -> list[str]:
        inputs = keras.Input((SIDE, SIDE, 3))
        x = layers.Reshape((SIDE, SIDE, 3 * rows))(ops.reshape(inputs, (-1, SIDE * SIDE * 3 * rows)))
        keras.Model(inputs, conv(x, "conv")).save(path)
        return ["--batch-size", "16"]

    return save


FAILURES: dict[str, Callable[[Path], list[str]]] = {
    "no such file": lambda path: path.unlink() or [],  # type: ignore[func-returns-value]
    "no archive": no_zip,
    "a truncated archive": truncated,
    "code": with_code,
    "no layers": without_layers,
    "any size": of_any_size,
    "fewer rows than images": mixing(2),
    "fewer rows than there may be": mixing(3),
    "a layer that is not there": lambda path: ["--layers", "conv9"],
    "a pooling that is none": lambda path: ["--pool", "mean"],
    "a pooling of no layer": lambda path: ["--pool", "conv9=max"],
    "another size": lambda path: ["--image-size", "8"],
    "weights beside a file": lambda path: ["--weights", str(path)],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_network_that_cannot_be_built_leaves_nothing_behind(failure: str, saved: Any, refused: Any) -> None:
    path = saved(base_of("base"))
    assert refused(path, *FAILURES[failure](path)).startswith("fne: ")


@pytest.mark.parametrize("weights", ["random.txt", "gone.h5", "damaged.h5"])
def test_neither_do_weights_that_cannot_be_read(weights: str, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "damaged.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "--weights" in refused(Path("mini"), "--weights", tmp_path / weights)


# With --cluster


class OneWorker:
    """An engine of one worker, in this process."""

    workers, threads = 1, None

    def run(self, function: str, given: Sequence[Any], **more: Any) -> Iterator[tuple[int, Any]]:
        work = {"outline": tasks.outline, "extract": tasks.extract_shard}[function]
        for number, task in enumerate(given):
            yield number, json.loads(json.dumps(work(json.loads(json.dumps(task)), Progress())))


class Notes(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def on_a_cluster(images: Path, output: Path, network: Path) -> list[str]:
    notes, cluster = Notes(), Cluster(lambda: nullcontext(OneWorker()))
    recipe = Recipe(str(network), preprocess="none", batch_size=2)
    step.extract(str(images), output, recipe, cluster=cluster, progress=notes)
    return notes.lines


def test_workers_say_once_what_is_left_out(images: Path, saved: Any, extracted: Any, tmp_path: Path) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    path = saved(keras.Model(inputs, with_attention(inputs)))
    lines = on_a_cluster(images, tmp_path / "shards.h5", path)
    assert [line for line in lines if "left out" in line] == ["left out: top (classifier)"]
    extracted(path)
    assert (tmp_path / "shards.h5").read_bytes() == (tmp_path / "out.h5").read_bytes()


def test_nothing_is_left_behind_by_workers_either(images: Path, tmp_path: Path) -> None:
    mixing(3)(tmp_path / "net.keras")
    with pytest.raises(BadInput, match=r"cannot be computed here|should give a row for each image"):
        on_a_cluster(images, tmp_path / "out.h5", tmp_path / "net.keras")
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.keras"]
