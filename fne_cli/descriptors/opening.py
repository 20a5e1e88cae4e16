"""A source of features, by its recipe: a network of Keras or in an ONNX file, or hand-crafted features."""

from __future__ import annotations

from fne_cli.descriptors.handcrafted import Handcrafted
from fne_cli.networks.catalog import is_handcrafted
from fne_cli.networks.onnx.prepared import PreparedOnnx
from fne_cli.networks.opening import prepared
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe

Opened = Prepared | PreparedOnnx | Handcrafted


def open_source(recipe: Recipe) -> Opened:
    """The source that a recipe names. Raises BadInput."""
    return Handcrafted.of(recipe) if is_handcrafted(recipe.model) else prepared(recipe)
