"""A model without the values of its large weights, which are handed over beside it: a message has at most 2 GiB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_INLINE = 1 << 10  # bytes: sizes and axes, which decide about shapes, are smaller


def light_of(message: Any, weights: dict[str, np.ndarray]) -> Any:
    """The same message, its large weights without their values."""
    import onnx

    light = onnx.ModelProto()
    graph = message.graph
    light.ir_version = message.ir_version
    light.opset_import.extend(message.opset_import)
    light.metadata_props.extend(message.metadata_props)
    light.graph.name = graph.name or "graph"
    light.graph.node.extend(graph.node)
    light.graph.output.extend(graph.output)
    light.graph.input.extend(value for value in graph.input if value.name not in weights)
    for name, values in weights.items():
        if values.nbytes <= _INLINE or values.dtype == object:
            tensor = onnx.numpy_helper.from_array(values, name)
        else:
            tensor = onnx.TensorProto(name=name, dims=values.shape)
            tensor.data_type = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")
        light.graph.initializer.append(tensor)
    return light


def without_weights(light: Any) -> Any:
    """The same, its large weights as inputs: the checker would look for them in a file."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(light)
    own = list(copy.graph.initializer)
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(tensor for tensor in own if not tensor.external_data)
    del copy.graph.output[:]  # what it says of them does not matter, nor that it may say nothing
    copy.graph.output.extend(onnx.helper.make_tensor_value_info(value.name, 1, ()) for value in light.graph.output)
    copy.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in own
        if tensor.external_data
    )
    return copy


def large(weights: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those weights among `names` whose values are not in the message."""
    return {name: weights[name] for name in names if weights[name].nbytes > _INLINE and weights[name].dtype != object}
