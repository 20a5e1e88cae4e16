"""The blocks of a transformer in a flat graph of Keras: attention and MLP, each added to the stream of tokens."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fne_cli.networks import graph
from fne_cli.networks.tapping import taps
from fne_cli.networks.tapping.taps import Tap
from fne_cli.networks.tapping.tokens import Tokens

if TYPE_CHECKING:
    import keras

_FAR = 200  # layers between two sums; real blocks have a dozen


@dataclass(frozen=True)
class _Block:
    """The call of its attention, the tensor that its MLP's last layer is given, the two sums, its dense layers."""

    attention: Any
    hidden: Any
    stream: Any
    dense: list[Any]


class _Graph:
    def __init__(self, model: keras.Model) -> None:
        self.calls = _in_order(model)
        self.order = {id(call): number for number, call in enumerate(self.calls)}
        self._users: dict[int, list[Any]] = defaultdict(list)
        for call in self.calls:
            for tensor in {id(tensor): tensor for tensor in call.input_tensors}.values():
                self._users[id(tensor)].append(call)

    def users(self, tensor: Any) -> list[Any]:
        """The calls that are given a tensor."""
        return self._users[id(tensor)]

    def sum_after(self, call: Any) -> Any:
        """The call that adds a call's output to something else; None if there is none, or another layer in between."""
        while True:
            tensor, users = call.output_tensors[0], self.users(call.output_tensors[0])
            if len(users) != 1 or users[0].output_tensors[0].shape != tensor.shape:
                return None
            call = users[0]
            if _adds(call):
                return call
            if len(call.input_tensors) != 1 or taps.is_weighted(call.operation):
                return None

    def between(self, end: Any, start: Any) -> list[Any] | None:
        """The calls on all ways back from `end` to `start`; None if a way does not lead there, or only itself."""
        found: dict[int, Any] = {}
        ahead = [end]
        while ahead:
            tensor = ahead.pop()
            if tensor is start:
                continue
            call = graph.call_of(tensor)
            if not call.input_tensors or len(found) > _FAR:
                return None
            if id(call) not in found:
                found[id(call)] = call
                ahead += call.input_tensors
        return sorted(found.values(), key=lambda call: self.order[id(call)])


def _in_order(model: keras.Model) -> list[Any]:
    """All calls, by how far they are behind the images."""
    found = graph.calls(model)
    depth: dict[int, int] = {}
    ahead = list(found)
    while ahead:
        call = ahead[-1]
        before = {id(one): one for one in map(graph.call_of, call.input_tensors)}
        missing = [one for key, one in before.items() if key not in depth]
        ahead += missing
        if not missing:
            depth[id(call)] = 1 + max((depth[key] for key in before), default=0)
            ahead.pop()
    places = {id(operation): number for number, operation in enumerate(model.operations)}
    return sorted(found, key=lambda call: (depth[id(call)], places[id(call.operation)]))


def find_taps(model: keras.Model, grid: tuple[int, int]) -> list[Tap]:
    """As taps.find_taps, with three taps of each block and its dense layers aside.

    grid: rows and columns of the patches that an image is cut into. Of a block: `attention`, what it adds to the
    stream, before that is scaled; `mlp`, the hidden layer after its activation; `stream`, what goes to the next block.
    """
    layers = taps.find_taps(model)
    own = _Graph(model)
    found = _blocks(own)
    if not found:
        return layers
    inner = {graph.name_of(call.operation) for block in found for call in block.dense}
    placed = [(own.order[id(graph.call_of(tap.tensor))], replace(tap, in_block=tap.layer in inner)) for tap in layers]
    for number, block in enumerate(found, start=1):
        prefix = _name(block, number)
        for what, kind, tensor in (
            ("attention", "Attention", block.attention.output_tensors[0]),
            ("mlp", "MLP", block.hidden),
            ("stream", "Block", block.stream),
        ):
            call = graph.call_of(tensor)
            shown = _shown(call.operation)
            tap = Tap(f"{prefix}.{what}", kind, shown, tensor, tokens=_tokens(tensor, grid))
            placed.append((own.order[id(call)], tap))
    # The layer that makes an MLP's hidden values is that part by another name.
    ordered = [tap for _, tap in sorted(placed, key=lambda one: one[0])]
    parts = {id(tap.tensor) for tap in ordered if tap.tokens is not None}
    return [tap for tap in ordered if tap.tokens is not None or id(tap.tensor) not in parts]


def left_out(model: keras.Model, found: Sequence[Tap]) -> list[tuple[str, str]]:
    """As taps.left_out, of the taps that find_taps found: without what is in them by another name."""
    tapped = {id(block.attention.operation) for block in _blocks(_Graph(model))}
    whole = {graph.name_of(operation) for operation in model.operations if id(operation) in tapped}
    left = [
        (name, reason)
        for name, reason in taps.left_out(model)
        if name not in whole
        and not reason.endswith("LayerScale")
        and not any(tap.layer.startswith(f"{name}.") for tap in found)
    ]
    return [*((tap.layer, tap.aside) for tap in found if tap.in_block), *left]


def _blocks(own: _Graph) -> list[_Block]:
    found = []
    for call in own.calls:
        if "Attention" not in type(call.operation).__name__ or len(call.output_tensors[0].shape) != 3:
            continue
        first = own.sum_after(call)
        block = None if first is None else _from_sum(own, call, first.output_tensors[0])
        if block is not None:
            found.append(block)
    return found


def _from_sum(own: _Graph, attention: Any, middle: Any) -> _Block | None:
    """The block whose stream is `middle` after its attention."""
    for call in own.users(middle):
        if not _adds(call):
            continue
        (other,) = [tensor for tensor in call.input_tensors if tensor is not middle] or [None]
        inner = None if other is None else own.between(other, middle)
        dense = [one for one in inner or [] if taps.is_weighted(one.operation)]
        if dense:
            return _Block(attention, dense[-1].input_tensors[0], call.output_tensors[0], dense)
    return None


def _adds(call: Any) -> bool:
    return type(call.operation).__name__ == "Add" and len({id(tensor) for tensor in call.input_tensors}) == 2


def _name(block: _Block, number: int) -> str:
    """What the names of a block's layers have in common, or its number."""
    names = [graph.name_of(call.operation).split(".") for call in (block.attention, *block.dense)]
    common = []
    for words in zip(*names, strict=False):
        if len(set(words)) > 1:
            break
        common.append(words[0])
    return ".".join(common) or f"block{number}"


def _shown(operation: Any) -> str:
    """A layer's name; of a function its kind, as what Keras calls it is a number that depends on what was before."""
    import keras

    return graph.name_of(operation) if isinstance(operation, keras.layers.Layer) else type(operation).__name__


def _tokens(tensor: Any, grid: tuple[int, int]) -> Tokens | None:
    """Where the patches are: behind the class token and the registers, as all of KerasHub's networks have it."""
    before = int(tensor.shape[1]) - math.prod(grid)
    return Tokens(before, *grid) if before >= 0 else None
