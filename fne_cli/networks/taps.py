"""Where a network is tapped: every convolutional and dense layer, after its activation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput

if TYPE_CHECKING:
    import keras

_PROBABILITIES = ("softmax", "sigmoid", "log_softmax")


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
    """All taps of a model in the order of its layers, the classifier marked. Raises BadInput for a nested model."""
    from keras import layers

    nested = [layer.name for layer in model.layers if hasattr(layer, "layers")]
    if nested:
        raise BadInput(
            f"{model.name} should be one flat network. Found: a network inside it, {nested[0]}.\n"
            f"Save that one by itself: model.get_layer({nested[0]!r}).save('inner.keras')"
        )
    weighted: tuple[Any, ...] = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
    weighted += (layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose)
    users = _users(model)
    classifier = _classifier(model, weighted)
    taps = []
    for layer in model.layers:
        if isinstance(layer, weighted):
            last = _after_activation(layer, users)
            tap = Tap(layer.name, type(layer).__name__, last.name, last.output, layer is classifier)
            if None in tap.tensor.shape[1:]:
                raise BadInput(f"{model.name}: the output of {layer.name} has no fixed size. Give --image-size.")
            taps.append(tap)
    return taps


def _users(model: keras.Model) -> dict[int, list[Any]]:
    """The operations that take each tensor as input, by the tensor's identity."""
    import keras

    users: dict[int, list[Any]] = defaultdict(list)
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        for tensor in keras.tree.flatten(operation.input):
            users[id(tensor)].append(operation)
    return users


def _after_activation(layer: Any, users: dict[int, list[Any]]) -> Any:
    """The layer whose output is `layer`'s activation: itself, or what normalises and activates it and nothing else."""
    from keras import layers

    activations = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax)
    while _activation_name(layer) == "linear":
        following = users[id(layer.output)]
        if len(following) != 1:
            break
        if isinstance(following[0], activations):
            return following[0]
        if not isinstance(following[0], layers.BatchNormalization):
            break
        layer = following[0]
    return layer


def _activation_name(layer: Any) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def _classifier(model: keras.Model, weighted: tuple[type, ...]) -> Any:
    """The layer that yields the class scores, or None: a network without top ends in features.

    Going back from the output, the first weighted layer is the classifier if its scores become probabilities, or if it
    is a dense layer without any activation (logits). A branch on the way back means that there is none.
    """
    import keras

    if len(model.outputs) != 1:
        return None
    operation = model.outputs[0]._keras_history.operation
    probabilities = activated = False
    while not isinstance(operation, keras.layers.InputLayer):
        if isinstance(operation, keras.layers.Softmax) or _activation_name(operation) in _PROBABILITIES:
            probabilities = True
        if isinstance(operation, weighted):
            logits = isinstance(operation, keras.layers.Dense) and _activation_name(operation) == "linear"
            return operation if probabilities or (logits and not activated) else None
        activated = activated or _activation_name(operation) != "linear" or "relu" in type(operation).__name__.lower()
        inputs = keras.tree.flatten(operation.input)
        if len(inputs) != 1:
            return None
        operation = inputs[0]._keras_history.operation
    return None


def select(taps: Sequence[Tap], patterns: Sequence[str]) -> list[Tap]:
    """The taps that a name or glob matches, in network order; without patterns all but the classifier.

    Raises BadInput for a pattern that matches nothing.
    """
    if not patterns:
        return [tap for tap in taps if not tap.is_classifier]
    for pattern in patterns:
        if not any(fnmatchcase(tap.layer, pattern) for tap in taps):
            names = ", ".join(tap.layer for tap in taps)
            raise BadInput(f"--layers {pattern!r} should match a convolutional or dense layer. There are: {names}.")
    return [tap for tap in taps if any(fnmatchcase(tap.layer, pattern) for pattern in patterns)]
