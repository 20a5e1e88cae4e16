"""Where the activation of a layer is in an ONNX graph: one operator, or the several that an exporter makes of one."""

from __future__ import annotations

from typing import Any

from fne_cli.networks.onnx.graph import Graph

_ACTIVATIONS = (
    "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "Selu", "Celu", "Softplus", "Softsign", "HardSigmoid", "HardSwish",
    "Gelu", "Mish", "Clip", "PRelu", "ThresholdedRelu", "Shrink", "Swish", "Softmax", "LogSoftmax", "Hardmax",
)  # fmt: skip
_LIMITS = ("Max", "Min")  # with a constant: a ReLU written by hand
# What activations are written out in, each value for itself: x * sigmoid(x), x / 2 * (1 + erf(x / sqrt(2))) ...
_CURVES = ("Sigmoid", "HardSigmoid", "Tanh", "Erf", "Softplus", "Exp", "Clip", "Relu", "Abs", *_LIMITS)
_ARITHMETIC = ("Mul", "Add", "Sub", "Div", "Pow", "Sqrt", "Neg", "Reciprocal", "Log", "Identity", "Cast")
_PASSING = (
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "InstanceNormalization", "RMSNormalization",
    "LpNormalization", "Identity", "Dropout", "Cast", "QuantizeLinear", "DequantizeLinear", "Pad", "MaxPool",
    "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "LpPool", "Resize", "Upsample",
)  # fmt: skip
_REGION = 16  # operators that an activation is written out in, at most


def is_activation(graph: Graph, node: Any) -> bool:
    """Whether an operator is an activation by itself."""
    return node.op_type in _ACTIVATIONS or (node.op_type in _LIMITS and len(graph.data_inputs(node)) == 1)


def activation_of(graph: Graph, name: str) -> str | None:
    """The output of the activation that the tensor `name` goes through at once, and alone; None if there is none."""
    users = graph.users[name]
    if len(users) == 1 and is_activation(graph, users[0]):
        return users[0].output[0]
    return _written_out(graph, name)


def _written_out(graph: Graph, start: str) -> str | None:
    """The end of an activation of several operators: where all that is made of `start` has come together again."""
    inside, curved, gated = {start}, False, False
    ahead = sorted(graph.users[start], key=lambda node: graph.order[id(node)])
    for _ in range(_REGION):
        if not ahead:
            return None
        node = ahead.pop(0)
        others = graph.data_inputs(node)
        steady = all(graph.scalar(given) for given in node.input if given and given not in others)
        if node.op_type not in (*_CURVES, *_ARITHMETIC) or not steady or not set(others) <= inside:
            return None
        out = node.output[0]
        inside.add(out)
        curved = curved or node.op_type in _CURVES
        gated = gated or (node.op_type == "Mul" and len(set(others)) == 2)
        new = [user for user in graph.users[out] if all(user is not known for known in ahead)]
        if not ahead and curved:
            return _scaled(graph, out) if gated else out
        ahead = sorted([*ahead, *new], key=lambda node: graph.order[id(node)])
    return None


def _scaled(graph: Graph, name: str) -> str:
    """The half, or sixth, that some exporters multiply with at the end."""
    users = graph.users[name]
    if len(users) == 1 and users[0].op_type in ("Mul", "Div"):
        others = [given for given in users[0].input if given != name]
        if len(others) == 1 and graph.scalar(others[0]):
            return str(users[0].output[0])
    return name


def after_activation(graph: Graph, name: str, weighted: Any) -> tuple[str, bool]:
    """The activation of a layer whose output is `name`, and whether it has one.

    Normalisation, dropout, pooling and padding may stand in between. Where no activation comes, it is the normalisation
    that follows at once, or the given tensor itself. weighted: whether an operator is a layer of its own.
    """
    last, normalised, pooled = name, True, False
    while True:
        if (found := activation_of(graph, name)) is not None:
            return found, True
        users = graph.users[name]
        if len(users) != 1 or weighted(users[0]) or len(graph.data_inputs(users[0])) != 1:
            return last, False
        node = users[0]
        if node.op_type not in _PASSING or (pooled and node.op_type.endswith("Normalization")):
            return last, False
        pooled = pooled or "Pool" in node.op_type
        normalised = normalised and node.op_type in ("BatchNormalization", "Identity", "Cast")
        name = node.output[0]
        last = name if normalised else last
