"""The blocks of a transformer in an ONNX graph: attention and MLP, each added to the stream of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fne_cli.networks.onnx.graph import Graph, attribute
from fne_cli.networks.tapping.taps import IN_A_BLOCK
from fne_cli.networks.tapping.tokens import Tokens

_ALONG = (
    "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "Cast", "Mul", "Add", "Div",
    "LayerNormalization", "RMSNormalization", "MatMul", "Gemm",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """attention: the output of its attention before it is added; hidden: the MLP's hidden layer; stream: after both."""

    number: int
    attention: str
    hidden: str | None
    stream: str
    weighted: list[Any]

    def parts(self) -> Iterator[tuple[str, str, str]]:
        """(name, kind, tensor) of each."""
        yield "attention", "Attention", self.attention
        if self.hidden is not None:
            yield "mlp", "MLP", self.hidden
        yield "stream", "Block", self.stream


@dataclass(frozen=True)
class Found:
    """The blocks; where the patches are; and, by the output of an operator, why a layer in a block is not tapped."""

    blocks: list[Block] = field(default_factory=list)
    tokens: Tokens | None = None
    aside: dict[str, str] = field(default_factory=dict)


def find(graph: Graph, weighted: Callable[[Any], bool]) -> Found:
    """The blocks in the order of computing; none for a network without attention."""
    found = Found()
    for core in _attention_cores(graph):
        block = _block(graph, core, weighted, len(found.blocks) + 1)
        if block is not None and all(block.stream != other.stream for other in found.blocks):
            found.blocks.append(block)
            found.aside.update({node.output[0]: IN_A_BLOCK for node in block.weighted})
    if not found.blocks:
        return found
    return Found(found.blocks, _tokens(graph, found.blocks[0], weighted), found.aside)


def _attention_cores(graph: Graph) -> Iterator[str]:
    """The tensors in which values are mixed by attention."""
    for node in graph.nodes:
        if node.op_type == "Attention":
            yield node.output[0]
        if node.op_type != "Softmax" or not graph.last_axis(node):
            continue
        name = _without_nan(graph, node.output[0])
        while len(graph.users[name]) == 1 and graph.users[name][0].op_type in ("Dropout", "Identity", "Cast", "Mul"):
            name = graph.users[name][0].output[0]
        for user in graph.users[name]:
            if user.op_type == "MatMul" and user.input[0] == name and len(graph.data_inputs(user)) == 2:
                yield user.output[0]


def _without_nan(graph: Graph, name: str) -> str:
    """A tensor with zeros where everything is masked, as PyTorch's newer exporter makes it; else the same tensor."""
    users = sorted(graph.users[name], key=lambda node: str(node.op_type))
    if [node.op_type for node in users] != ["IsNaN", "Where"]:
        return name
    unsaid, chosen = users
    return str(chosen.output[0]) if chosen.input[0] == unsaid.output[0] and chosen.input[2] == name else name


def _block(graph: Graph, core: str, weighted: Callable[[Any], bool], number: int) -> Block | None:
    path, joined = _to_sum(graph, core)
    if joined is None:
        return None
    (before,) = [name for name in joined.input if name != path[-1]] or [""]
    middle = joined.output[0]
    if len(graph.shapes.get(middle, ())) != 3 or not before:
        return None
    attention = _attention(graph, path, weighted, graph.shapes[middle])
    own = _between(graph, path[-1], before, weighted)
    if attention is None or own is None:
        return None
    after_norm = _normalised(graph, middle)
    stream: str = middle
    for start in [middle, *([after_norm] if after_norm else [])]:
        for user in graph.users[start]:
            others = [name for name in graph.data_inputs(user) if name != start]
            if user.op_type != "Add" or len(others) != 1:
                continue
            inner = _between(graph, others[0], start, weighted)
            hidden = _hidden(graph, others[0], weighted) if inner else None
            if inner and hidden is not None:
                own = [*own, *inner]
                stream = user.output[0]
                stream = (_normalised(graph, stream) or stream) if start == after_norm else stream
                return Block(number, attention, hidden, stream, own)
    return Block(number, attention, None, stream, own)


def _to_sum(graph: Graph, name: str) -> tuple[list[str], Any]:
    """The tensors from `name` on to the sum with the stream, and that sum; None if there is none."""
    path = [name]
    while len(graph.users[name]) == 1:
        node = graph.users[name][0]
        others = graph.data_inputs(node)
        if node.op_type == "Add" and len(others) == 2:
            return path, node
        if node.op_type not in _ALONG or len(others) != 1:
            break
        name = node.output[0]
        path.append(name)
    return path, None


def _attention(graph: Graph, path: list[str], weighted: Callable[[Any], bool], shape: tuple[int, ...]) -> str | None:
    """The first tensor behind the last product with weights, and its bias, that has the shape of the stream."""
    places = [number for number, name in enumerate(path) if weighted(graph.made_by[name])]
    if not places:
        return path[-1] if graph.shapes.get(path[-1]) == shape else None
    rest = path[places[-1] :]
    if len(rest) > 1 and graph.made_by[rest[1]].op_type == "Add":  # its bias
        rest = rest[1:]
    return next((name for name in rest if graph.shapes.get(name) == shape), None)


def _between(graph: Graph, end: str, start: str, weighted: Callable[[Any], bool]) -> list[Any] | None:
    """The layers on all ways back from `end` to `start`; None if a way does not lead there."""
    layers, seen, ahead = [], {start}, [end]
    while ahead:
        name = ahead.pop()
        if name in seen or name in graph.constant:
            continue
        seen.add(name)
        node = graph.made_by.get(name)
        if node is None or len(seen) > 200:
            return None
        if weighted(node):
            layers.append(node)
        ahead += graph.data_inputs(node)
    return sorted(layers, key=lambda node: graph.order[id(node)])


def _normalised(graph: Graph, name: str) -> str | None:
    users = graph.users[name]
    alone = len(users) == 1 and users[0].op_type in ("LayerNormalization", "RMSNormalization")
    return str(users[0].output[0]) if alone else None


def _hidden(graph: Graph, name: str, weighted: Callable[[Any], bool]) -> str | None:
    """What the last product with weights before `name` is made of, as (rows, tokens, features)."""
    while (node := graph.made_by.get(name)) is not None and len(images := graph.data_inputs(node)) == 1:
        if weighted(node):
            hidden = images[0]
            while len(graph.shapes.get(hidden, ())) != 3 and graph.made_by[hidden].op_type in ("Reshape", "Flatten"):
                hidden = graph.data_inputs(graph.made_by[hidden])[0]
            shape = graph.shapes.get(hidden, ())
            return hidden if len(shape) == 3 and shape[0] == graph.rows else None
        name = images[0]
    return None


def _tokens(graph: Graph, block: Block, weighted: Callable[[Any], bool]) -> Tokens | None:
    """Where the patches are in the sequence, by the convolution that makes them and what they are joined with."""
    count = graph.shapes[block.stream][1]
    end = min(graph.order[id(node)] for node in block.weighted)
    before = graph.nodes[:end]
    maps = [
        graph.shapes[node.output[0]][2:]
        for node in before
        if node.op_type == "Conv" and weighted(node) and graph.rank(node.output[0]) == 4
    ]
    if not maps or not 0 < maps[-1][0] * maps[-1][1] <= count:
        return None
    height, width = maps[-1]
    patches = height * width
    first = count - patches
    for node in before:
        sizes = [graph.shapes.get(name, ()) for name in node.input]
        if node.op_type != "Concat" or attribute(node, "axis") not in (1, -2) or any(len(size) != 3 for size in sizes):
            continue
        lengths = [size[1] for size in sizes]
        if sum(lengths) == count and patches in lengths:
            first = sum(lengths[: lengths.index(patches)])
    return Tokens(first, height, width, count - patches - first)
