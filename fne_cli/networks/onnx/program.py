"""The graph that is computed: pixels, prepared, through the network, and the tapped tensors pooled, all in one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fne_cli.networks.catalog import PREPROCESS
from fne_cli.networks.graph import Input
from fne_cli.networks.onnx.graph import Graph, sized
from fne_cli.networks.onnx.light import large
from fne_cli.networks.onnx.taps import OnnxTap
from fne_cli.networks.preprocessing import Numbers
from fne_cli.networks.tapping.pooling import VECTOR, Pooling

_FLOAT = 1
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10, "float64": 11, "bfloat16": 16}
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFE = (103.939, 116.779, 123.68)


class Program:
    """`rows` images at a time. message: the model, large weights apart; weights: those, by name.

    pixels: the name of its input, (rows, height, width, channels) uint8. outputs: a name for each tap.
    """

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[OnnxTap],
        poolings: Sequence[Pooling],
        preprocess: str,
        takes: Input,
        size: tuple[int, int],
        rows: int,
    ) -> None:
        self._graph, self._rows = graph, rows
        self._nodes: list[Any] = []
        self._values: dict[str, np.ndarray] = {}
        self._prefix = "fne:"
        while any(name.startswith(self._prefix) for name in (*graph.made_by, *graph.file.weights, graph.input)):
            self._prefix += ":"
        self.pixels = f"{self._prefix}pixels"
        last = self._prepared(preprocess, takes)
        self._nodes.append(_node("Identity", [last], graph.input))
        self._nodes += self._needed([tap.tensor for tap in taps])
        self.outputs = [self._pooled(tap, pooling) for tap, pooling in zip(taps, poolings, strict=True)]
        used = {name for node in self._nodes for name in node.input}
        names = [name for name in graph.file.weights if name in used]
        self.weights = large(graph.file.weights, names)
        self.message = self._message(used, (*size, takes.channels))

    def _name(self) -> str:
        return f"{self._prefix}{len(self._nodes)}"

    def _add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = self._name()
        self._nodes.append(_node(kind, inputs, name, **attributes))
        return name

    def _constant(self, values: Any, kind: Any = np.float32) -> str:
        name = f"{self._prefix}c{len(self._values)}"
        self._values[name] = np.asarray(values, kind)
        return name

    def _prepared(self, preprocess: str, takes: Input) -> str:
        """As `preprocessing.prepare` does it, in the same order."""
        bgr = preprocess == "caffe"
        scale = divisor = 1.0
        mean: tuple[float, ...] = (0.0,)
        std: tuple[float, ...] = (1.0,)
        if preprocess in PREPROCESS:
            divisor = {"unit": 255.0, "torch": 255.0, "tf": 127.5}.get(preprocess, 1.0)
            mean, std = {"torch": _IMAGENET, "caffe": (_CAFFE, std), "tf": ((1.0,), std)}.get(preprocess, (mean, std))
        else:
            numbers = Numbers.parse(preprocess)
            bgr, scale, mean, std = numbers.order == "bgr", numbers.scale, numbers.mean, numbers.std
        name = self.pixels
        if bgr and takes.channels == 3:
            name = self._add("Gather", [name, self._constant([2, 1, 0], np.int64)], axis=3)
        kind = _TYPES[takes.dtype]
        of_floats = takes.dtype.startswith(("float", "bfloat"))
        if kind != _TYPES["uint8"]:
            name = self._add("Cast", [name], to=_FLOAT if of_floats else kind)
        for operator, values in (("Div", divisor), ("Mul", scale), ("Sub", mean), ("Div", std)):
            if np.any(np.asarray(values) != (0 if operator == "Sub" else 1)):
                name = self._add(operator, [name, self._constant(values)])
        if of_floats and kind != _FLOAT:
            name = self._add("Cast", [name], to=kind)
        return self._add("Transpose", [name], perm=[0, 3, 1, 2]) if takes.channels_first else name

    def _needed(self, tensors: Sequence[str]) -> list[Any]:
        """The operators that these tensors depend on, in the order of computing."""
        seen: set[int] = set()
        ahead = list(tensors)
        while ahead:
            node = self._graph.made_by.get(ahead.pop())
            if node is not None and id(node) not in seen:
                seen.add(id(node))
                ahead += [name for name in node.input if name]
        return [node for node in self._graph.nodes if id(node) in seen]

    def _pooled(self, tap: OnnxTap, pooling: Pooling) -> str:
        name = tap.tensor
        if self._graph.types.get(name, _FLOAT) != _FLOAT:
            name = self._add("Cast", [name], to=_FLOAT)
        parts = []
        if tap.tokens is not None and pooling.of_class:
            parts.append(self._add("Gather", [name, self._constant(0, np.int64)], axis=1))
        if pooling.kind != "cls":
            parts.append(self._of_map(name, tap, pooling))
        return parts[0] if len(parts) == 1 else self._add("Concat", parts, axis=1)

    def _of_map(self, name: str, tap: OnnxTap, pooling: Pooling) -> str:
        rank = len(tap.shape)
        if tap.tokens is not None:
            patches = tap.tokens.patches
            ends = [self._constant([number], np.int64) for number in (patches.start, patches.stop, 1)]
            name = self._add("Slice", [name, *ends])
            name = self._add("Reshape", [name, self._constant([self._rows, *tap.shape], np.int64)])
        if rank == 1:
            return name if name != tap.tensor else self._add("Identity", [name])
        if pooling.kind == "none":
            to_last = [0, *range(2, rank + 1), 1]
            return (
                self._add("Transpose", [name], perm=to_last) if tap.is_channels_first else self._add("Identity", [name])
            )
        if not tap.is_channels_first:  # sums along the last axes alone do not depend on the number of rows
            name = self._add("Transpose", [name], perm=[0, rank, *range(1, rank)])
        spare = -tap.shape[-1] % VECTOR if pooling.kind != "max" else 0
        if spare:  # as in Pooling: else the sums of an image depend, in the last bit, on its place in the batch
            pads = [0] * (rank + 1) + [0, spare] + [0] * (rank - 1)
            name = self._add("Pad", [name, self._constant(pads, np.int64)])
        axes = list(range(2, rank + 1))
        cells = [name]
        for axis, size in zip(axes, tap.shape, strict=False) if pooling.grid > 1 else ():
            spans = pooling.spans(size)
            cells = [self._cut(cell, axis, *span) for cell in cells for span in spans]
        reduced = [self._reduced(cell, axes, pooling) for cell in cells]
        if spare:
            reduced = [self._cut(cell, 1, 0, tap.shape[-1]) for cell in reduced]
        return reduced[0] if len(reduced) == 1 else self._add("Concat", reduced, axis=1)

    def _cut(self, name: str, axis: int, start: int, stop: int) -> str:
        start_, stop_, axis_ = (self._constant([number], np.int64) for number in (start, stop, axis))
        return self._add("Slice", [name, start_, stop_, axis_])

    def _reduced(self, name: str, axes: list[int], pooling: Pooling) -> str:
        kind = "ReduceMax" if pooling.kind == "max" else "ReduceMean"
        if self._graph.opset >= 18:  # axes are an input since then
            return self._add(kind, [name, self._constant(axes, np.int64)], keepdims=0)
        return self._add(kind, [name], axes=axes, keepdims=0)

    def _message(self, used: set[str], shape: tuple[int, ...]) -> Any:
        import onnx
        from onnx import helper, numpy_helper

        source = self._graph.file.message
        message = onnx.ModelProto(ir_version=source.ir_version)
        message.opset_import.extend(source.opset_import)
        message.graph.name = "fne"
        message.graph.node.extend(self._nodes)
        message.graph.initializer.extend(one for one in source.graph.initializer if one.name in used)
        message.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self._values.items())
        message.graph.input.append(helper.make_tensor_value_info(self.pixels, _TYPES["uint8"], (self._rows, *shape)))
        message.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.outputs)
        return message


def as_it_is(graph: Graph, outputs: Sequence[str], rows: int) -> tuple[Any, dict[str, np.ndarray]]:
    """The network itself with these tensors as its outputs, and its large weights."""
    import onnx

    message = sized(graph.file.message, rows, graph.input_shape)
    del message.graph.output[:]
    message.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return message, large(graph.file.weights, list(graph.file.weights))


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, list(inputs), [output], f"{output}", **attributes)


def row_bytes(taps: Sequence[OnnxTap]) -> int:
    """Bytes of the tapped tensors of one row, before they are pooled."""
    return sum(4 * math.prod(tap.shape) for tap in taps)
