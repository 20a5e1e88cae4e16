"""A source of features, by its recipe: a network, or hand-crafted features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fne_cli.networks.catalog import is_handcrafted
from fne_cli.networks.recipe import Recipe

if TYPE_CHECKING:
    from fne_cli.descriptors.handcrafted import Handcrafted
    from fne_cli.networks.prepared import Prepared


def open_source(recipe: Recipe) -> Prepared | Handcrafted:
    """The source that a recipe names. Raises BadInput."""
    # Here: an output that is up to date needs no source.
    if is_handcrafted(recipe.model):
        from fne_cli.descriptors.handcrafted import Handcrafted

        return Handcrafted.of(recipe)
    from fne_cli.networks.prepared import Prepared

    return Prepared.of(recipe)
