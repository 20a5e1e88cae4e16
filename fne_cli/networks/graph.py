"""A network as one flat graph over an input of known size.

A layer may be called in several graphs, or twice in one: what holds for a call is asked of Keras's node of that call,
never of the layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks.catalog import Precision

if TYPE_CHECKING:
    import keras


def flat(model: keras.Model, height: int, width: int, precision: Precision = "float32") -> keras.Model:
    """The layers of `model`, with its weights, over images (height, width, 3); models inside it are opened.

    The layers compute in `precision` from now on, whatever they were saved with; the weights stay as they are. Raises
    BadInput for a size that the layers cannot take, and for a model that does not know its own graph.
    """
    import keras

    policy = precision if precision == "float32" else f"mixed_{precision}"
    images = keras.Input((height, width, 3))

    def apply(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.Model):
            return opened(operation, args[0] if args else kwargs["inputs"])
        if isinstance(operation, keras.layers.Layer):
            for layer in operation._flatten_layers():
                layer.dtype_policy = policy
        return operation(*args, **kwargs)

    def opened(inner: Any, tensor: Any) -> Any:
        if isinstance(inner, keras.Sequential):
            for layer in inner.layers:
                tensor = apply(layer, tensor)
            return tensor
        if not hasattr(inner, "_run_through_graph"):
            raise BadInput(
                f"{model.name} should be made of functional and sequential models. Found: {inner.name}, "
                f"a {type(inner).__name__} with code of its own, whose layers are not known before it runs."
            )
        return inner._run_through_graph(tensor, operation_fn=lambda operation: operation, call_fn=apply)

    try:
        return keras.Model(images, opened(model, images), name=model.name)
    except (ValueError, TypeError) as error:  # what Keras's layers raise for a shape, and its graphs for two same names
        raise BadInput(f"{model.name} cannot be built for images of {height} x {width}: {error}") from error


def call_of(tensor: Any) -> Any:
    """Keras's node of the call that made a tensor: its operation, input_tensors and output_tensors."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def calls(model: keras.Model) -> list[Any]:
    """The node of every call on the way from the inputs of `model` to its outputs, in no particular order."""
    found, ahead = {}, list(model.outputs)
    while ahead:
        node = call_of(ahead.pop())
        if id(node) not in found:
            found[id(node)] = node
            ahead += node.input_tensors
    return list(found.values())
