"""ONNX networks against the Keras networks that they were exported from, and against plain onnxruntime."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_export import export
from onnx_transformers import vit

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.networks.mini import build as build_mini
from fne_cli.networks.onnx import extractor as onnx_extractor
from fne_cli.networks.onnx.prepared import PreparedOnnx
from fne_cli.networks.opening import prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.weights import seeded
from fne_cli.numerics.transformer import TernaryEmbedding

layers = keras.layers


def noise(rows: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)


def computed(recipe: Recipe, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The rows of every layer, by the way that extractions take."""
    source = prepared(dataclasses.replace(recipe, batch_size=len(pixels)))
    values = source.extractor(pytest.fail)(pixels)
    return {name: np.asarray(rows) for (name, _, _), rows in zip(source.columns(), values, strict=True)}


def are_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], relative: float = 1e-4) -> None:
    assert sorted(found) == sorted(expected)
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(
            found[name], values, rtol=relative, atol=relative * np.abs(values).max(), err_msg=name
        )


def plain(path: Path, images: np.ndarray, tensors: list[str]) -> list[np.ndarray]:
    """What onnxruntime alone makes of prepared images, rows first, at these tensors of the file."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(tensors, {model.graph.input[0].name: images})


@pytest.fixture(scope="module")
def mini() -> Any:
    return seeded(build_mini, 0)


@pytest.fixture(scope="module")
def mini_file(mini: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(mini, tmp_path_factory.mktemp("mini") / "mini.onnx")


# Against Keras


@pytest.mark.parametrize("preprocess", ["torch", "mean=1/2/3,std=2,order=bgr,scale=1/64"])
def test_mini_is_that_of_keras(mini_file: Path, preprocess: str) -> None:
    of_keras = computed(Recipe(model="mini", weights="random", preprocess=preprocess), noise(5, 32))
    are_close(computed(Recipe(model=str(mini_file), preprocess=preprocess), noise(5, 32)), of_keras)


def test_a_network_with_its_channels_last_is_the_same(mini: Any, mini_file: Path, tmp_path: Path) -> None:
    last = export(mini, tmp_path / "last.onnx", channels_last=True)
    one, other = (PreparedOnnx.of(Recipe(model=str(path), preprocess="tf")) for path in (mini_file, last))
    assert one.settings() == other.settings()
    are_close(*(computed(source.recipe, noise(3, 32)) for source in (one, other)))


def test_maps_are_pooled_as_those_of_keras(mini_file: Path) -> None:
    pools = ("max", "block1_conv1=avg:3", "block3_conv1=max:2", "block3_conv2=none")
    chosen = {"layers": ("block1*", "block3*", "fc1"), "pool": pools, "preprocess": "tf"}
    of_keras = computed(Recipe(model="mini", weights="random", **chosen), noise(3, 32))
    are_close(computed(Recipe(model=str(mini_file), **chosen), noise(3, 32)), of_keras)


def various() -> Any:
    """Activations of every sort, written as one operator or several; a grey image of any size."""
    images = keras.Input((None, None, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(images)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("silu", name="silu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(x)
    x = layers.Add(name="sum")([x, layers.Conv2D(8, 1, name="linear")(y)])
    x = layers.LayerNormalization(name="layer_norm")(x)
    x = layers.Dense(12, activation="gelu", name="wide")(x)
    x = layers.MaxPooling2D(2, name="pool")(layers.Conv2D(5, 3, groups=1, name="late")(x))
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.Dense(6, activation="tanh", name="dense")(layers.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(images, layers.Dense(3, name="logits")(x), name="various")


def test_activations_of_every_sort_are_found_where_keras_has_them(tmp_path: Path) -> None:
    model = seeded(various, 1)
    model.get_layer("norm").set_weights([np.linspace(low, 2, 8) for low in (1, -1, -2, 0.5)])
    model.save(tmp_path / "net.keras")
    export(model, tmp_path / "net.onnx", side=17)
    chosen = {"preprocess": "unit", "image_size": (17, 17)}
    of_keras = computed(Recipe(model=str(tmp_path / "net.keras"), **chosen), noise(4, 17))
    assert list(of_keras) == ["conv", "depthwise", "linear", "wide", "late", "dense"]
    are_close(computed(Recipe(model=str(tmp_path / "net.onnx"), **chosen), noise(4, 17)), of_keras)


def test_a_convnext_is_that_of_keras_and_of_plain_onnxruntime(tmp_path: Path) -> None:
    from keras.src.applications.convnext import ConvNeXt

    model = seeded(
        lambda: ConvNeXt([1, 1, 2, 1], [8, 12, 16, 24], weights=None, input_shape=(32, 32, 3), classes=5, name="next"),
        2,
    )
    for layer in model.layers:  # the scales of the branches are 1e-6 before training
        if layer.__class__.__name__ == "LayerScale":
            layer.set_weights([np.full_like(weight, 0.5) for weight in layer.get_weights()])
    model.save(tmp_path / "net.keras")
    path = export(model, tmp_path / "net.onnx")
    pixels = noise(3, 32)
    found = computed(Recipe(model=str(path), preprocess="none"), pixels)
    are_close(found, computed(Recipe(model=str(tmp_path / "net.keras"), preprocess="none"), pixels))
    source = PreparedOnnx.of(Recipe(model=str(path), preprocess="none"))
    images = pixels.astype(np.float32).transpose(0, 3, 1, 2)
    for tap, values in zip(source.taps, plain(path, images, [tap.tensor for tap in source.taps]), strict=True):
        axes = () if values.ndim == 2 else ((2, 3) if tap.is_channels_first else (1, 2))
        np.testing.assert_allclose(found[tap.layer], values.mean(axes), rtol=1e-4, atol=1e-5, err_msg=tap.layer)


def codes_of(rows: dict[str, np.ndarray]) -> np.ndarray:
    matrix = np.hstack([rows[name] for name in sorted(rows)])
    half = len(matrix) // 2
    return TernaryEmbedding().fit(matrix[:half]).transform(matrix)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet_v1_1", "squeezenet_bn_places365", "bvlc_googlenet"])
def test_real_networks_give_the_activations_and_codes_of_keras(name: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "models" / f"{name}.keras"
    model = keras.models.load_model(source, compile=False)
    path, side = export(model, tmp_path / f"{name}.onnx"), model.input_shape[1]
    photos = sorted((shared / "data" / "caltech101").rglob("*.jpg"))[::240][:24]
    assert len(photos) == 24
    from PIL import Image

    pixels = np.stack([np.asarray(Image.open(photo).convert("RGB").resize((side, side))) for photo in photos])
    chosen = {"preprocess": "mean=104/117/123,order=bgr"}
    of_keras, of_onnx = (
        {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
        for parts in (
            [computed(Recipe(model=str(file), **chosen), pixels[start : start + 8]) for start in (0, 8, 16)]
            for file in (source, path)
        )
    )
    are_close(of_onnx, of_keras)
    assert np.mean(codes_of(of_onnx) != codes_of(of_keras)) <= 1e-4


# Transformers


def tokens_of(path: Path, source: PreparedOnnx, pixels: np.ndarray) -> dict[str, np.ndarray]:
    images = (pixels / np.float32(255)).transpose(0, 3, 1, 2)
    tensors = [tap.tensor for tap in source.taps]
    return dict(zip([tap.layer for tap in source.taps], plain(path, images, tensors), strict=True))


@pytest.mark.parametrize("registers", [0, 3])
def test_tokens_of_a_vit_are_pooled_as_it_says(registers: int, tmp_path: Path) -> None:
    path = vit(tmp_path / "vit.onnx", registers=registers)
    chosen = Recipe(model=str(path), preprocess="unit", layers=("*.attention", "*.mlp", "*.stream"))
    source, pixels = PreparedOnnx.of(Recipe(model=str(path), preprocess="unit")), noise(4, 16)
    assert [tap.layer for tap in source.taps] == [
        "patch_embed.proj",
        *(f"blocks.{number}.{part}" for number in (0, 1) for part in ("attention", "mlp", "stream")),
    ]
    everything = tokens_of(path, source, pixels)
    of_blocks = {name: values for name, values in everything.items() if name != "patch_embed.proj"}
    assert {values.shape[1] for values in of_blocks.values()} == {17 + registers}
    patches = {name: values[:, 1 + registers :] for name, values in of_blocks.items()}
    means = {name: values.mean(1) for name, values in patches.items()}
    classes = {name: values[:, 0] for name, values in of_blocks.items()}
    grids = {name: values.reshape(4, 4, 4, -1) for name, values in patches.items()}
    corners = {
        name: np.concatenate([grid[:, y : y + 2, x : x + 2].mean((1, 2)) for y in (0, 2) for x in (0, 2)], axis=1)
        for name, grid in grids.items()
    }
    both = {name: np.hstack([classes[name], means[name]]) for name in means}
    largest = {name: values.max(1) for name, values in patches.items()}
    wanted = {"avg": means, "mean": means, "cls": classes, "cls+mean": both, "avg:2": corners, "none": grids}
    for pool, expected in {**wanted, "max": largest}.items():
        are_close(computed(dataclasses.replace(chosen, pool=(pool,)), pixels), expected, 1e-5)


@pytest.mark.parametrize("newer", [False, True])
def test_a_vit_that_was_exported_for_one_image_gives_the_same(newer: bool, tmp_path: Path) -> None:
    whole, single = (
        vit(tmp_path / f"{name}.onnx", registers=1, newer=newer, batch=batch)
        for name, batch in (("whole", None), ("single", 1))
    )
    recipe, pixels = Recipe(str(whole), preprocess="unit", pool=("cls+mean",), layers=("*",)), noise(5, 16)
    found = computed(dataclasses.replace(recipe, model=str(single)), pixels)
    are_close(found, computed(recipe, pixels), 1e-5)
    assert list(found) == [
        "patch_embed.proj",
        *(
            f"blocks.{block}.{name}"
            for block in (0, 1)
            for name in ("attn.qkv", "attention", "mlp", "mlp.fc2", "stream")
        ),
        "head",
    ]
    told = "single takes one image at a time, as it was exported: images go through it one by one"
    assert told in prepared(dataclasses.replace(recipe, model=str(single))).notes()
    assert not prepared(recipe).notes()


def test_a_network_for_several_images_at_a_time_and_no_others_is_refused(tmp_path: Path) -> None:
    path = vit(tmp_path / "vit.onnx", batch=8)
    with pytest.raises(BadInput) as error:
        prepared(Recipe(str(path), preprocess="unit"))
    assert str(error.value) == (
        f"{path} should take any number of images, or one. Found: 8 at a time.\n"
        "Export it with an open batch, or for one image."
    )


def test_class_tokens_are_asked_of_all_layers_or_of_those_that_have_them(tmp_path: Path) -> None:
    path = vit(tmp_path / "vit.onnx")
    source = PreparedOnnx.of(Recipe(model=str(path), preprocess="unit", pool=("cls",)))
    pools = source.settings()["layers"]
    assert pools.pop("patch_embed.proj") == "avg"
    assert set(pools.values()) == {"cls"}
    with pytest.raises(BadInput, match=r"for layers with a class token. Found: patch_embed.proj, which has none"):
        PreparedOnnx.of(Recipe(model=str(path), preprocess="unit", pool=("patch*=cls",)))


def test_mlp_and_attention_are_what_is_added_to_the_stream(tmp_path: Path) -> None:
    path = vit(tmp_path / "vit.onnx", depth=1)
    source, pixels = PreparedOnnx.of(Recipe(model=str(path), preprocess="unit")), noise(2, 16)
    values, weights = tokens_of(path, source, pixels), source.network.graph.file.weights
    product = next(weights[node.input[1]] for node in source.network.graph.nodes if "mlp.fc2/MatMul" in node.name)
    middle = values["blocks.0.stream"] - values["blocks.0.mlp"] @ product - weights["blocks.0.mlp.fc2.bias"]
    scaled = values["blocks.0.attention"] * weights["blocks.0.ls1.gamma"]
    first = plain(path, (pixels / np.float32(255)).transpose(0, 3, 1, 2), [_stream_before(source)])[0]
    np.testing.assert_allclose(middle, first + scaled, rtol=1e-4, atol=1e-5)


def _stream_before(source: PreparedOnnx) -> str:
    return next(node.output[0] for node in source.network.graph.nodes if "pos_embed" in node.input)


# The same bits


@pytest.mark.parametrize("kind", ["mini", "vit"])
def test_a_row_has_the_same_bits_at_any_place_of_any_batch(kind: str, mini_file: Path, tmp_path: Path) -> None:
    path, side = (mini_file, 32) if kind == "mini" else (vit(tmp_path / "vit.onnx", width=20), 16)
    pixels = noise(16, side)
    recipe = Recipe(model=str(path), preprocess="torch", pool=("avg:2",))
    whole = computed(recipe, pixels)
    for rows in (5, 8):
        parts = [computed(recipe, pixels[start : start + rows]) for start in range(0, 16 - rows + 1, rows)]
        for name, values in whole.items():
            again = np.concatenate([part[name] for part in parts])
            assert np.array_equal(again, values[: len(again)]), (name, rows)


def test_operators_that_are_not_steady_get_images_one_by_one(mini_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, notes = noise(4, 32), []
    source = PreparedOnnx.of(Recipe(model=str(mini_file), preprocess="torch", batch_size=4))
    alone = [computed(source.recipe, pixels[number : number + 1]) for number in range(4)]
    monkeypatch.setattr(onnx_extractor.OnnxExtractor, "_is_steady", lambda self, call, rows: False)
    values = source.extractor(notes.append)(pixels)
    assert len(notes) == 1
    assert "images go through it one by one" in notes[0]
    for (name, _, _), rows in zip(source.columns(), values, strict=True):
        assert np.array_equal(rows, np.concatenate([each[name] for each in alone]))


def test_batches_are_halved_while_memory_is_short(mini_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnx_extractor.session

    def small(message: Any, *more: Any) -> Any:
        rows = message.graph.input[0].type.tensor_type.shape.dim[0].dim_value
        call = real(message, *more)

        def refusing(given: np.ndarray) -> Any:
            if rows > limit:
                raise RuntimeError("Failed to allocate memory for requested buffer of size 4398046511104")
            return call(given)

        return refusing

    monkeypatch.setattr(onnx_extractor, "session", small)
    limit, notes = 3, []
    source = PreparedOnnx.of(Recipe(model=str(mini_file), preprocess="torch", batch_size=8))
    call, pixels = source.extractor(notes.append), noise(8, 32)
    rows = call(pixels)
    assert (call.rows, call.used) == (8, 2)
    assert [note.split(" rows")[0] for note in notes] == [
        "Out of memory: going on with 4", "Out of memory: going on with 2",
    ]  # fmt: skip
    limit = 8
    whole = PreparedOnnx.of(source.recipe).extractor(pytest.fail)(pixels)
    assert all(np.array_equal(one, other) for one, other in zip(rows, whole, strict=True))
    limit = 0
    with pytest.raises(DoesNotFit, match="does not fit into memory even with one row of 32 x 32"):
        PreparedOnnx.of(source.recipe).extractor(notes.append)


def test_weights_are_the_same_wherever_a_file_has_them(mini_file: Path, tmp_path: Path) -> None:
    model = onnx.load(mini_file)
    onnx.save(model, tmp_path / "own.onnx", save_as_external_data=True, location="own.data", size_threshold=100)
    moved = onnx.load(mini_file)
    tensors = list(moved.graph.initializer)[::-1]
    del moved.graph.initializer[:]
    for tensor in tensors[::2]:
        moved.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    moved.graph.initializer.extend(tensors[1::2])
    onnx.save(moved, tmp_path / "moved.onnx")
    sources = [
        PreparedOnnx.of(Recipe(model=str(path), preprocess="tf"))
        for path in (mini_file, tmp_path / "own.onnx", tmp_path / "moved.onnx")
    ]
    assert len({str(source.settings()) for source in sources}) == 1
    rows = [computed(source.recipe, noise(2, 32)) for source in sources]
    assert all(np.array_equal(rows[0][name], other[name]) for other in rows[1:] for name in rows[0])
    assert sources[1].recipe.files() == [str(tmp_path / "own.onnx"), str(tmp_path / "own.data")]
    model.graph.initializer[3].CopyFrom(
        onnx.numpy_helper.from_array(1 + onnx.numpy_helper.to_array(model.graph.initializer[3]), tensors[-4].name)
    )
    onnx.save(model, tmp_path / "other.onnx")
    other = PreparedOnnx.of(Recipe(model=str(tmp_path / "other.onnx"), preprocess="tf"))
    assert other.settings()["weights_sha256"] != sources[0].settings()["weights_sha256"]
