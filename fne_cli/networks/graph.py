"""A network as one flat graph over an input of known size.

A layer may be called in several graphs, or twice in one: what holds for a call is asked of Keras's node of that call,
never of the layer.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput, FneError
from fne_cli.networks.catalog import Precision

if TYPE_CHECKING:
    import keras

_SCOPE = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")  # what every backend takes as the name of a scope

_OTHER_FLOATS = ("float16", "bfloat16", "float64")


@dataclass(frozen=True)
class Input:
    """What the first layer takes: channels (three for RGB, one for grey), whether they come first, and its type."""

    channels: int = 3
    channels_first: bool = False
    dtype: str = "float32"

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape of one image."""
        return (self.channels, height, width) if self.channels_first else (height, width, self.channels)


RGB = Input()


def flat(
    model: keras.Model, height: int, width: int, precision: Precision = "float32", takes: Input = RGB
) -> keras.Model:
    """The layers of `model`, with its weights, over images of that size; models inside it are opened.

    The layers compute in `precision` from now on, whatever they were saved with; the weights stay as they are, and
    quantised layers compute as they were saved: a new policy would drop their scales. Operations of one name, or of one
    that a backend refuses, are renamed; `name_of` tells what people see. Raises BadInput for a size that the layers
    cannot take, and for a model that does not know its own graph.
    """
    import keras

    policy = precision if precision == "float32" else f"mixed_{precision}"
    images = keras.Input(takes.shape(height, width), dtype=takes.dtype)
    found: dict[int, tuple[Any, tuple[str, ...]]] = {}

    def apply(path: tuple[str, ...], operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.Model):
            inputs = args[0] if args else kwargs["inputs"]
            return opened(operation, inputs, (*path, operation.name))
        found.setdefault(id(operation), (operation, path))
        if isinstance(operation, keras.layers.Layer):
            for layer in operation._flatten_layers():
                if not _keeps_its_policy(layer):
                    layer.dtype_policy = policy
        return operation(*args, **kwargs)

    def opened(inner: Any, tensor: Any, path: tuple[str, ...]) -> Any:
        if isinstance(inner, keras.Sequential):
            for layer in inner.layers:
                tensor = apply(path, layer, tensor)
            return tensor
        if not hasattr(inner, "_run_through_graph"):
            raise BadInput(
                f"{model.name} should be made of functional and sequential models. Found: {inner.name}, "
                f"a {type(inner).__name__} with code of its own, whose layers are not known before it runs."
            )

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            return apply(path, operation, *args, **kwargs)

        return inner._run_through_graph(tensor, operation_fn=lambda operation: operation, call_fn=call)

    try:
        outputs = opened(model, images, ())
        _tell_apart(list(found.values()), images)
        return keras.Model(images, outputs, name=model.name)
    except FneError:
        raise
    except Exception as error:  # a layer may raise whatever it likes for a shape
        raise BadInput(f"{model.name} cannot be built for images of {height} x {width}: {error}") from error


def is_quantised(layer: Any) -> bool:
    """Whether a layer keeps its weights in fewer bits, with a scale."""
    return getattr(layer, "quantization_mode", None) is not None


def _keeps_its_policy(layer: Any) -> bool:
    """Whether a layer has to compute as it was saved.

    A quantised one, and one beside it whose weights are no float32 (files.load makes them so where nothing is
    quantised): a policy does not change the type of weights that are there.
    """
    return is_quantised(layer) or any(weight.dtype in _OTHER_FLOATS for weight in layer.weights)


def name_of(operation: Any) -> str:
    """The name that people see: Keras's own, with the models around it where that would not be unique."""
    return str(operation.__dict__.get("_fne_shown", operation.name))


def _tell_apart(found: list[tuple[Any, tuple[str, ...]]], images: Any) -> None:
    """Give every operation a name that nobody else has to be shown by, and one that Keras and its backend take.

    Both are its own wherever that will do. Keras's is in the operation itself: a model asks for it whenever it is built
    or called.
    """
    own = [str(operation.__dict__.setdefault("_fne_own", operation.name)) for operation, _ in found]
    counts = Counter(own)
    shown = {name for name, count in counts.items() if count == 1}
    taken = {images._keras_history.operation.name, *(name for name in shown if _SCOPE.fullmatch(name))}
    for (operation, path), plain in zip(found, own, strict=True):
        name = plain
        if counts[plain] > 1:
            name = _free(".".join((*path, plain)), shown)
            shown.add(name)
        for_keras = name
        if counts[plain] > 1 or not _SCOPE.fullmatch(name) or name == images._keras_history.operation.name:
            for_keras = _free(re.sub(r"[^A-Za-z0-9._-]", "_", name.lstrip("-")) or "layer", taken)
            taken.add(for_keras)
        operation.__dict__.update(_fne_shown=name, name=for_keras)


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}.{number}"
    return free


def beginning(model: keras.Model) -> Any:
    """The first operation that does something to the images in inference, or None if there are several."""
    import keras

    nodes = calls(model)

    def users_of(tensor: Any) -> list[Any]:
        return [node for node in nodes if any(tensor is given for given in node.input_tensors)]

    tensor = model.inputs[0]
    while True:
        users = users_of(tensor)
        if users and all(type(user.operation).__name__ == "GetItem" for user in users):  # RGB to BGR
            users = list({id(node): node for user in users for node in users_of(user.output_tensors[0])}.values())
        if len(users) != 1:
            return None
        operation = users[0].operation
        passing = isinstance(operation, keras.layers.Dropout | keras.layers.GaussianNoise | keras.layers.Resizing)
        if not passing and not type(operation).__name__.startswith(("Random", "Cast", "Identity", "Stack")):
            return operation
        tensor = users[0].output_tensors[0]


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
