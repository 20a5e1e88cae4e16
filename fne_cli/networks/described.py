"""What a file says of the taps of a network, of whatever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fne_cli.networks.recipe import Recipe
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.tapping.tapped import Tapped


def settings(
    recipe: Recipe, size: tuple[int, int], taps: Sequence[Tapped], poolings: Sequence[Pooling]
) -> dict[str, Any]:
    """What determines the numbers beside the network itself."""
    return {
        "image_size": list(size),
        "layers": {tap.layer: str(pool) for tap, pool in zip(taps, poolings, strict=True)},
        **recipe.numeric(),
    }


def columns(taps: Sequence[Tapped], poolings: Sequence[Pooling]) -> list[tuple[str, tuple[int, ...], dict[str, str]]]:
    """Name, shape of one row, and description of each tapped layer."""
    return [
        (
            tap.layer,
            pool.row_shape(tap.shape),
            {
                "tap": f"{tap.kind} after {tap.output_of}",
                "output_shape": " x ".join(map(str, tap.shape)),
                "pooling": str(pool),
            },
        )
        for tap, pool in zip(taps, poolings, strict=True)
    ]
