"""Where a network is tapped: every convolutional and dense layer, after its activation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks import graph

if TYPE_CHECKING:
    import keras

_PROBABILITIES = ("softmax", "sigmoid", "logsoftmax")


@dataclass(frozen=True)
class Tap:
    """One tapped layer: its Keras name, its kind (Conv2D, Dense ...), the layer whose output is taken, that output."""

    layer: str
    kind: str
    output_of: str
    tensor: Any
    is_classifier: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output for one image: (height, width, channels) or (features,)."""
        return tuple(int(size) for size in self.tensor.shape[1:])


def find_taps(model: keras.Model) -> list[Tap]:
    """All taps of a flat model (graph.flat) in the order of its layers, the classifier marked.

    Raises BadInput for a layer that is applied twice, one with its channels first, and a network without any.
    """
    weighted = _weighted()
    users, calls = defaultdict(list), defaultdict(list)
    for call in graph.calls(model):
        calls[id(call.operation)].append(call)
        for tensor in call.input_tensors:
            users[id(tensor)].append(call)
    classifiers = {id(_classifier(output, weighted)) for output in model.outputs}
    taps = []
    for layer in model.layers:
        if isinstance(layer, weighted):
            if len(calls[id(layer)]) != 1:
                raise BadInput(
                    f"{model.name} should apply each layer with weights once. "
                    f"Found: {layer.name}, applied {len(calls[id(layer)])} times."
                )
            if getattr(layer, "data_format", None) == "channels_first":
                raise BadInput(
                    f"{model.name} should have its channels last. Found: {layer.name}, data_format='channels_first'."
                )
            last = _after_activation(calls[id(layer)][0], users, weighted)
            tensor = last.output_tensors[0]
            taps.append(Tap(layer.name, type(layer).__name__, last.operation.name, tensor, id(layer) in classifiers))
    if not taps:
        raise BadInput(f"{model.name} should have convolutional or dense layers. Found none.")
    return taps


def _weighted() -> tuple[Any, ...]:
    from keras import layers

    convolutions = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv2D, layers.SeparableConv2D)
    return (layers.Dense, *convolutions, layers.Conv2DTranspose)


def _activation(operation: Any) -> str:
    """The activation that an operation applies, as its last or only work; "linear" for none.

    A layer has it as an attribute (Conv2D, Activation) or in its class's name (ReLU), a keras.ops function in the
    latter (Relu); Keras writes the same names with and without underscores.
    """
    import keras

    function = getattr(operation, "activation", None)
    fused = getattr(function, "__name__", type(function).__name__)
    name = (type(operation).__name__ if function is None else fused).lower().replace("_", "")
    known = {known.replace("_", "") for known in dir(keras.activations)} | {"prelu"}
    return name if function is not None or name in known else "linear"


def _after_activation(call: Any, users: dict[int, list[Any]], weighted: tuple[Any, ...]) -> Any:
    """The call whose output is the activation: the given one, or what normalises and activates it and nothing else."""
    from keras import layers

    while _activation(call.operation) == "linear":
        following = users[id(call.output_tensors[0])]
        if len(following) != 1 or isinstance(following[0].operation, weighted):
            break
        operation = following[0].operation
        if _activation(operation) == "linear" and not isinstance(
            operation, layers.BatchNormalization | layers.Activation
        ):
            break
        call = following[0]
    return call


def _classifier(output: Any, weighted: tuple[Any, ...]) -> Any:
    """The layer that yields the class scores in `output`, or None: a network without top ends in features.

    Going back from the output, the first weighted layer is the classifier if its scores become probabilities, or if it
    is a dense layer without any activation (logits). A branch on the way back means that there is none.
    """
    import keras

    probabilities = activated = False
    call = graph.call_of(output)
    while True:
        activation = _activation(call.operation)
        probabilities = probabilities or activation in _PROBABILITIES
        if isinstance(call.operation, weighted):
            logits = isinstance(call.operation, keras.layers.Dense) and activation == "linear" and not activated
            return call.operation if probabilities or logits else None
        activated = activated or activation != "linear"
        if len(call.input_tensors) != 1:  # a branch, or none for the input itself
            return None
        call = graph.call_of(call.input_tensors[0])


def select(taps: Sequence[Tap], patterns: Sequence[str]) -> list[Tap]:
    """The taps that a name or glob matches, in network order; without patterns all but the classifier.

    Raises BadInput for a pattern that matches nothing, and if there is only a classifier.
    """
    if not patterns:
        hidden = [tap for tap in taps if not tap.is_classifier]
        if not hidden:
            raise BadInput(f"There should be a layer before the classifier. Found none: try --layers {taps[0].layer}.")
        return hidden
    for pattern in patterns:
        if not any(fnmatchcase(tap.layer, pattern) for tap in taps):
            names = ", ".join(tap.layer for tap in taps)
            raise BadInput(f"--layers {pattern!r} should match a convolutional or dense layer. There are: {names}.")
    return [tap for tap in taps if any(fnmatchcase(tap.layer, pattern) for pattern in patterns)]
