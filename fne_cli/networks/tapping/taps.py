"""Where a network is tapped: every convolutional and dense layer, after its activation."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks import graph
from fne_cli.networks.tapping.tapped import AnyTap
from fne_cli.networks.tapping.tokens import Tokens
from fne_cli.options import meant

if TYPE_CHECKING:
    import keras

IN_A_BLOCK = "part of a block"
"""Why a layer of a transformer is not tapped: the taps of its block have what it gives."""
_PROBABILITIES = ("softmax", "sigmoid", "logsoftmax")
# What may stand between a layer and its activation: every value of the output has its place in the map, or is one.
_IN_BETWEEN = re.compile(
    r"(Batch|Layer|Group|RMS)?Normalization|Rescaling|Identity|Activation|ActivityRegularization|Cast|"
    r"(Spatial|Alpha|Gaussian)?Dropout([123]D)?|GaussianNoise|((Adaptive|Global)?(Max|Average)Pooling|ZeroPadding|"
    r"Cropping|UpSampling)[123]D|(Adaptive)?(Max|Average)Pool"
)
_LIMITS = ("Maximum", "Minimum", "Clip")  # of keras.ops, with a constant: a ReLU written by hand
_UNIT = ("UnitNormalization", "Normalize")  # makes vectors of length 1: what it is applied to is an embedding


@dataclass(frozen=True)
class Tap:
    """One tapped layer: its name, its kind (Conv2D, Dense ...), the layer whose output is taken, that output."""

    layer: str
    kind: str
    output_of: str
    tensor: Any
    is_classifier: bool = False
    is_channels_first: bool = False
    tokens: Tokens | None = None
    in_block: bool = False

    @property
    def aside(self) -> str:
        """Why it is tapped only when it is asked for."""
        return "classifier" if self.is_classifier else IN_A_BLOCK if self.in_block else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output for one image: (height, width, channels), of the patches of tokens, or (features,)."""
        sizes = tuple(int(size) for size in self.tensor.shape[1:])
        if self.tokens is not None:
            return (self.tokens.height, self.tokens.width, sizes[-1])
        return (*sizes[1:], sizes[0]) if self.is_channels_first else sizes

    def channels_last(self, values: Any) -> Any:
        """A batch of this output, with its channels where `shape` has them."""
        import keras

        return keras.ops.moveaxis(values, 1, -1) if self.is_channels_first else values


def find_taps(model: keras.Model) -> list[Tap]:
    """All taps of a flat model (graph.flat) in the order of its layers, the classifier marked.

    A layer that is applied several times has a tap for each, with its number behind the name. Raises BadInput for a
    network without any, and for an output whose size is not known.
    """
    users, calls = defaultdict(list), defaultdict(list)
    for call in graph.calls(model):
        calls[id(call.operation)].append(call)
        for tensor in call.input_tensors:
            users[id(tensor)].append(call)
    classifiers = {id(classifier_of(output)) for output in model.outputs}
    names = {graph.name_of(operation) for operation in model.operations}
    taps = []
    for layer in model.layers:
        if not is_weighted(layer):
            continue
        own = sorted(calls[id(layer)], key=layer._inbound_nodes.index)
        for number, call in enumerate(own, start=1):
            name = graph.name_of(layer)
            if len(own) > 1:
                name = _numbered(name, number, names)
            _check_name(model.name, name)
            last = _after_activation(call, users)
            tensor, shown = last.output_tensors[0], graph.name_of(last.operation)
            if any(size is None for size in tensor.shape[1:]):
                raise BadInput(
                    f"{model.name} should have outputs of known size. Found: {name}, {tuple(tensor.shape[1:])}. "
                    "Leave its size to the image's: build it with keras.Input((height, width, channels))."
                )
            first = len(tensor.shape) > 2 and getattr(_inner(layer), "data_format", None) == "channels_first"
            shown = name if last.operation is layer else shown
            taps.append(Tap(name, _kind(layer), shown, tensor, id(layer) in classifiers, first))
    if not taps:
        raise BadInput(f"{model.name} should have convolutional or dense layers. Found none.")
    return taps


def left_out(model: keras.Model) -> list[tuple[str, str]]:
    """(name, reason) of every layer with weights that is not tapped unless it is asked for, or not at all.

    The reason is `classifier`, or the kind of a layer that is neither convolutional nor dense. In the order of layers.
    """
    classifiers = {id(classifier_of(output)) for output in model.outputs}
    return [
        (graph.name_of(layer), "classifier" if id(layer) in classifiers else _kind(layer))
        for layer in model.layers
        if id(layer) in classifiers or (layer.weights and not is_weighted(layer) and not _only_scales(layer))
    ]


def in_one_line(left: Sequence[tuple[str, str]]) -> str:
    """What is left out, as a person reads it; many of one kind by the first and the last."""
    names = defaultdict(list)
    for name, reason in left:
        names[reason].append(name)
    return ", ".join(
        f"{name} ({reason})" if len(own) < 4 else f"{own[0]} ... {own[-1]} ({len(own)} of {reason})"
        for reason, own in names.items()
        for name in (own if len(own) < 4 else own[:1])
    )


def _check_name(model: str, name: str) -> None:
    """Raises BadInput for a name that HDF5 does not take for a dataset."""
    try:
        good = bool(name.strip(".")) and "/" not in name and "\0" not in name and bool(name.encode())
    except UnicodeEncodeError:
        good = False
    if not good:
        raise BadInput(
            f"{model} should have layers whose names can stand in a file. Found: {name!r}.\n"
            "Give the layer another name (name=...) and save it again."
        )


def _numbered(name: str, number: int, names: set[str]) -> str:
    numbered = f"{name}.{number}"
    while numbered in names:
        numbered += "_"
    return numbered


def _inner(operation: Any) -> Any:
    """The layer in a wrapper (SpectralNormalization, TimeDistributed), or the operation itself."""
    import keras

    while isinstance(operation, keras.layers.Wrapper):
        operation = operation.layer
    return operation


def _kind(layer: Any) -> str:
    own = type(layer).__name__
    return own if _inner(layer) is layer else f"{own}({_kind(layer.layer)})"


def is_weighted(operation: Any) -> bool:
    """Whether an operation is a convolutional or dense layer, perhaps in a wrapper."""
    from keras import layers

    convolutions = (
        layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D,
        layers.SeparableConv1D, layers.SeparableConv2D, layers.Conv1DTranspose, layers.Conv2DTranspose,
        layers.Conv3DTranspose,
    )  # fmt: skip
    return isinstance(_inner(operation), (layers.Dense, *convolutions))


def _only_scales(operation: Any) -> bool:
    """Whether weights of an operation, if it has any, only normalise, scale or bend the values, each for itself."""
    kind = type(_inner(operation)).__name__
    return bool(_IN_BETWEEN.fullmatch(kind)) or kind in ("PReLU", "LayerScale")


def _activation(operation: Any) -> str:
    """The activation that an operation applies, as its last or only work; "linear" for none.

    A layer has it as an attribute (Conv2D, Activation) or in its class's name (ReLU), a keras.ops function in the
    latter (Relu); Keras writes the same names with and without underscores.
    """
    import keras

    operation = _inner(operation)
    function = getattr(operation, "activation", None)
    fused = getattr(function, "__name__", type(function).__name__)
    name = (type(operation).__name__ if function is None else fused).lower().replace("_", "")
    known = {known.replace("_", "") for known in dir(keras.activations)} | {"prelu"}
    return name if function is not None or name in known else "linear"


def _activates(call: Any) -> bool:
    """Whether a call does nothing but apply an activation to what it is given."""
    import keras

    inner = _inner(call.operation)
    if len(call.input_tensors) != 1:
        return False
    if type(inner).__name__ in _LIMITS:
        return True
    # A recurrent or EinsumDense layer has an activation as well, of sums of its own.
    of_its_own = hasattr(inner, "activation") and not isinstance(inner, keras.layers.Activation)
    return not of_its_own and _activation(inner) != "linear"


def _after_activation(call: Any, users: dict[int, list[Any]]) -> Any:
    """The call whose output is the activation of the given one.

    Normalisation, dropout, pooling and padding may stand in between. Where no activation comes, it is the
    normalisation that follows at once, or the given call itself.
    """
    from keras import layers

    last = call
    normalised = True  # nothing but BatchNormalization so far
    pooled = False
    if _activation(call.operation) != "linear":
        return call
    while True:
        following = users[id(call.output_tensors[0])]
        if len(following) != 1 or is_weighted(following[0].operation):
            return last
        call = following[0]
        if _activates(call):
            return call
        inner = _inner(call.operation)
        kind = type(inner).__name__
        if not _IN_BETWEEN.fullmatch(kind) or (pooled and kind.endswith("Normalization")):
            return last  # normalisation after pooling begins the next block (ResNet's second version)
        pooled = pooled or "Pooling" in kind
        normalised = normalised and isinstance(inner, layers.BatchNormalization | layers.Activation)
        last = call if normalised else last


def classifier_of(output: Any) -> Any:
    """The layer that yields the class scores in `output`, or None: a network without top ends in features.

    Going back from the output, the first weighted layer is the classifier if its scores become probabilities, or if it
    is a dense layer without any activation (logits). A branch on the way back means that there is none, and so do
    vectors of length 1, which are compared with each other.
    """
    import keras

    probabilities = activated = False
    call = graph.call_of(output)
    while True:
        operation, activation = call.operation, _activation(call.operation)
        probabilities = probabilities or activation in _PROBABILITIES
        if is_weighted(operation):
            is_dense = isinstance(_inner(operation), keras.layers.Dense)
            logits = is_dense and activation == "linear" and not activated
            return operation if probabilities or logits else None
        activated = activated or activation != "linear" or type(operation).__name__ in _UNIT
        if len(call.input_tensors) != 1:  # a branch, or none for the input itself
            return None
        if getattr(operation, "weights", None) and not _only_scales(operation):
            return None  # a layer of another kind has the last word
        call = graph.call_of(call.input_tensors[0])


def select(taps: Sequence[AnyTap], patterns: Sequence[str]) -> list[AnyTap]:
    """The taps that a name or glob matches, in network order; without patterns all but the classifier.

    Raises BadInput for a pattern that matches nothing, and if there is only a classifier.
    """
    if not patterns:
        hidden = [tap for tap in taps if not tap.aside]
        if not hidden:
            raise BadInput(f"There should be a layer before the classifier. Found none: try --layers {taps[0].layer}.")
        return hidden
    names = [tap.layer for tap in taps]
    chosen: set[str] = set()
    for pattern in patterns:
        matching = meant(pattern, names)
        if not matching:
            raise BadInput(
                f"--layers {pattern!r} should match a convolutional or dense layer. There are: {', '.join(names)}."
            )
        chosen |= matching
    return [tap for tap in taps if tap.layer in chosen]
