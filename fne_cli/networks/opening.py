"""The network that a recipe names, of Keras or in an ONNX file."""

from __future__ import annotations

from fne_cli.networks.kinds import is_onnx
from fne_cli.networks.onnx.prepared import PreparedOnnx
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe


def prepared(recipe: Recipe) -> Prepared | PreparedOnnx:
    """The network of a recipe, made ready. Raises BadInput."""
    return PreparedOnnx.of(recipe) if is_onnx(recipe.model) else Prepared.of(recipe)
