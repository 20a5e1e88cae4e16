"""The weight layers of a network in order, and copying the first of them into another network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks import graph
from fne_cli.networks.tapping.taps import is_weighted

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class WeightLayer:
    """A convolutional or dense layer, and the layers with weights that belong to it: normalisation, scales.

    `members` has all of them in the order of the network, the layer itself among them.
    """

    name: str
    members: list[Any] = field(default_factory=list)

    def variables(self) -> list[tuple[str, Any]]:
        """(LAYER.weight, variable) of each weight."""
        return [(f"{graph.name_of(one)}.{weight.name}", weight) for one in self.members for weight in one.weights]


def weight_layers(model: keras.Model) -> list[WeightLayer]:
    """The weight layers of a flat model, in the order of `fne layers`. What comes before the first belongs to it."""
    found: list[WeightLayer] = []
    before: list[Any] = []
    for layer in model.layers:
        if is_weighted(layer):
            found.append(WeightLayer(graph.name_of(layer), [*before, layer]))
            before = []
        elif layer.weights:
            (found[-1].members if found else before).append(layer)
    return found


def named(layers: list[WeightLayer]) -> str:
    """The layers with their numbers, for an error."""
    return ", ".join(f"{number} {layer.name}" for number, layer in enumerate(layers, start=1))


def copy_first(source: list[WeightLayer], target: list[WeightLayer], count: int, origin: str) -> None:
    """Give the first `count` layers of `target` the weights of those of `source`.

    Raises BadInput before anything is changed: for fewer layers than that, naming them, and for one of another shape.
    """
    for layers, whose in ((source, origin), (target, "the network to train")):
        if count > len(layers):
            raise BadInput(
                f"--copy should be at most {len(layers)}, the weight layers of {whose} before its classifier: "
                f"{named(layers)}. Found: {count}."
            )
    pairs: list[tuple[tuple[str, Any], tuple[str, Any]]] = []
    for number, (ours, theirs) in enumerate(zip(target[:count], source[:count], strict=True), start=1):
        here, there = ours.variables(), theirs.variables()
        if [tuple(one.shape) for _, one in here] != [tuple(one.shape) for _, one in there]:
            apart = [
                f"{name} {_by(one)} there, {other} {_by(another)} here"
                for (name, one), (other, another) in zip(there, here, strict=False)
                if tuple(one.shape) != tuple(another.shape)
            ] or [f"{len(there)} weights there, {len(here)} here"]
            raise BadInput(
                f"Weight layer {number} of {origin} should have the shapes of the network to train. Found: "
                f"{'; '.join(apart)}.\nTake --copy {number - 1} or less, or a --model like the one of --from."
            )
        pairs += zip(here, there, strict=True)
    for (_, variable), (_, value) in pairs:
        variable.assign(value)


def _by(variable: Any) -> str:
    return " x ".join(map(str, variable.shape)) or "a number"
