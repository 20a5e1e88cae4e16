"""ONNX networks for fuzz_files.py: their bytes, and operators, attributes and weights of a whole message."""

from __future__ import annotations

import contextlib
import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import spoil_bytes
from fuzz_sample import Sample

_NUMBERS = (-1, 0, 1, 5, 7, 1 << 20, 1 << 31, 1 << 40, -(1 << 60), -(1 << 62), 1 << 62)
_KINDS = (
    "Conv", "ConvTranspose", "Reshape", "Gather", "Slice", "Pad", "Resize", "ScatterND", "Softmax", "Transpose",
    "Split", "Einsum", "MatMul", "Concat", "TopK", "OneHot", "GRU", "LSTM", "Col2Im", "STFT", "GridSample", "MaxUnpool",
    "Expand",
)  # fmt: skip


def networks(kind: str, folder: Path) -> list[Sample]:
    """A transformer and a convolutional network, as PyTorch's exporter writes them."""
    from onnx_transformers import vit  # type: ignore[import-not-found]  # a builder of the tests

    vit(folder / "vit.onnx")
    vit(folder / "newer.onnx", newer=True, batch=1)
    _write_convolutional(folder / "conv.onnx")
    return [Sample(kind, folder / name, _read, _spoil) for name in ("vit.onnx", "newer.onnx", "conv.onnx")]


def _write_convolutional(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {
        "conv.weight": random.standard_normal((4, 3, 3, 3)),
        "fc.weight": random.standard_normal((5, 4)),
        "fc.bias": random.standard_normal(5),
    }
    nodes = [
        helper.make_node("Conv", ["images", "conv.weight"], ["a"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["d", "fc.weight", "fc.bias"], ["scores"], "fc", transB=1),
    ]
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ("batch", 3, 16, 16))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("batch", 5))
    values = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "conv", [given], [scores], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _read(path: Path) -> str:
    """What comes of two images."""
    from fne_cli.networks.onnx.prepared import PreparedOnnx
    from fne_cli.networks.recipe import Recipe

    source = PreparedOnnx.of(Recipe(model=str(path), preprocess="unit", batch_size=2, image_size=(16, 16)))
    call = source.extractor(lambda text: None)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    digest = hashlib.sha256(repr(source.settings()).encode())
    for values in call(pixels):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _spoil(chance: random.Random, good: Path, scratch: Path) -> bool:
    content = good.read_bytes()
    if chance.random() < 0.4:
        scratch.write_bytes(spoil_bytes(chance, content))
        return True
    import onnx

    model = onnx.load_from_string(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        with contextlib.suppress(Exception):  # of what an earlier change has made
            _change(chance, model.graph, onnx)
    scratch.write_bytes(model.SerializeToString())
    return True


def _change(chance: random.Random, graph: Any, onnx: Any) -> None:
    """One operator, attribute or weight of a graph."""
    node, weight = chance.choice(graph.node), chance.choice(graph.initializer)
    made = [name for one in graph.node for name in one.output]
    what = chance.randrange(8)
    if what == 0 and node.attribute:
        attribute, number = chance.choice(node.attribute), chance.choice(_NUMBERS)
        if attribute.ints:
            attribute.ints[chance.randrange(len(attribute.ints))] = number
        else:
            attribute.i = number
    elif what in (1, 2) and node.input:
        names = made if what == 1 else [one.name for one in graph.initializer]
        node.input[chance.randrange(len(node.input))] = chance.choice(names)
    elif what == 3:
        node.op_type = chance.choice(_KINDS)
    elif what == 4:
        weight.data_type = chance.choice((1, 2, 6, 7, 8, 9, 10, 11, 16, 17, 22, 99))
    elif what == 5 and weight.dims:
        weight.dims[chance.randrange(len(weight.dims))] = chance.choice(_NUMBERS)
    elif what == 6:
        weight.data_location = onnx.TensorProto.EXTERNAL
        del weight.external_data[:]
        weight.external_data.add(key="location", value=chance.choice(("../conv.onnx", "/etc/passwd", "conv.onnx", "")))
        weight.external_data.add(key="offset", value=str(chance.choice(_NUMBERS)))
    else:
        whole = [one for one in graph.initializer if one.data_type == onnx.TensorProto.INT64 and one.raw_data]
        if whole:
            tensor = chance.choice(whole)
            values = np.array(onnx.numpy_helper.to_array(tensor)).reshape(-1)
            values[chance.randrange(len(values))] = chance.choice(_NUMBERS)
            tensor.raw_data = values.tobytes()
