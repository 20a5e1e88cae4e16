"""Presets of KerasHub against KerasHub's own layers, and against the same network in an ONNX file."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import onnx
import pytest
from onnx_transformers import vit as onnx_vit
from PIL import Image

from fne_cli.errors import BadInput
from fne_cli.networks.opening import prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.weights import open_network, seeded

SIDE, PATCH, WIDTH, HEADS = 16, 4, 20, 4


def hub() -> Any:
    """KerasHub, which takes seconds to import: by who runs these tests, and not by all processes that collect them."""
    import keras_hub

    return keras_hub


def noise(rows: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)


def computed(recipe: Recipe, pixels: np.ndarray) -> dict[str, np.ndarray]:
    source = prepared(dataclasses.replace(recipe, batch_size=len(pixels)))
    values = source.extractor(lambda text: None)(pixels)  # which may say that images go one by one
    return {name: np.asarray(rows) for (name, _, _), rows in zip(source.columns(), values, strict=True)}


def saved(network: Any, folder: Path, **converter: Any) -> Path:
    network.save_to_preset(str(folder))
    if converter:
        hub().layers.ViTImageConverter(**converter).save_to_preset(str(folder))
    return folder


def vit() -> Any:
    return hub().models.ViTBackbone((SIDE, SIDE, 3), PATCH, 2, HEADS, WIDTH, 4 * WIDTH, layer_norm_epsilon=1e-5)


def dinov2(**options: Any) -> Any:
    return hub().models.DINOV2Backbone(
        PATCH, 2, WIDTH, HEADS, 2 * WIDTH, image_shape=(SIDE, SIDE, 3), position_embedding_shape=(24, 24, 3), **options
    )


@pytest.fixture(scope="module")
def network() -> Any:
    """Of random weights, and with biases that are none of 0."""
    made = seeded(vit, 3)
    random = np.random.default_rng(1)
    made.set_weights([one + 0.1 * random.standard_normal(one.shape) for one in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def folder(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(network, tmp_path_factory.mktemp("presets") / "vit")


def test_taps_of_a_vit_are_what_its_layers_give(network: Any, folder: Path) -> None:
    pixels = noise(3)
    embedding, encoder = network.get_layer("vit_patching_and_embedding"), network.get_layer("vit_encoder")
    images = pixels / np.float32(255)
    x, expected = embedding(images), {"vit_patching_and_embedding.patch_embedding": embedding.patch_embedding(images)}
    for block in encoder.encoder_layers:
        name = f"vit_encoder.{block.name}"
        normed = block.layer_norm_1(x)
        attention = block.mha(normed, normed)
        middle = x + attention
        hidden = block.mlp.dense_1(block.layer_norm_2(middle))
        x = middle + block.mlp.dense_2(hidden)
        expected |= {f"{name}.attention": attention, f"{name}.mlp": hidden, f"{name}.stream": x}
    np.testing.assert_allclose(encoder.layer_norm(x), network(images), rtol=1e-5, atol=1e-5)
    (conv, grid), *tokens = ((name, np.asarray(values)) for name, values in expected.items())
    maps = {conv: grid} | {name: values[:, 1:].reshape(3, 4, 4, -1) for name, values in tokens}
    found = computed(Recipe(model=str(folder), preprocess="unit", pool=("cls+mean",)), pixels)
    opened = open_network(str(folder), preprocess="unit")
    values = dict(
        zip(maps, keras.Model(opened.model.inputs[0], [tap.tensor for tap in taps_of(opened)])(images), strict=True)
    )
    for pool, wanted in {
        "avg": {name: values.mean((1, 2)) for name, values in maps.items()},
        "none": maps,
        "max:2": {
            name: np.hstack([values[:, y : y + 2, x : x + 2].max((1, 2)) for y in (0, 2) for x in (0, 2)])
            for name, values in maps.items()
        },
        "cls": {name: values[:, 0] for name, values in tokens},
        "cls+mean": {name: np.hstack([values[:, 0], values[:, 1:].mean(1)]) for name, values in tokens},
    }.items():
        for tap in (tap for tap in taps_of(opened) if tap.layer in wanted):
            pooled = np.asarray(Pooling.parse(pool)(values[tap.layer], tap.tokens))
            np.testing.assert_allclose(pooled, wanted[tap.layer], rtol=1e-4, atol=1e-5, err_msg=f"{tap.layer} {pool}")
            if pool == "cls+mean":
                np.testing.assert_allclose(found[tap.layer], wanted[tap.layer], rtol=1e-4, atol=1e-5, err_msg=tap.layer)
    assert list(found) == list(maps)
    np.testing.assert_allclose(found[conv], grid.mean((1, 2)), rtol=1e-4, atol=1e-5)


def taps_of(network: Any) -> list[Any]:
    return [tap for tap in network.taps() if not tap.aside]


def test_the_same_vit_in_an_onnx_file_gives_the_same(tmp_path: Path) -> None:
    path = onnx_vit(tmp_path / "vit.onnx", width=WIDTH, heads=HEADS)
    model = onnx.load(path)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for one in model.graph.initializer:
        if one.name.endswith(".ls1.gamma"):  # KerasHub's ViT has no scales
            one.CopyFrom(onnx.numpy_helper.from_array(np.ones(WIDTH, np.float32), one.name))
    onnx.save(model, path)
    products = iter([values[name] for name in values if name.startswith("onnx::MatMul")])
    network, size = vit(), WIDTH // HEADS
    embedding = network.get_layer("vit_patching_and_embedding")
    embedding.class_token.assign(values["cls_token"])
    embedding.patch_embedding.set_weights(
        [values["patch_embed.proj.weight"].transpose(2, 3, 1, 0), values["patch_embed.proj.bias"]]
    )
    embedding.position_embedding.set_weights([values["pos_embed"][0]])
    for number, block in enumerate(network.get_layer("vit_encoder").encoder_layers):
        name = f"blocks.{number}"
        for norm, own in ((block.layer_norm_1, "norm1"), (block.layer_norm_2, "norm2")):
            norm.set_weights([values[f"{name}.{own}.weight"], values[f"{name}.{own}.bias"]])
        kernel = next(products).reshape(WIDTH, 3, HEADS, size)
        bias = values[f"{name}.attn.qkv.bias"].reshape(3, HEADS, size)
        for part, dense in enumerate((block.mha._query_dense, block.mha._key_dense, block.mha._value_dense)):
            dense.set_weights([kernel[:, part], bias[part]])
        block.mha._output_dense.set_weights(
            [next(products).reshape(HEADS, size, WIDTH), values[f"{name}.attn.proj.bias"]]
        )
        for dense, own in ((block.mlp.dense_1, "fc1"), (block.mlp.dense_2, "fc2")):
            dense.set_weights([next(products), values[f"{name}.mlp.{own}.bias"]])
    preset = saved(network, tmp_path / "vit")
    of_keras, of_onnx = (
        computed(Recipe(model=str(one), preprocess="imagenet", pool=("cls+mean",)), noise(4)) for one in (preset, path)
    )
    assert [name.split(".")[-1] for name in of_keras] == ["patch_embedding", *["attention", "mlp", "stream"] * 2]
    for (name, found), wanted in zip(of_keras.items(), of_onnx.values(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max(), err_msg=name)


@pytest.mark.slow
def test_registers_are_left_out(tmp_path: Path) -> None:
    network = seeded(lambda: dinov2(num_register_tokens=3), 1)
    network.set_weights([one + 0.1 for one in network.get_weights()])
    folder = saved(network, tmp_path / "dino")
    network.load_weights(folder / "model.weights.h5")  # in which positions are kept at another size
    source = Recipe(model=str(folder), preprocess="unit", layers=("*layers_1.stream",))
    images = noise(2) / np.float32(255)
    tokens = np.asarray(network.encoder(network.embeddings(images))[0])
    assert tokens.shape == (2, 20, WIDTH)
    for pool, expected in (("mean", tokens[:, 4:].mean(1)), ("cls", tokens[:, 0])):
        (found,) = computed(dataclasses.replace(source, pool=(pool,)), noise(2)).values()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_row_has_the_same_bits_at_any_place_of_a_batch(folder: Path) -> None:
    recipe = Recipe(model=str(folder), preprocess="tf", pool=("cls+mean",), layers=("*2.stream",), batch_size=5)
    call, pixels = prepared(recipe).extractor(lambda text: None), noise(5)
    straight, moved = (np.asarray(call(images)[0]) for images in (pixels, np.roll(pixels, 2, axis=0)))
    assert np.array_equal(np.roll(moved, -2, axis=0), straight)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda: hub().models.DeiTBackbone(
            image_shape=(16, 16, 3), patch_size=4, num_layers=2, num_heads=4, hidden_dim=20, intermediate_dim=40
        ),
        lambda: dinov2(use_swiglu_ffn=True),
        lambda: hub().models.DINOV3Backbone(4, 2, 20, 5, 40, num_register_tokens=2, image_shape=(16, 16, 3)),
        lambda: hub().models.CLIPVisionEncoder(4, 20, 2, 4, 40, image_shape=(16, 16, 3)),
        lambda: hub().models.SigLIPVisionEncoder(4, 20, 2, 4, 40, image_shape=(16, 16, 3)),
        lambda: hub().models.VGGBackbone([1, 1], [8, 8], image_shape=(16, 16, 3)),
        lambda: hub().models.ResNetBackbone([64], [7], [64, 8], [1, 1], [1, 2], "basic_block", image_shape=(32, 32, 3)),
        lambda: hub().models.DenseNetBackbone([2, 2], compression_ratio=0.5, growth_rate=8, image_shape=(32, 32, 3)),
    ],
    ids=["DeiT", "DINOv2 with SwiGLU", "DINOv3", "CLIP", "SigLIP", "VGG", "ResNet", "DenseNet"],
)
def test_every_network_computes_what_it_did_and_its_blocks_are_tapped(build: Any, tmp_path: Path) -> None:
    network = seeded(build, 0)
    images = noise(2, network.inputs[0].shape[1]) / np.float32(255)
    expected = np.asarray(keras.tree.flatten(network(images))[0])
    found = open_network(str(saved(network, tmp_path / "net")), preprocess="unit")
    np.testing.assert_array_equal(np.asarray(keras.tree.flatten(found.model(images))[0]), expected)
    if hasattr(network, "patch_size"):
        names = [tap.layer.rsplit(".", 1)[-1] for tap in found.taps() if not tap.aside]
        assert names[1:] == ["attention", "mlp", "stream"] * 2
    else:
        assert len(found.taps()) > 1


def test_the_command_line_takes_a_folder_and_what_it_says_of_images(
    fne: Any, network: Any, tmp_path: Path, folder: Path
) -> None:
    offsets = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    scales = [1 / (255 * one) for one in (0.229, 0.224, 0.225)]
    preset = saved(network, tmp_path / "vit", image_size=(SIDE, SIDE), scale=scales, offset=offsets)
    for number in range(3):
        file = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(3)[number]).save(file)
    words = [tmp_path / "pictures", tmp_path / "out.h5", "--pool", "cls"]
    done = fne("extract", *words, "--model", preset)
    assert done.code == 0
    assert "--preprocess mean=0.485/0.456/0.406,std=0.229/0.224/0.225" in done.err
    assert "by the folder itself" in done.err
    assert "is up to date" in fne("extract", *words, "--model", preset).err
    given = computed(Recipe(model=str(folder), preprocess="imagenet", pool=("cls",)), noise(3))
    with h5py.File(tmp_path / "out.h5") as file:
        assert "keras-hub" in json.loads(file.attrs["software"])
        stream = file["layers/vit_encoder.transformer_block_2.stream"][:]
    order = [0, 2, 1]  # by the names of the folders
    wanted = given["vit_encoder.transformer_block_2.stream"][order]
    np.testing.assert_allclose(stream, wanted, rtol=1e-5, atol=1e-6)
    assert "does not say how its input is to be prepared" in fne("extract", *words, "--model", folder).err
    listed = fne("layers", folder)
    assert "16 x 16, preprocessing to be given: 7 taps, 260 features" in listed.out
    assert "(4, part of a block: --layers '*' takes these too)" in listed.out
    trained = fne("train", tmp_path / "pictures", tmp_path / "n.keras", "--from", folder, "--preprocess", "unit")
    assert trained.code == 1
    assert "should have Keras's own layers alone" in trained.err


# Folders that are refused


def spoilt(folder: Path, target: Path, change: Any) -> Path:
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    config = change(config, target) or config
    (target / "config.json").write_text(json.dumps(config))
    return target


def put(**values: Any) -> Any:
    def change(config: dict[str, Any], target: Path) -> None:
        config["config"].update(values)

    return change


def with_a_link(config: dict[str, Any], target: Path) -> None:
    with h5py.File(target / "model.weights.h5", "a") as file:
        file["more"] = h5py.ExternalLink("/etc/passwd", "/")


def with_claims(config: dict[str, Any], target: Path) -> None:
    with h5py.File(target / "model.weights.h5", "a") as file:
        file.create_dataset("more", (1 << 40,), "f4", chunks=(1 << 20,))


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "x"}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda config, target: config | {"class_name": "BertBackbone"}, "one of KerasHub's networks of images"),
        (lambda config, target: config | {"class_name": ["ViTBackbone"]}, "one of KerasHub's networks of images"),
        (put(dropout_rate=LAMBDA), "described by plain values. Found: the class Lambda"),
        (put(num_layers=10**9), "as large as its weights. Found: num_layers 1,000,000,000"),
        (put(hidden_dim=10**7), "as large as its weights. Found: hidden_dim 10,000,000"),
        (put(image_shape=[10**6, 10**6, 3]), "as large as its weights. Found: image_shape 1,000,000"),
        (put(mlp_dim=float("inf")), "as large as its weights. Found: mlp_dim inf"),
        (put(num_layers=6, hidden_dim=1024, mlp_dim=1024), "as large as its weights. Found:"),
        (put(num_layers=3), "cannot be loaded as a network of KerasHub"),
        (put(num_heads="many"), "cannot be loaded as a network of KerasHub"),
        (with_a_link, "is a link"),
        (with_claims, "its weights claim 4,398,046"),
        (lambda config, target: (target / "model.weights.h5").unlink() or None, "weights in model.weights.h5"),
        (lambda config, target: (target / "model.weights.h5").write_bytes(b"x") and None, "cannot be loaded"),
    ],
)
def test_hostile_folders_are_refused(folder: Path, tmp_path: Path, change: Any, told: str) -> None:
    target = spoilt(folder, tmp_path / "net", change)
    with pytest.raises(BadInput) as refused:
        open_network(str(target), preprocess="unit")
    assert told in str(refused.value)
    assert str(target) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"config": {"scale": ["a", 1, 2]}}', "how images are prepared in numbers"),
        ('{"config": {"scale": 0}}', "how images are prepared in numbers"),
        ("[" * 10000, "should be a description of KerasHub"),
    ],
)
def test_preparations_that_are_none_are_refused(folder: Path, tmp_path: Path, text: str, told: str) -> None:
    shutil.copytree(folder, tmp_path / "net")
    (tmp_path / "net" / "image_converter.json").write_text(text)
    with pytest.raises(BadInput, match=told):
        open_network(str(tmp_path / "net"))
