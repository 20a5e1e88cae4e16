"""Where an ONNX network is tapped: convolutions and products with weights, after their activation; and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.networks.onnx import blocks
from fne_cli.networks.onnx.activations import after_activation, is_activation
from fne_cli.networks.onnx.graph import FLOATS, Graph
from fne_cli.networks.onnx.names import Names
from fne_cli.networks.tapping.tokens import Tokens

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_OTHERS = (
    "QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "Einsum", "LSTM", "GRU", "RNN", "DeformConv",
)  # fmt: skip
_UNIT = ("LpNormalization",)
_PROBABILITIES = ("Softmax", "Sigmoid", "LogSoftmax")
_PARTS = ("Attention", "MLP", "Block")
_UNABLE = (_NO_ROWS, _NO_FLOATS) = ("not a row for each image", "no floats")


@dataclass(frozen=True)
class OnnxTap:
    """One tapped tensor: the layer's name, its kind, the operator whose output is taken, the tensor.

    shape: of one image, channels last, (height, width, channels) or (features,). Of a sequence of tokens it is the map
    of the patches, and `tokens` says where they are. aside: why it is not tapped unless it is asked for, or "".
    """

    layer: str
    kind: str
    output_of: str
    tensor: str
    shape: tuple[int, ...]
    is_channels_first: bool = False
    aside: str = ""
    tokens: Tokens | None = None

    @property
    def is_classifier(self) -> bool:
        """Whether it gives the scores of classes."""
        return self.aside == "classifier"


def find_taps(graph: Graph) -> tuple[list[OnnxTap], list[tuple[str, str]]]:
    """All taps in the order of computing; and (name, reason) of what has weights and is not tapped.

    The latter are tapped if they are asked for, or not at all. Raises BadInput for a network without taps, or of
    unknown sizes.
    """
    cores = [node for node in graph.nodes if is_weighted(graph, node)]
    if not cores:
        raise BadInput(f"{graph.name} should have convolutions, or products with weights. Found none.")
    found = blocks.find(graph, lambda node: is_weighted(graph, node))
    names = Names(graph, cores)
    classifiers = {id(classifier_of(graph, output)) for output in graph.outputs}
    taps: list[tuple[int, OnnxTap]] = []
    for node in cores:
        own = own_output(graph, node)
        tensor, _ = after_activation(graph, own, lambda node: is_weighted(graph, node))
        why = "classifier" if id(node) in classifiers else found.aside.get(node.output[0], "")
        tap = _tap(graph, names.of(node), node.op_type, tensor, node.op_type.startswith("Conv"), found.tokens, why)
        taps.append((graph.order[id(node)], tap))
    for block in found.blocks:
        prefix = names.of_block(block.weighted, block.number)
        for what, kind, tensor in block.parts():
            name = names.free(f"{prefix}.{what}")
            tap = _tap(graph, name, kind, tensor, False, found.tokens, "")
            taps.append((graph.order[id(graph.made_by[tensor])], tap))
    # The layers that begin and end a block are its parts by another name.
    ordered = [tap for _, tap in sorted(taps, key=lambda pair: (pair[0], pair[1].kind not in _PARTS))]
    parts = {tap.tensor for tap in ordered if tap.kind in _PARTS}
    ordered = [tap for tap in ordered if tap.kind in _PARTS or tap.tensor not in parts]
    left = [(tap.layer, tap.aside) for tap in ordered if tap.aside]
    able = [tap for tap in ordered if tap.aside not in _UNABLE]
    if not able:
        raise BadInput(f"{graph.name} should have layers with a row for each image. Found none.")
    return able, [*left, *_others(graph)]


def lacking_rows(left: Sequence[tuple[str, str]]) -> list[str]:
    """The layers among those that are not tapped which have no row for each image."""
    return [name for name, why in left if why == _NO_ROWS]


def _tap(graph: Graph, name: str, kind: str, tensor: str, first: bool, tokens: Tokens | None, aside: str) -> OnnxTap:
    made, full = graph.made_by[tensor], graph.shapes.get(tensor)
    if full is None:
        raise BadInput(
            f"{graph.name} should have outputs of known size. Found: {name}, whose size depends on values.",
            remedy="Export it for images of one size.",
        )
    shape, of_tokens = tuple(full[1:]), None
    if full[:1] != (graph.rows,) or not shape or 0 in shape:
        aside = _NO_ROWS
        shape = shape or (1,)
    elif graph.types.get(tensor, 1) not in FLOATS:
        aside = _NO_FLOATS
    elif tokens is not None and len(shape) == 2 and tokens.fit(shape[0]):
        of_tokens, shape = tokens, (tokens.height, tokens.width, shape[1])
    elif first and len(shape) > 1:
        shape = (*shape[1:], shape[0])
    return OnnxTap(name, kind, made.op_type, tensor, shape, first and len(shape) > 1, aside, of_tokens)


def is_weighted(graph: Graph, node: Any) -> bool:
    """Whether an operator is a convolution, or a product with a matrix of weights."""
    if node.op_type not in _WEIGHTED or len(node.input) < 2:
        return False
    images = graph.data_inputs(node)
    if node.op_type == "MatMul":
        weights = [given for given in node.input if given in graph.constant]
        return len(images) == 1 and len(weights) == 1 and graph.rank(weights[0]) in (-1, 2)
    return images == [node.input[0]]


def own_output(graph: Graph, node: Any) -> str:
    """The output of a layer with its bias, which an exporter may add in an operator of its own."""
    out = str(node.output[0])
    users = graph.users[out]
    if node.op_type == "MatMul" and len(users) == 1 and users[0].op_type == "Add":
        others = [given for given in users[0].input if given != out]
        width = (graph.shapes.get(out) or (0,))[-1]
        if (
            len(others) == 1
            and others[0] in graph.constant
            and graph.shapes.get(others[0], (width,)) in ((width,), (1, width))
        ):
            return str(users[0].output[0])
    return out


def _others(graph: Graph) -> list[tuple[str, str]]:
    """(name, kind) of operators with weights that are no convolutions or products of ours."""
    return [
        (node.name or node.output[0], node.op_type)
        for node in graph.nodes
        if node.op_type in _OTHERS and graph.data_inputs(node) and len(graph.data_inputs(node)) < len(node.input)
    ]


def classifier_of(graph: Graph, output: str) -> Any:
    """The operator that yields the class scores in `output`, or None: a network without top ends in features.

    As for Keras networks: going back, the first layer is the classifier if its scores become probabilities, or if it is
    a product with weights without any activation (logits). A branch on the way means that there is none.
    """
    probabilities = activated = False
    name = output
    while (node := graph.made_by.get(name)) is not None:
        probabilities = probabilities or node.op_type in _PROBABILITIES
        if is_weighted(graph, node):
            dense = node.op_type in ("Gemm", "MatMul")
            return node if probabilities or (dense and not activated) else None
        images = graph.data_inputs(node)
        if len(images) != 1:
            return None
        activated = activated or is_activation(graph, node) or node.op_type in _UNIT
        name = images[0]
    return None
