"""A network in two: what below its first learning layer is a fixed function, and what learns.

The fixed part may be computed once for each image. The cut runs through all branches: every tensor that crosses it is
an output of the first part and an input of the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fne_cli.networks import graph

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Cut:
    """The fixed part, and the rest as a model of its outputs."""

    fixed: keras.Model
    learning: keras.Model

    @property
    def shapes(self) -> list[tuple[tuple[int, ...], str]]:
        """Shape for one image, and type, of each tensor between them."""
        return [(tuple(tensor.shape[1:]), str(tensor.dtype)) for tensor in self.fixed.outputs]


def cut(model: keras.Model, logits: Any) -> Cut | None:
    """Cut a network before its first layer that learns or is random in training; None if nothing is fixed."""
    import keras

    nodes = graph.calls(model)
    order = {id(operation): number for number, operation in enumerate(model.operations)}
    fixed = {id(tensor): tensor for tensor in model.inputs}
    for node in sorted(nodes, key=lambda node: order[id(node.operation)]):
        if all(id(tensor) in fixed for tensor in node.input_tensors) and not _changes(node.operation):
            fixed |= {id(tensor): tensor for tensor in node.output_tensors}
    crossing = {
        id(tensor): tensor
        for node in nodes
        if not all(id(tensor) in fixed for tensor in node.output_tensors)
        for tensor in node.input_tensors
        if id(tensor) in fixed
    }
    inputs = {id(tensor) for tensor in model.inputs}
    if not crossing or crossing.keys() <= inputs:
        return None
    between = list(crossing.values())
    return Cut(keras.Model(model.inputs, between), keras.Model(between, logits))


def _changes(operation: Any) -> bool:
    """Whether an operation learns, or is another one in training."""
    if getattr(operation, "trainable_variables", None):
        return True
    kind = type(operation).__name__
    return hasattr(operation, "seed_generator") or "Dropout" in kind or kind.startswith(("Random", "Gaussian"))
