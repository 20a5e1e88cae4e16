"""How fast a network is on this machine, before any image is read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.networks.catalog import is_handcrafted, known_name
from fne_cli.networks.opening import prepared as opened
from fne_cli.networks.recipe import Recipe

_BATCHES = 3


@dataclass(frozen=True)
class Speed:
    """features: of each tapped layer. row_seconds: of one row in a full batch, decoding not counted."""

    features: dict[str, int]
    row_seconds: float


def measure(recipe: Recipe, prepare: Callable[[Recipe], Any] = opened) -> Speed:
    """Time a few batches of nothing; named networks get random weights, which are as fast. Raises BadInput.

    prepare: what makes a source of the recipe.
    """
    named = known_name(recipe.model) is not None and not is_handcrafted(recipe.model)
    prepared = prepare(replace(recipe, weights="random") if named else recipe)
    features = {name: math.prod(shape) for name, shape, _ in prepared.columns()}
    call = prepared.extractor(lambda text: None)
    pixels = np.zeros((recipe.batch_rows, *prepared.image_size, 3), np.uint8)
    times = []
    for _ in range(_BATCHES):
        began = time.perf_counter()
        for output in call(pixels):
            np.asarray(output)
        times.append(time.perf_counter() - began)
    return Speed(features, min(times) / recipe.batch_rows)
