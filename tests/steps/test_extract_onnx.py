"""ONNX networks on the way of a person: extracted, interrupted into shards, up to date, searched with pictures."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from onnx_transformers import vit
from PIL import Image

from fne_cli import FullNetworkEmbedding
from fne_cli.steps.extract import Recipe, extract


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer whose weights are in a file beside it, seven pictures, and what is extracted of them."""
    folder = tmp_path_factory.mktemp("onnx")
    path = vit(folder / "vit.onnx", width=20, heads=4)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="vit.data", size_threshold=100)
    for number in range(7):
        file = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)).save(file)
    recipe = Recipe(model=str(path), preprocess="imagenet", pool=("cls+mean",), batch_size=3)
    extract(str(folder / "pictures"), folder / "whole.h5", recipe=recipe)
    return folder


@pytest.fixture
def network(folder: Path) -> Path:
    return folder / "vit.onnx"


@pytest.fixture
def pictures(folder: Path) -> Path:
    return folder / "pictures"


def words(network: Path) -> list[Any]:
    return ["--model", network, "--preprocess", "imagenet", "--pool", "cls+mean", "--batch-size", 3]


def test_shards_of_an_onnx_network_merge_to_the_bytes_of_the_whole(
    fne: Any, folder: Path, network: Path, pictures: Path, tmp_path: Path
) -> None:
    whole, parts = folder / "whole.h5", [tmp_path / f"{number}.h5" for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        done = fne("extract", pictures, part, *words(network), "--shard", f"{number}/2")
        assert (done.code, done.out) == (0, "")
        assert "left out: blocks.0.attn.qkv ... blocks.1.mlp.fc2 (4 of part of a block), head (classifier)" in done.err
    assert fne("merge", *parts, tmp_path / "merged.h5").code == 0
    assert (tmp_path / "merged.h5").read_bytes() == whole.read_bytes()
    embedding = FullNetworkEmbedding(str(network), preprocess="torch", batch_size=4)
    with h5py.File(whole) as file:
        assert file["layers/blocks.1.stream"].shape == (7, 40)
        names = [pictures / name.decode() for name in file["images/path"][:]]
        means = file["layers/blocks.1.stream"][:, 20:]
    assert np.array_equal(embedding.activations(names)[:, -20:], means)


def test_weights_beside_the_model_are_an_input(fne: Any, folder: Path, tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    assert "is up to date" in fne("extract", folder / "pictures", own / "whole.h5", *words(folder / "vit.onnx")).err
    values = np.frombuffer((own / "vit.data").read_bytes(), np.float32)
    (own / "vit.data").write_bytes((1.5 * values).astype(np.float32).tobytes())
    changed = fne("extract", folder / "pictures", own / "whole.h5", *words(own / "vit.onnx"))
    assert changed.code == 4
    assert "weights_sha256" in changed.err


def test_pictures_are_looked_for_through_the_recorded_network(fne: Any, folder: Path) -> None:
    done = fne("search", folder / "whole.h5", folder / "pictures" / "b" / "3.png", "-K", 1)
    assert done.code == 0
    assert "b/3.png" in done.out


def test_layers_and_refusals_come_before_there_is_an_output(
    fne: Any, network: Path, pictures: Path, tmp_path: Path
) -> None:
    listed = fne("layers", network)
    assert listed.code == 0
    assert listed.out.splitlines()[-3:] == [
        "vit, 16 x 16, preprocessing to be given: 7 taps, 260 features; 1,040 bytes per image (float32), 260 as codes",
        "left out: blocks.0.attn.qkv ... blocks.1.mlp.fc2 (4, part of a block: --layers '*' takes these too)",
        "left out: head (classifier: --layers '*' takes it too)",
    ]
    output = tmp_path / "out.h5"
    for more, told in (
        ([], "does not say how its input is to be prepared. Give --preprocess caffe|tf|torch|unit|none|imagenet|clip"),
        (["--preprocess", "unit", "--weights", "random"], "has its own weights. Leave --weights out."),
        (["--preprocess", "unit", "--pool", "head=cls", "--layers", "head"], "should be for layers with a class token"),
    ):
        refused = fne("extract", pictures, output, "--model", network, *more)
        assert refused.code == 1
        assert told in refused.err
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_it_is_said_what_to_install(
    fne: Any, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refused = fne("layers", network)
    assert refused.code == 1
    assert "should have the packages onnx and onnxruntime" in refused.err
    assert "pip install 'fne-cli[onnx]'" in refused.err
