"""The operators of an ONNX network: who makes a tensor, who uses it, what is constant, and the shapes for one batch."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.networks.onnx.reading import OnnxFile

FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16
ROWS = 3
"""Rows of the batch that shapes are found for: a size that no layer has by chance."""
_SCOPES = "pkg.torch.onnx.name_scopes"


class Graph:
    """A network over images of a known size.

    nodes: in the order of computing. shapes: of the tensors for `rows` images, as far as they follow from the graph.
    rows: ROWS, or 1 for a network that takes one image at a time.
    """

    def __init__(self, file: OnnxFile, shape: Sequence[int], name: str, rows: int = ROWS) -> None:
        self.file, self.name, self.nodes, self.rows = file, name, list(file.message.graph.node), rows
        self.opset = max((one.version for one in file.message.opset_import if one.domain in ("", "ai.onnx")), default=1)
        self.input, self.input_shape = file.message.graph.input[0].name, tuple(shape)
        self.outputs = [value.name for value in file.message.graph.output]
        self.made_by: dict[str, Any] = {}
        self.users: dict[str, list[Any]] = defaultdict(list)
        self.constant = set(file.weights)
        self.order: dict[int, int] = {}
        for number, node in enumerate(self.nodes):
            self.order[id(node)] = number
            for out in node.output:
                if out:
                    self.made_by[out] = node
            # What is computed from weights alone is a weight; the shape of a batch is known beforehand.
            of_shape = node.op_type in ("Shape", "Size")
            for given in () if of_shape else dict.fromkeys(node.input):
                self.users[given].append(node)
            if of_shape or all(not given or given in self.constant for given in node.input):
                self.constant.update(node.output)
        self.shapes, self.types = self._inferred()

    def data_inputs(self, node: Any) -> list[str]:
        """The inputs of an operator that depend on the images."""
        return [given for given in node.input if given and given not in self.constant]

    def scalar(self, name: str) -> bool:
        """Whether a tensor is a constant of one number."""
        values = self.file.weights.get(name)
        return name in self.constant and (values is None or values.size == 1)

    def rank(self, name: str) -> int:
        """The number of axes of a tensor; -1 where it is not known."""
        return len(self.shapes[name]) if name in self.shapes else -1

    def last_axis(self, node: Any) -> bool:
        """Whether an operator works along the last axis."""
        axis = attribute(node, "axis", -1)
        return axis == -1 or axis == self.rank(node.input[0]) - 1

    def _inferred(self) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
        import onnx

        message = sized(self.file.message, self.rows, self.input_shape)
        del message.graph.value_info[:]
        for value in message.graph.output:
            value.ClearField("type")  # says a batch of another size, perhaps
        try:
            found = onnx.shape_inference.infer_shapes(message, check_type=False, strict_mode=False, data_prop=True)
        except Exception as error:  # whatever its C++ raises
            size = " x ".join(map(str, self.input_shape))
            raise BadInput(f"{self.name} cannot be built for images of {size}: {str(error)[:300]}") from error
        shapes, types = {}, {}
        for value in (*found.graph.value_info, *found.graph.output, *found.graph.input):
            tensor = value.type.tensor_type
            types[value.name] = tensor.elem_type
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
                shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
        for name, values in self.file.weights.items():
            shapes[name] = values.shape
        return shapes, types

    def unknown(self) -> list[str]:
        """The tensors of the images whose shape does not follow from the graph."""
        return [
            out
            for node in self.nodes
            for out in node.output[:1]
            if out and out not in self.constant and out not in self.shapes and not node.op_type.startswith("Sequence")
        ]

    def largest(self) -> int:
        """Bytes of the largest tensor between two operators, for one row."""
        sizes = [math.prod(shape) for name, shape in self.shapes.items() if name not in self.constant]
        return max(4 * size // self.rows for size in sizes)


def sized(message: Any, rows: int, shape: Sequence[int]) -> Any:
    """A copy of a model whose input is `rows` images of `shape`."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(message)
    dims = copy.graph.input[0].type.tensor_type.shape
    del dims.dim[:]
    for size in (rows, *shape):
        dims.dim.add(dim_value=size)
    return copy


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """The value of an operator's attribute."""
    import onnx

    found = next((one for one in node.attribute if one.name == name), None)
    return default if found is None else onnx.helper.get_attribute_value(found)


def scope(node: Any) -> str:
    """The module that an operator is of, as PyTorch's newer exporter notes it, or ""."""
    noted = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "")
    # ['', 'layer1', 'layer1.0.conv1', 'conv2d']: modules from the outermost on, and what the operator was made of.
    words = re.findall(r"'([^'\\]*)'", noted)
    return words[-2] if len(words) > 1 else ""


def digest_order(graph: Graph) -> list[tuple[str, np.ndarray]]:
    """The weights that are used, in the order of the operators: the same wherever a file has them."""
    names = dict.fromkeys(name for node in graph.nodes for name in node.input if name in graph.file.weights)
    return [(name, graph.file.weights[name]) for name in names]
