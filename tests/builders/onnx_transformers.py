"""Vision transformers as PyTorch's exporters write them, with random weights, of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Writer:
    """Operators one after the other, and their weights.

    newer: as PyTorch's newer exporter writes them: modules stand in metadata, and of equal biases there is one.
    """

    def __init__(self, seed: int = 0, newer: bool = False) -> None:
        self.newer, self.zeros = newer, dict[int, str]()
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}
        self.random = np.random.default_rng(seed)

    def node(self, kind: str, inputs: list[str], name: str = "", **attributes: Any) -> str:
        out = f"val_{len(self.nodes)}" if self.newer else f"/{name}/{kind}_{len(self.nodes)}_output_0"
        own = f"node_{kind}_{len(self.nodes)}" if self.newer else out.removesuffix("_output_0")
        self.nodes.append(helper.make_node(kind, inputs, [out], own, **attributes))
        if self.newer:
            scopes = repr(["", *([name.replace("/", ".")] if name else []), kind.lower()])
            self.nodes[-1].metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
        return out

    def value(self, values: Any, name: str = "") -> str:
        name = name or f"c{len(self.weights)}"
        self.weights[name] = np.asarray(values)
        return name

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        spread = shape[0] ** -0.5 if scale is None else scale
        return self.value((spread * self.random.standard_normal(shape)).astype(np.float32), name)

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """A product whose weight has lost its name on the way, as torch.onnx leaves it, and the bias that has not."""
        lost = f"val_{len(self.weights)}_" if self.newer else f"onnx::MatMul_{len(self.weights)}"
        out = self.node("MatMul", [x, self.weight(lost, inputs, outputs)], name)
        if self.newer:
            if outputs not in self.zeros:
                self.zeros[outputs] = self.value(np.zeros(outputs, np.float32), f"{name}.bias")
            return self.node("Add", [out, self.zeros[outputs]], name)
        return self.node("Add", [self.weight(f"{name}.bias", outputs, scale=0.1), out], name)

    def norm(self, x: str, name: str, size: int) -> str:
        scale = self.value(1 + 0.1 * self.random.standard_normal(size).astype(np.float32), f"{name}.weight")
        return self.node("LayerNormalization", [x, scale, self.weight(f"{name}.bias", size, scale=0.1)], name, axis=-1)

    def gelu(self, x: str, name: str) -> str:
        inner = self.node("Erf", [self.node("Div", [x, self.value(np.float32(2**0.5))], name)], name)
        gate = self.node("Add", [inner, self.value(np.float32(1))], name)
        return self.node("Mul", [self.node("Mul", [x, gate], name), self.value(np.float32(0.5))], name)

    def model(self, shape: tuple[Any, ...], outputs: dict[str, tuple[Any, ...]], opset: int = 17) -> onnx.ModelProto:
        images = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)
        named = [self.nodes.append(helper.make_node("Identity", [name], [f"output{number}"])) or
                 helper.make_tensor_value_info(f"output{number}", TensorProto.FLOAT, size)
                 for number, (name, size) in enumerate(outputs.items())]  # fmt: skip
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        body = helper.make_graph(self.nodes, "main_graph", [images], named, weights)
        made = helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(made)
        return made


def vit(
    path: Path, *, side: int = 16, patch: int = 4, width: int = 8, depth: int = 2, registers: int = 0, heads: int = 2,
    head: int = 5, seed: int = 0, newer: bool = False, batch: int | None = None,
) -> Path:  # fmt: skip
    """A ViT as timm has it: the class token, registers behind it, one product for query, key and value.

    batch: the only number of images that it takes, as torch.onnx.export writes it where nothing is said of it.
    """
    w = Writer(seed, newer)
    some = batch or 0  # of the size that comes in
    grid = side // patch
    x = w.node("Conv", ["pixel_values", w.weight("patch_embed.proj.weight", width, 3, patch, patch, scale=0.1),
                        w.weight("patch_embed.proj.bias", width, scale=0.1)], "patch_embed/proj",
               strides=[patch, patch], kernel_shape=[patch, patch])  # fmt: skip
    x = w.node("Reshape", [x, w.value(np.array([some, width, grid * grid]))], "patch_embed")
    x = w.node("Transpose", [x], "patch_embed", perm=[0, 2, 1])
    rows = "" if batch else w.node("Gather", [w.node("Shape", [x]), w.value(np.array([0]))])

    def expanded(name: str, count: int) -> str:
        token = w.weight(name, 1, count, width, scale=1.0)
        if batch:
            return w.value(np.repeat(w.weights[token], batch, axis=0), f"expanded_{name}")
        size = w.node("Concat", [rows, w.value(np.array([-1, -1]))], axis=0)
        unsaid = w.node("Equal", [size, w.value(np.array([-1]))])
        return w.node("Expand", [token, w.node("Where", [unsaid, w.value(np.array([1, count, width])), size])])

    first = [expanded("cls_token", 1), *([expanded("reg_token", registers)] if registers else [])]
    x = w.node("Concat", [*first, x], axis=1)
    x = w.node("Add", [x, w.weight("pos_embed", 1, 1 + registers + grid * grid, width, scale=0.5)])
    size = width // heads
    for number in range(depth):
        name = f"blocks.{number}"
        y = w.norm(x, f"{name}.norm1", width)
        qkv = w.linear(y, f"{name}.attn.qkv", width, 3 * width)
        qkv = w.node("Reshape", [qkv, w.value(np.array([some, 0, 3, heads, size]))], name)
        qkv = w.node("Transpose", [qkv], name, perm=[2, 0, 3, 1, 4])
        query, key, value = (w.node("Gather", [qkv, w.value(np.array(part))], name, axis=0) for part in range(3))
        scale = w.value(np.float32(size**-0.25))
        query = w.node("Mul", [query, scale], name)
        key = w.node("Mul", [w.node("Transpose", [key], name, perm=[0, 1, 3, 2]), scale], name)
        shares = w.node("Softmax", [w.node("MatMul", [query, key], name)], name, axis=-1)
        if newer:  # zeros, where all is masked
            shares = w.node("Where", [w.node("IsNaN", [shares], name), w.value(np.float32(0)), shares], name)
        mixed = w.node("MatMul", [shares, value], name)
        mixed = w.node("Transpose", [mixed], name, perm=[0, 2, 1, 3])
        to = w.value(np.array([some, 0, width]))
        if not batch:  # who asks for its size uses it, too
            own = w.node("Gather", [w.node("Shape", [mixed], name), w.value(np.array([0, 1]))], name)
            to = w.node("Concat", [own, w.value(np.array([width]))], name, axis=0)
        mixed = w.node("Reshape", [mixed, to], name)
        y = w.linear(mixed, f"{name}.attn.proj", width, width)
        y = w.node("Mul", [y, w.weight(f"{name}.ls1.gamma", width, scale=1.0)], name)
        x = w.node("Add", [x, y], name)
        y = w.norm(x, f"{name}.norm2", width)
        y = w.gelu(w.linear(y, f"{name}.mlp.fc1", width, 4 * width), f"{name}/mlp/act")
        x = w.node("Add", [x, w.linear(y, f"{name}.mlp.fc2", 4 * width, width)], name)
    x = w.norm(x, "norm", width)
    x = w.node("Gather", [x, w.value(np.array(0))], axis=1)
    x = w.node("Gemm", [x, w.weight("head.weight", head, width), w.weight("head.bias", head)], "head", transB=1)
    onnx.save(w.model((batch or "batch", 3, side, side), {x: (batch or "batch", head)}), path)
    return path
