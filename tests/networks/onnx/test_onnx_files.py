"""ONNX files from anywhere: what is refused, and with what message, before anything is computed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_transformers import Writer

from fne_cli.errors import BadInput, DoesNotFit, WrongOptions
from fne_cli.networks.kinds import container
from fne_cli.networks.onnx import reading
from fne_cli.networks.onnx.prepared import PreparedOnnx, open_onnx
from fne_cli.networks.recipe import Recipe


def small(change: Callable[[Writer, str], str] = lambda w, x: x, shape: Any = ("N", 3, 8, 8)) -> Any:
    """A convolution and what `change` puts behind it."""
    w = Writer()
    x = w.node("Conv", ["pixel_values", w.weight("first.weight", 4, 3, 3, 3)], "first", kernel_shape=[3, 3])
    x = change(w, w.node("Relu", [x], "first"))
    images = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)
    weights = [numpy_helper.from_array(value, name) for name, value in w.weights.items()]
    body = helper.make_graph(w.nodes, "net", [images], [onnx.ValueInfoProto(name=x)], weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def written(path: Path, model: Any) -> str:
    path.write_bytes(model.SerializeToString())
    return str(path)


def refusal(path: str, **options: Any) -> str:
    with pytest.raises(BadInput) as caught:
        open_onnx(path, "none", **options)
    return str(caught.value).replace(path, "NET")


def custom(w: Writer, x: str) -> str:
    w.nodes.append(helper.make_node("Burn", [x], ["burnt"], domain="evil.ops"))
    return "burnt"


def unknown(w: Writer, x: str) -> str:
    return w.node("Burn", [x])


def cyclic(w: Writer, x: str) -> str:
    w.nodes += [helper.make_node("Add", [x, "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return "b"


def made_twice(w: Writer, x: str) -> str:
    w.nodes += [helper.make_node("Relu", [x], ["a"]), helper.make_node("Abs", [x], ["a"])]
    return "a"


def branching(w: Writer, x: str) -> str:
    branch = helper.make_graph([helper.make_node("Relu", [x], ["y"])], "b", [], [onnx.ValueInfoProto(name="y")])
    return w.node("If", [w.value(np.array(True))], then_branch=branch, else_branch=branch)


def random(w: Writer, x: str) -> str:
    return w.node("RandomNormalLike", [x])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (custom, "custom operators: evil.ops.Burn"),
        (unknown, "unknown operators: Burn"),
        (cyclic, "b, which is used before it is made: a cycle, or a part is missing"),
        (made_twice, "a, which is made twice"),
        (branching, "If, whose parts run or not, depending on values"),
        (random, "RandomNormalLike, which gives other numbers each time"),
    ],
)
def test_graphs_that_are_not_of_plain_operators_are_refused(
    change: Callable[[Writer, str], str], found: str, tmp_path: Path
) -> None:
    said = refusal(written(tmp_path / "net.onnx", small(change)))
    assert said.startswith(f"NET should be a graph of ONNX's own operators. Found: {found}.\n")


def test_functions_of_its_own_are_refused(tmp_path: Path) -> None:
    model = small()
    node = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))
    assert "functions of its own (F)" in refusal(written(tmp_path / "net.onnx", model))


def huge(tensor: Any) -> None:
    tensor.dims[0] = 1 << 40


def negative(tensor: Any) -> None:
    tensor.dims[0] = -4


def typeless(tensor: Any) -> None:
    tensor.data_type = 99


def of_lists(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 7)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (huge, "first.weight claims [1099511627776, 3, 3, 3], so 118,747,255,799,808 bytes. Found: 432."),
        (negative, "should have weights with a shape. Found: first.weight, [-4, 3, 3, 3]."),
        (typeless, "should have weights of a known type. Found: first.weight, type 99."),
        (of_lists, "first.weight claims [4, 3, 3, 3], so 432 bytes. Found: 7 numbers."),
    ],
)
def test_weights_that_claim_what_they_have_not_are_refused(
    spoil: Callable[[Any], None], found: str, tmp_path: Path
) -> None:
    model = small()
    spoil(model.graph.initializer[0])
    assert found in refusal(written(tmp_path / "net.onnx", model))


def beside(path: Path, location: str, **entries: int) -> str:
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return written(path, model)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "folder/../../secret", "", "a\0b"])
def test_weights_outside_of_the_models_folder_are_never_read(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(432))
    (tmp_path / "own" / "folder").mkdir(parents=True)
    os.symlink(tmp_path / "secret", tmp_path / "own" / "link")
    path = beside(tmp_path / "own" / "net.onnx", location)
    assert "NET should have its weights in its own folder. Found: " in refusal(path)
    assert reading.external_files(path) == []


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ({}, "so 432 bytes. Found: 400 from 0 on in a file of 400."),
        ({"offset": 300, "length": 432}, "so 432 bytes. Found: 432 from 300 on in a file of 400."),
        ({"offset": -1}, "should have its weights in a file beside it."),
    ],
)
def test_weights_beside_the_model_have_to_be_there(entries: dict[str, int], found: str, tmp_path: Path) -> None:
    path = beside(tmp_path / "net.onnx", "net.data", **entries)
    assert "should have its weights beside it, in net.data. Found: No such file" in refusal(path)
    (tmp_path / "net.data").write_bytes(bytes(400))
    assert found in refusal(path)


def test_what_only_has_the_name_is_said_by_what_it_is(tmp_path: Path) -> None:
    for content, found in (
        (b"", "Found: an empty file."),
        (b"version https://git-lfs.github.com/spec/v1\n", "Found: a pointer of Git LFS"),
        (b"<!DOCTYPE html><html>", "Found: a web page"),
        (b"\x80\x02}q\x00.", "Found: a pickle."),
        (b"\x08\x07\x12\x07pytorch\x42\x00", "should be an ONNX file with a graph. Found: none."),
        (bytes(range(256)), "should be an ONNX file. Found: something else, or a damaged one."),
        (small().SerializeToString()[:-200], "should be an ONNX file. Found: something else, or a damaged one."),
    ):
        (tmp_path / "net.onnx").write_bytes(content)
        assert found in refusal(str(tmp_path / "net.onnx"))
    assert "Found: no such file." in refusal(str(tmp_path / "no.onnx"))


def test_a_tensor_larger_than_the_memory_does_not_fit(tmp_path: Path) -> None:
    def grown(w: Writer, x: str) -> str:
        many = w.node("ConstantOfShape", [w.value(np.array([1, 4, 1 << 20, 1 << 20]))])
        small = w.node("Add", [x, w.node("ReduceSum", [many], keepdims=1)])
        return w.node("Relu", [w.node("Conv", [small, w.weight("last.weight", 2, 4, 1, 1)], "last")])

    path = written(tmp_path / "net.onnx", small(grown))
    with pytest.raises(DoesNotFit, match="does not fit into memory even with one row of 8 x 8"):
        PreparedOnnx.of(Recipe(model=path, preprocess="none")).extractor(lambda text: None)


def test_inputs_that_are_no_image_are_refused(tmp_path: Path) -> None:
    for shape, found in (
        (("N", 4, 8, 8), "(None, 4, 8, 8)"),
        (("N", 3, 8), "(None, 3, 8)"),
        (("N", 7, 8, 16), "(None, 7, 8, 16)"),
    ):
        said = refusal(written(tmp_path / "net.onnx", small(shape=shape)))
        assert said.startswith("NET should take one RGB image, (batch, 3, height, width), or a grey one. Found: pixel")
        assert found in said


def test_sizes_are_the_files_or_asked_for(tmp_path: Path) -> None:
    free = written(tmp_path / "free.onnx", small(shape=("N", 3, "H", "W")))
    assert refusal(free) == "NET takes images of any size. Give --image-size."
    assert open_onnx(free, "none", (9, 12)).taps[0].shape == (7, 10, 4)
    fixed = written(tmp_path / "fixed.onnx", small(shape=(1, 3, 8, 8)))
    assert refusal(fixed, image_size=(9, 9)) == "NET takes images of 8 x 8. Found: --image-size 9 x 9."
    assert open_onnx(fixed, "none").taps[0].shape == (6, 6, 4)  # whatever batch it was exported for


def test_options_of_keras_networks_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", small())
    with pytest.raises(BadInput, match="has its own weights"):
        PreparedOnnx.of(Recipe(model=path, weights="random", preprocess="none"))
    with pytest.raises(WrongOptions, match=r"is computed as it was exported\. Leave --precision and --xla out"):
        PreparedOnnx.of(Recipe(model=path, precision="bfloat16", preprocess="none"))


# How images are prepared


def test_the_preprocessing_has_to_be_given_unless_the_file_says_it(tmp_path: Path) -> None:
    model = small()
    path = written(tmp_path / "net.onnx", model)
    with pytest.raises(BadInput, match=r"does not say how its input is to be prepared. Give --preprocess caffe\|tf"):
        open_onnx(path)
    assert open_onnx(path, "imagenet").preprocess == open_onnx(path, "torch").preprocess == "torch"
    assert open_onnx(path, "clip").preprocess.startswith("mean=0.48145466/0.4578275/0.40821073,std=0.26862954/")
    image = {"Image.NominalPixelRange": "Normalized_1_1", "Image.BitmapPixelFormat": "Bgr8"}
    helper.set_model_props(model, image)
    written(tmp_path / "net.onnx", model)
    assert open_onnx(path).preprocess == f"mean=1.0,std=1.0,order=bgr,scale={2 / 255!r}"
    helper.set_model_props(model, {"fne.preprocess": "unit"})
    written(tmp_path / "net.onnx", model)
    network = open_onnx(path)
    assert (network.preprocess, network.notes) == ("unit", ("--preprocess unit, by its metadata (fne.preprocess)",))
    assert open_onnx(path, "tf").preprocess == "tf"
    helper.set_model_props(model, {"fne.preprocess": "brighter"})
    written(tmp_path / "net.onnx", model)
    with pytest.raises(BadInput, match=r"fne.preprocess should say how images are prepared. Found: --preprocess"):
        open_onnx(path)


def test_the_processor_of_hugging_face_beside_the_model_says_it(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    path = written(tmp_path / "onnx" / "model.onnx", small())
    config: dict[str, Any] = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.5, 0.5], "do_normalize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    assert open_onnx(path).preprocess == f"mean=0.5/0.4/0.3,std=0.5,order=rgb,scale={1 / 255!r}"
    recipe = Recipe(model=path)
    assert recipe.files() == [path, str(tmp_path / "preprocessor_config.json")]
    for text in ("[]", "{", json.dumps({"image_mean": "half"}), json.dumps(config | {"image_std": [[1]]})):
        (tmp_path / "preprocessor_config.json").write_text(text)
        with pytest.raises(BadInput, match="does not say how its input is to be prepared"):
            open_onnx(path)


def test_a_file_that_begins_with_names_alone_is_no_text(tmp_path: Path) -> None:
    """As PyTorch 2.13 begins a ConvNeXt: every length is that of a letter, or of a control character."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x09\x12\x07pytorch\x1a\x062.13.0:\xed\x89\x85\x07" + 200 * b"\x0a4\x0a\x0donnx::Mul_293")
    assert container(str(path)) == "onnx"
    path.write_bytes("layer,units\nétage,2\n".encode())
    with pytest.raises(BadInput, match="Found: text"):
        container(str(path))


@pytest.mark.parametrize(
    "noted", [b"['', 'layer', 'conv2d']", b"['', '\xff\xff\xff', 'conv2d']", b"['][' ''''\\'''''''"]
)
def test_what_an_exporter_notes_of_operators_is_read_with_distrust(noted: bytes, tmp_path: Path) -> None:
    model = small()
    model.graph.node[0].input[1] = model.graph.initializer[0].name = "val_7"
    model.graph.node[0].name = "node_Conv_0"
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="A" * len(noted))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString().replace(b"A" * len(noted), noted))
    if b"\xff" in noted:
        assert refusal(str(path)).startswith("NET should be an ONNX file. Found: names that are no text.")
    else:
        wanted = "layer" if b"layer" in noted else "conv_1"
        assert [tap.layer for tap in open_onnx(str(path), "none").taps] == [wanted]


@pytest.mark.parametrize(("batch", "layers"), [(1, ["first", "head"]), (8, ["first"]), ("N", ["first"])])
def test_a_batch_that_is_in_constants_costs_the_classifier_or_none(
    batch: Any, layers: list[str], tmp_path: Path
) -> None:
    def flattened(w: Writer, x: str) -> str:
        number = batch if isinstance(batch, int) else 8
        x = w.node("Reshape", [w.node("GlobalAveragePool", [x]), w.value(np.array([number, 4]))])
        return w.node("Gemm", [x, w.weight("head.weight", 4, 3)])

    network = open_onnx(written(tmp_path / "net.onnx", small(flattened, (batch, 3, 8, 8))), "none")
    assert [tap.layer for tap in network.taps] == layers
    assert network.graph.rows == (1 if batch == 1 else 3)
