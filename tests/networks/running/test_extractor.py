"""The compiled function against plain Keras and NumPy, whatever the batch, and when memory gives out."""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fne_cli.errors import DoesNotFit, WrongOptions
from fne_cli.networks import graph
from fne_cli.networks.backend import load_keras
from fne_cli.networks.mini import build as build_mini
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running.extractor import Extractor, device_name
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.tapping.taps import find_taps, select
from fne_cli.networks.weights import Network, open_network

keras = load_keras()
layers = keras.layers

MINI = Recipe(model="mini", weights="random")
VGG16_CONVOLUTIONS = [
    "block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1", "block3_conv2", "block3_conv3",
    "block4_conv1", "block4_conv2", "block4_conv3", "block5_conv1", "block5_conv2", "block5_conv3",
]  # fmt: skip


def noise(rows: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)


def averaged(outputs: list[np.ndarray]) -> list[np.ndarray]:
    return [values.mean(axis=(1, 2), dtype=np.float64) if values.ndim == 4 else values for values in outputs]


def all_close(found: list[Any], expected: list[np.ndarray], relative: float = 1e-5) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert np.asarray(mine).dtype == np.float32
        np.testing.assert_allclose(np.asarray(mine), theirs, rtol=relative, atol=relative * np.abs(theirs).max())


def extractor(model: Any, side: int, rows: int, **options: Any) -> Extractor:
    network = Network("net", graph.flat(model, side, side, options.pop("precision", "float32")), "none", side, side, "")
    taps = select(find_taps(network.model), ())
    return Extractor(network, taps, [Pooling()] * len(taps), rows, **options)


def small_net() -> Any:
    images = keras.Input((9, 9, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="first")(layers.Rescaling(1 / 255)(images))
    return keras.Model(images, layers.Conv2D(4, 3, activation="relu", name="second")(x))


def net_with_our_names() -> Any:
    """One with the operations that pooling uses, of the same names, and a name that no scope may have."""
    images = keras.Input((9, 9, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="two words")(layers.Rescaling(1 / 255)(images))
    x = keras.ops.concatenate([keras.ops.pad(x[:, 1:], [[0, 0], [1, 0], [0, 0], [0, 0]]), x], axis=-1)
    return keras.Model(images, layers.Dense(4, activation="relu", name="second")(keras.ops.mean(x, axis=(1, 2))))


# The same as plain Keras


@pytest.fixture(scope="module")
def mini() -> Network:
    return open_network("mini", "random")


def by_keras(reference: Any, preprocess: Callable[[Any], Any], rows: int) -> list[np.ndarray]:
    """What `reference` makes of noise, a model of the tapped layers' outputs that Keras alone has built and runs."""
    pixels = preprocess(noise(rows, reference.input_shape[1]).astype(np.float32))
    few = [averaged(reference.predict(pixels[start : start + 4], verbose=0)) for start in range(0, rows, 4)]
    return [np.concatenate(parts) for parts in zip(*few, strict=True)]  # all maps at once would take a GB


def matches_keras(prepared: Prepared, expected: list[np.ndarray]) -> None:
    all_close(prepared.extractor(print)(noise(len(expected[0]), prepared.network.height)), expected)


@pytest.mark.parametrize("rows", [1, 3, 16])
def test_taps_of_mini_are_those_of_keras(rows: int, mini: Network) -> None:
    names = [*VGG16_CONVOLUTIONS, "fc1", "fc2"]
    taps = select(find_taps(mini.model), ())
    assert [tap.layer for tap in taps] == names
    prepared = Prepared(Recipe(model="mini", batch_size=rows), mini, taps, [Pooling()] * 15)
    own = build_mini()
    own.set_weights(mini.model.get_weights())
    reference = keras.Model(own.inputs, [own.get_layer(name).output for name in names])
    tf_mode = keras.applications.mobilenet.preprocess_input
    matches_keras(prepared, by_keras(reference, tf_mode, rows))


def vgg16_matches_keras(folder: Path, size: tuple[int, int] | None, names: list[str], batches: tuple[int, ...]) -> None:
    """One network is given up before the other is built: both together do not fit into a small machine."""
    own = keras.applications.VGG16(
        weights=None, include_top=size is None, input_shape=None if size is None else (*size, 3)
    )
    own.save_weights(folder / "own.weights.h5")
    reference = keras.Model(own.inputs, [own.get_layer(name).output for name in names])
    expected = [by_keras(reference, keras.applications.vgg16.preprocess_input, rows) for rows in batches]
    del own, reference
    gc.collect()
    prepared = Prepared.of(Recipe(model="vgg16", weights=str(folder / "own.weights.h5"), image_size=size))
    (folder / "own.weights.h5").unlink()  # half a GB, and pytest keeps its folders
    assert [tap.layer for tap in prepared.taps] == names
    for rows, values in zip(batches, expected, strict=True):
        recipe = dataclasses.replace(prepared.recipe, batch_size=rows)
        matches_keras(dataclasses.replace(prepared, recipe=recipe), values)


def test_vgg16_of_small_images_is_that_of_keras(tmp_path: Path) -> None:
    vgg16_matches_keras(tmp_path, (32, 32), VGG16_CONVOLUTIONS, (3,))


@pytest.mark.slow
def test_vgg16_is_that_of_keras(tmp_path: Path) -> None:
    vgg16_matches_keras(tmp_path, None, [*VGG16_CONVOLUTIONS, "fc1", "fc2"], (1, 3, 16))


def test_nothing_random_is_left_on() -> None:
    images = keras.Input((8, 8, 3))
    x = layers.RandomFlip()(layers.RandomContrast(0.9)(images))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(layers.GaussianNoise(1.0)(x))
    x = layers.Dropout(0.9)(layers.SpatialDropout2D(0.9)(x, training=True))
    x = layers.Dense(6, activation="relu", name="dense")(layers.Flatten()(x))
    model = keras.Model(images, layers.Dropout(0.9)(x))
    pixels = noise(4, 8)
    kernel, bias = model.get_layer("conv").get_weights()
    windows = np.lib.stride_tricks.sliding_window_view(pixels.astype(float), (3, 3), axis=(1, 2))
    conv = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias, 0)
    kernel, bias = model.get_layer("dense").get_weights()
    dense = np.maximum(conv.reshape(4, -1) @ kernel + bias, 0)
    extract = extractor(model, 8, rows=4)
    all_close(extract(pixels), [conv.mean(axis=(1, 2)), dense])


# The same whatever else is in the batch


def is_steady(extract: Extractor, side: int, slots: list[int], notes: list[str]) -> None:
    """Bit for bit, for one image in each of the slots between different neighbours."""
    if notes:
        assert re.search("the last bits of (dense layers|convolutions) may depend on an image's neighbours", notes[0])
        return  # a machine whose matrix products are not steady: all that is promised is to say so
    image = noise(1, side, seed=9)[0]
    first = None
    for slot in slots:
        for neighbours in (noise(extract.rows, side, seed=slot), np.zeros((extract.rows, side, side, 3), np.uint8)):
            neighbours[slot] = image
            rows = [np.asarray(values)[slot] for values in extract(neighbours)]
            first = first or rows
            for row, expected in zip(rows, first, strict=True):
                np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("rows", [2, 7, 16, 20])
def test_neighbours_and_place_in_the_batch_do_not_matter(rows: int, mini: Network) -> None:
    taps, notes = find_taps(mini.model), []
    extract = Extractor(mini, taps, [Pooling()] * len(taps), rows, note=notes.append)
    is_steady(extract, 32, [0, 1, rows // 2, rows - 1], notes)


def test_it_is_said_where_they_may(mini: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["tensorflow"].config, "list_physical_devices", lambda kind: [])
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    notes: list[str] = []
    taps = find_taps(mini.model)[:1]
    Extractor(mini, taps, [Pooling()], 2, note=notes.append)
    assert "TF_ENABLE_ONEDNN_OPTS is off: the last bits of convolutions may depend" in notes[-1]


@pytest.mark.parametrize("pool", ["avg", "max:2", "avg:3", "none"])
def test_nor_do_they_in_narrow_layers_and_grids(pool: str) -> None:
    model = graph.flat(small_net(), 9, 9)
    taps, notes = find_taps(model), []
    pooling = [Pooling.parse(pool)] * len(taps)
    extract = Extractor(Network("net", model, "none", 9, 9, ""), taps, pooling, 6, note=notes.append)
    is_steady(extract, 9, list(range(6)), notes)


@pytest.mark.parametrize("rows", [3, pytest.param(16, marks=pytest.mark.slow)])
def test_nor_do_they_in_squeezenet(rows: int, shared: Path) -> None:
    notes: list[str] = []
    recipe = Recipe(str(shared / "models/squeezenet_v1_1.keras"), preprocess="caffe", batch_size=rows)
    is_steady(Prepared.of(recipe).extractor(notes.append), 227, [0, rows - 1], notes)


# Precision


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.03), ("float16", 0.005)])
def test_16_bit_networks_give_nearly_the_same_in_float32(precision: Any, tolerance: float) -> None:
    model, pixels = small_net(), noise(4, 9)
    exact = [np.asarray(values) for values in extractor(model, 9, rows=4)(pixels)]
    half = [np.asarray(values) for values in extractor(model, 9, rows=4, precision=precision)(pixels)]
    all_close(half, exact, tolerance)
    assert not np.array_equal(half[1], exact[1])


def test_xla_gives_nearly_the_same() -> None:
    pixels = noise(4, 9)
    plain, compiled = (extractor(small_net(), 9, rows=4, xla=xla) for xla in (False, True))
    compiled._model.set_weights(plain._model.get_weights())
    all_close(compiled(pixels), [np.asarray(values) for values in plain(pixels)])


# Memory


class OutOfMemoryError(RuntimeError):
    """As PyTorch names it."""


def tensorflow_error() -> Exception:
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


ERRORS: list[Callable[[], Exception]] = [
    tensorflow_error,
    MemoryError,
    lambda: OutOfMemoryError("CUDA out of memory."),
    lambda: RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes."),
]


def with_memory_for(rows: int, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]) -> None:
    compiled = Extractor._compiled

    def limited(self: Extractor, wanted: int) -> Any:
        call = compiled(self, wanted)

        def checked(pixels: np.ndarray) -> Any:
            if len(pixels) > rows:
                raise error()
            return call(pixels)

        return checked

    monkeypatch.setattr(Extractor, "_compiled", limited)


@pytest.mark.parametrize("error", ERRORS)
def test_a_batch_that_does_not_fit_is_halved_for_good(
    error: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pixels, notes = small_net(), noise(7, 9), []
    expected = [np.asarray(values) for values in extractor(model, 9, rows=7)(pixels)]
    with_memory_for(3, monkeypatch, error)
    extract = extractor(model, 9, rows=7, note=notes.append)
    for _ in range(2):
        all_close(extract(pixels), expected, 1e-6)
    assert (extract.rows, extract.used) == (7, 2)
    assert notes == [
        f"Out of memory: going on with {used} rows at once instead of 7. "
        "The last bits of the activations may differ from those of a full batch."
        for used in (4, 2)
    ]


def test_memory_that_gives_out_while_compiling_halves_the_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = small_net(), noise(8, 9)
    expected = [np.asarray(values) for values in extractor(model, 9, rows=8)(pixels)]
    compiled = Extractor._compiled

    def limited(self: Extractor, wanted: int) -> Any:
        if self.used > 2:
            raise tensorflow_error()
        return compiled(self, wanted)

    monkeypatch.setattr(Extractor, "_compiled", limited)
    extract = extractor(model, 9, rows=8)
    all_close(extract(pixels), expected, 1e-6)
    assert extract.used == 2


def test_a_batch_larger_than_the_memory_is_halved_before_linux_kills_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest tensor is of 9 x 9 x 3 or more numbers for a row; memory for two of these is there."""
    model, pixels = small_net(), noise(8, 9)
    expected = [np.asarray(values) for values in extractor(model, 9, rows=8)(pixels)]
    largest = max(int(np.prod(layer.output.shape[1:])) for layer in model.layers)
    monkeypatch.setattr("fne_cli.networks.running.extractor.free_memory", lambda: 2 * 4 * largest)
    extract = extractor(model, 9, rows=8)
    all_close(extract(pixels), expected, 1e-6)
    assert extract.used == 2


def test_one_row_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory_for(0, monkeypatch, tensorflow_error)
    with pytest.raises(DoesNotFit) as error:
        extractor(small_net(), 9, rows=4)(noise(4, 9))
    assert str(error.value) == (
        "net does not fit into memory even with one row of 9 x 9. Use fewer --layers or a smaller network."
    )


def test_other_errors_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory_for(0, monkeypatch, lambda: ZeroDivisionError("no"))
    with pytest.raises(ZeroDivisionError):
        extractor(small_net(), 9, rows=4)(noise(4, 9))


# Backends


def test_the_room_loads_neither_keras_nor_a_backend() -> None:
    code = (
        "import importlib, pkgutil, sys, fne_cli.networks as room\n"
        "for module in pkgutil.iter_modules(room.__path__, 'fne_cli.networks.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_xla_is_of_tensorflow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(WrongOptions) as error:
        Prepared.of(Recipe("mini", "random", xla=True))
    assert str(error.value) == (
        "--xla should have TensorFlow. Found: KERAS_BACKEND=jax. "
        "Leave --xla out: JAX always has XLA, and PyTorch never."
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", *(["torch"] if importlib.util.find_spec("torch") else [])])
@pytest.mark.parametrize("network", [small_net, net_with_our_names])
def test_another_backend_gives_the_same_without_tensorflow(backend: str, network: Any, tmp_path: Path) -> None:
    model, pixels = network(), noise(3, 9)
    model.save(tmp_path / "net.keras")
    np.save(tmp_path / "pixels.npy", pixels)
    code = (
        "import json, sys, numpy as np\n"
        "from fne_cli.networks.prepared import Prepared\nfrom fne_cli.networks.recipe import Recipe\n"
        "prepared = Prepared.of(Recipe('net.keras', preprocess='none', batch_size=3))\n"
        "call = prepared.extractor(print)\n"
        "first, values = [[np.asarray(one).tolist() for one in call(np.load('pixels.npy'))] for _ in range(2)]\n"
        "assert values == first\n"
        "assert 'tensorflow' not in sys.modules\n"
        "print(json.dumps([values, prepared.packages]))"
    )
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    rows, packages = json.loads(done.stdout)
    assert packages == ["keras", *(["jax", "jaxlib"] if backend == "jax" else ["torch"]), "pillow"]
    found = [np.array(values, np.float32) for values in rows]
    all_close(found, [np.asarray(values) for values in extractor(model, 9, rows=3)(pixels)])


def test_the_device_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_name().strip()
    monkeypatch.setattr("fne_cli.networks.running.extractor.accelerators", lambda: ["a card", "another"])
    assert device_name() == "a card"
