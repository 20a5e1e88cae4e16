"""Keras networks written as ONNX, as an exporter from PyTorch would: maps with their channels first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fne_cli.networks import graph

OPSET = 20
_ELEMENTWISE = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "gelu": "Gelu", "softmax": "Softmax", "elu": "Elu",
    "silu": "silu", "swish": "silu", "relu6": "relu6", "leaky_relu": "LeakyRelu",
}  # fmt: skip


def export(model: Any, path: Path, *, channels_last: bool = False, rows: int | str = "N", side: Any = None) -> Path:
    """Write `model`; channels_last: its input is (rows, height, width, channels), as TensorFlow's exporters have it."""
    onnx.save(exported(model, channels_last=channels_last, rows=rows, side=side), path)
    return path


def exported(model: Any, *, channels_last: bool = False, rows: int | str = "N", side: Any = None) -> onnx.ModelProto:
    """The same as a message of ONNX."""
    return _Export(model, channels_last, rows, side).message()


class _Export:
    def __init__(self, model: Any, channels_last: bool, rows: int | str, side: Any) -> None:
        self.rows, shape = rows, model.inputs[0].shape[1:]
        height, width, self.depth = (side, side, shape[2]) if side else shape
        self.model, self.channels_last = model, channels_last
        self.flat = graph.flat(model, height, width, takes=graph.Input(self.depth))
        size = (height, width, self.depth) if channels_last else (self.depth, height, width)
        self.input = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (rows, *size))
        self.nodes: list[Any] = []
        self.values: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}
        self.first: dict[str, bool] = {"pixels": not channels_last}  # names of maps: whether their channels come first
        self.count = 0

    def message(self) -> onnx.ModelProto:
        source = self.flat.inputs[0]
        self.names[id(source)] = "pixels"
        for call in self._in_order():
            out = call.output_tensors[0]
            given = [self.names[id(tensor)] for tensor in call.input_tensors]
            if call.operation.__class__.__name__ == "InputLayer":
                continue
            name = self._emit(call, graph.name_of(call.operation), given)
            self.names[id(out)] = name
        outputs = []
        for number, tensor in enumerate(self.flat.outputs):
            self.nodes.append(helper.make_node("Identity", [self._last(self.names[id(tensor)])], [f"output{number}"]))
            outputs.append(
                helper.make_tensor_value_info(f"output{number}", TensorProto.FLOAT, (self.rows, *tensor.shape[1:]))
            )
        weights = [numpy_helper.from_array(value, name) for name, value in self.values.items()]
        body = helper.make_graph(self.nodes, self.model.name, [self.input], outputs, weights)
        made = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(made)
        return made

    def _in_order(self) -> list[Any]:
        done, order = set(), []
        ahead = [(graph.call_of(tensor), False) for tensor in self.flat.outputs]
        while ahead:
            call, seen = ahead.pop()
            if seen:
                order.append(call)
            elif id(call) not in done:
                done.add(id(call))
                ahead.append((call, True))
                ahead += [(graph.call_of(tensor), False) for tensor in call.input_tensors]
        return order

    # Pieces

    def node(self, kind: str, given: list[str], scope: str = "", first: bool | None = None, **attributes: Any) -> str:
        self.count += 1
        out = f"t{self.count}"
        self.nodes.append(helper.make_node(kind, given, [out], f"/{scope}/{kind}_{self.count}", **attributes))
        if first is not None:
            self.first[out] = first
        return out

    def value(self, name: str, value: Any) -> str:
        self.values[name] = np.ascontiguousarray(value)
        return name

    def constant(self, value: Any, kind: str = "float32") -> str:
        return self.value(f"c{len(self.values)}", np.asarray(value, kind))

    def _first(self, name: str) -> str:
        if self.first.get(name, True):
            return name
        return self.node("Transpose", [name], first=True, perm=[0, 3, 1, 2])

    def _last(self, name: str) -> str:
        if self.first.get(name):
            return self.node("Transpose", [name], first=False, perm=[0, 2, 3, 1])
        return name

    def _activated(self, name: str, function: Any, scope: str, slope: float = 0.2) -> str:
        kind = function if isinstance(function, str) else getattr(function, "__name__", "linear")
        if kind == "linear":
            return name
        first = self.first.get(name)
        if kind == "silu":
            return self.node("Mul", [name, self.node("Sigmoid", [name], scope)], scope, first)
        if kind == "relu6":
            return self.node("Clip", [name, self.constant(0.0), self.constant(6.0)], scope, first)
        if kind == "softmax":
            return self.node("Softmax", [self._last(name)], scope, None if first is None else False, axis=-1)
        extra = {"alpha": slope} if kind == "leaky_relu" else {}
        return self.node(_ELEMENTWISE[kind], [name], scope, first, **extra)

    def _emit(self, call: Any, scope: str, given: list[str]) -> str:
        layer = call.operation
        return getattr(self, "_" + layer.__class__.__name__.lower())(layer, call, scope, given)

    # Layers

    def _conv2d(self, layer: Any, call: Any, scope: str, given: list[str], groups: int | None = None) -> str:
        kernel = np.asarray(layer.kernel)
        if groups is None:
            groups, kernel = layer.groups, kernel.transpose(3, 2, 0, 1)
        else:
            kernel = kernel.transpose(2, 3, 0, 1)
        inputs = [self._first(given[0]), self.value(f"{scope}.weight", kernel)]
        if layer.use_bias:
            inputs.append(self.value(f"{scope}.bias", np.asarray(layer.bias)))
        out = self.node(
            "Conv", inputs, scope, True, strides=list(layer.strides), dilations=list(layer.dilation_rate),
            group=groups, kernel_shape=list(kernel.shape[2:]), **_padding(layer),
        )  # fmt: skip
        return self._activated(out, layer.activation, scope)

    def _depthwiseconv2d(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._conv2d(layer, call, scope, given, groups=layer.kernel.shape[2])

    def _dense(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        name = self._last(given[0])
        kernel, rank = np.asarray(layer.kernel), len(call.input_tensors[0].shape)
        if rank == 2 and layer.use_bias:
            weight = self.value(f"{scope}.weight", kernel.T)
            out = self.node(
                "Gemm", [name, weight, self.value(f"{scope}.bias", np.asarray(layer.bias))], scope, transB=1
            )
        else:
            out = self.node("MatMul", [name, self.value(f"onnx::MatMul_{self.count}", kernel)], scope)
            if layer.use_bias:
                out = self.node("Add", [self.value(f"{scope}.bias", np.asarray(layer.bias)), out], scope)
        if rank == 4:
            self.first[out] = False
        return self._activated(out, layer.activation, scope)

    def _batchnormalization(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        size = call.output_tensors[0].shape[-1]
        parts = (
            layer.gamma if layer.scale else np.ones(size, np.float32),
            layer.beta if layer.center else np.zeros(size, np.float32),
            layer.moving_mean,
            layer.moving_variance,
        )
        names = [self.value(f"{scope}.{number}", np.asarray(part)) for number, part in enumerate(parts)]
        first = True if len(call.output_tensors[0].shape) == 4 else None
        return self.node("BatchNormalization", [self._first(given[0]), *names], scope, first, epsilon=layer.epsilon)

    def _layernormalization(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        names = [
            self.value(f"{scope}.weight", np.asarray(layer.gamma)),
            self.value(f"{scope}.bias", np.asarray(layer.beta)),
        ]
        first = False if len(call.output_tensors[0].shape) == 4 else None
        return self.node(
            "LayerNormalization", [self._last(given[0]), *names], scope, first, axis=-1, epsilon=layer.epsilon
        )

    def _layerscale(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self.node(
            "Mul", [self._last(given[0]), self.value(f"{scope}.gamma", np.asarray(layer.gamma))], scope, False
        )

    def _pooled(self, kind: str, layer: Any, given: list[str], **more: Any) -> str:
        padding = _padding(layer)
        return self.node(
            kind, [self._first(given[0])], layer.name, True, kernel_shape=list(layer.pool_size),
            strides=list(layer.strides), **padding, **more,
        )  # fmt: skip

    def _maxpooling2d(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._pooled("MaxPool", layer, given)

    def _averagepooling2d(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._pooled("AveragePool", layer, given, count_include_pad=0)

    def _globalaveragepooling2d(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        pooled = self.node("GlobalAveragePool", [self._first(given[0])], scope)
        return self.node("Flatten", [pooled], scope)

    def _zeropadding2d(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        (top, bottom), (left, right) = layer.padding
        pads = self.constant([0, 0, top, left, 0, 0, bottom, right], "int64")
        return self.node("Pad", [self._first(given[0]), pads], scope, True)

    def _activation(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._activated(given[0], layer.activation, scope)

    def _relu(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        kind = "relu" if getattr(layer, "max_value", None) is None else "relu6"
        return self._activated(given[0], kind, scope)

    def _leakyrelu(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._activated(given[0], "leaky_relu", scope, float(layer.negative_slope))

    def _softmax(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._activated(given[0], "softmax", scope)

    def _dropout(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return given[0]

    _stochasticdepth = _identity = _dropout

    def _rescaling(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        first = self.first.get(given[0])
        scaled = self.node("Mul", [given[0], self.constant(layer.scale)], scope, first)
        return self.node("Add", [scaled, self.constant(layer.offset)], scope, first)

    def _normalization(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        mean, std = np.asarray(layer.mean).ravel(), np.sqrt(np.asarray(layer.variance).ravel())
        centred = self.node("Sub", [self._last(given[0]), self.constant(mean)], scope, False)
        return self.node("Div", [centred, self.constant(std)], scope, False)

    def _joined(self, kind: str, call: Any, scope: str, given: list[str]) -> str:
        if len(call.output_tensors[0].shape) == 4:
            return self.node(kind, [self._first(name) for name in given], scope, True)
        return self.node(kind, given, scope)

    def _add(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._joined("Add", call, scope, given)

    def _multiply(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self._joined("Mul", call, scope, given)

    def _concatenate(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        if len(call.output_tensors[0].shape) == 4:
            return self.node("Concat", [self._first(name) for name in given], scope, True, axis=1)
        return self.node("Concat", given, scope, axis=layer.axis)

    def _flatten(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        return self.node("Flatten", [self._last(given[0])], scope)

    def _reshape(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        target = self.constant([-1, *call.output_tensors[0].shape[1:]], "int64")
        first = False if len(call.output_tensors[0].shape) == 4 else None
        return self.node("Reshape", [self._last(given[0]), target], scope, first)

    def _power(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        exponent = next(float(item) for item in call.arguments.args if isinstance(item, int | float))
        return self.node("Pow", [given[0], self.constant(exponent)], scope, self.first.get(given[0]))

    def _multiheadattention(self, layer: Any, call: Any, scope: str, given: list[str]) -> str:
        name, heads, size = given[0], layer.num_heads, layer.key_dim
        parts = []
        for part, dense in (("q", layer._query_dense), ("k", layer._key_dense), ("v", layer._value_dense)):
            kernel = np.asarray(dense.kernel).reshape(dense.kernel.shape[0], -1)
            product = self.node("MatMul", [name, self.value(f"{scope}.{part}.kernel", kernel)], f"{scope}/{part}")
            bias = self.value(f"{scope}.{part}.bias", np.asarray(dense.bias).ravel())
            split = self.constant([0, 0, heads, -1], "int64")
            shaped = self.node("Reshape", [self.node("Add", [product, bias], f"{scope}/{part}"), split], scope)
            parts.append(self.node("Transpose", [shaped], scope, perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]))
        query = self.node("Mul", [parts[0], self.constant(1 / math.sqrt(size))], scope)
        weights = self.node("Softmax", [self.node("MatMul", [query, parts[1]], scope)], scope, axis=-1)
        mixed = self.node("Transpose", [self.node("MatMul", [weights, parts[2]], scope)], scope, perm=[0, 2, 1, 3])
        mixed = self.node("Reshape", [mixed, self.constant([0, 0, heads * size], "int64")], scope)
        dense = layer._output_dense
        kernel = np.asarray(dense.kernel).reshape(heads * size, -1)
        out = self.node("MatMul", [mixed, self.value(f"{scope}.proj.kernel", kernel)], f"{scope}/proj")
        return self.node("Add", [out, self.value(f"{scope}.proj.bias", np.asarray(dense.bias))], f"{scope}/proj")


def _padding(layer: Any) -> dict[str, Any]:
    return {"auto_pad": "SAME_UPPER"} if layer.padding == "same" else {"pads": [0, 0, 0, 0]}
