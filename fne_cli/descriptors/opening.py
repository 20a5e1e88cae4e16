"""A source of features, by its recipe: a network of Keras or in an ONNX file, or hand-crafted features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fne_cli.networks.catalog import is_handcrafted
from fne_cli.networks.kinds import is_onnx
from fne_cli.networks.recipe import Recipe

if TYPE_CHECKING:
    from fne_cli.descriptors.handcrafted import Handcrafted
    from fne_cli.networks.onnx.prepared import PreparedOnnx
    from fne_cli.networks.prepared import Prepared

    Opened = Prepared | PreparedOnnx | Handcrafted


def open_source(recipe: Recipe) -> Opened:
    """The source that a recipe names, in the precision that is chosen now if it leaves that open. Raises BadInput."""
    # Here: an output that is up to date needs no source.
    own = replace(recipe, precision="float32") if recipe.precision == "auto" else recipe
    if is_handcrafted(recipe.model):
        from fne_cli.descriptors.handcrafted import Handcrafted

        return Handcrafted.of(own)
    from fne_cli.networks.opening import prepared

    if recipe.precision != "auto" or is_onnx(recipe.model):  # an ONNX file has its own precision
        return prepared(own)
    from fne_cli.networks.prepared import Prepared
    from fne_cli.networks.running.speed import choose

    choice = choose(recipe)
    source = Prepared.of(replace(recipe, precision=choice.precision))
    told = f"computing in {choice.precision}: here bfloat16 is {choice.times:.2f} times as fast as float32"
    return replace(source, network=replace(source.network, notes=(*source.network.notes, told)))
