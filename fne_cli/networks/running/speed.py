"""How fast a network is on this machine, and in which precision, before any image is read."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.networks.backend import forget
from fne_cli.networks.catalog import Precision, is_handcrafted, known_name
from fne_cli.networks.opening import prepared as opened
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe

_BATCHES = 3
_CANDIDATES: tuple[Precision, ...] = ("float32", "bfloat16")
WORTH = 1.1
"""How many times as fast as float32 bfloat16 has to be: it changes some codes, and a tenth may be chance."""


@dataclass(frozen=True)
class Speed:
    """features: of each tapped layer. row_seconds: of one row in a full batch, decoding not counted."""

    features: dict[str, int]
    row_seconds: float


def measure(recipe: Recipe, prepare: Callable[[Recipe], Any] = opened) -> Speed:
    """Time a few batches of nothing; named networks get random weights, which are as fast. Raises BadInput.

    prepare: what makes a source of the recipe. A file of weights is read, as it says whether there are dense layers.
    """
    named = known_name(recipe.model) is not None and not is_handcrafted(recipe.model)
    drawn = named and not os.path.isfile(recipe.weights or "")
    prepared = prepare(replace(recipe, weights="random") if drawn else recipe)
    features = {name: math.prod(shape) for name, shape, _ in prepared.columns()}
    seconds = _timed(prepared, np.zeros((recipe.batch_rows, *prepared.image_size, 3), np.uint8))
    return Speed(features, min(seconds() for _ in range(_BATCHES)) / recipe.batch_rows)


@dataclass(frozen=True)
class Choice:
    """A precision, and how many times as fast as float32 bfloat16 was."""

    precision: Precision
    times: float


def choose(recipe: Recipe) -> Choice:
    """float32, or bfloat16 where that is clearly faster: a few batches of noise go through both in turn.

    Of a network with a name weights are drawn. Layers get their names as if none of this had been. Raises BadInput.
    """
    tried = replace(recipe, weights="random") if known_name(recipe.model) is not None else recipe
    sources = {name: Prepared.of(replace(tried, precision=name)) for name in _CANDIDATES}
    size = next(iter(sources.values())).image_size
    noise = np.random.default_rng(0).integers(0, 256, (recipe.batch_rows, *size, 3), np.uint8)
    ways = {name: _timed(source, noise) for name, source in sources.items()}
    for seconds in ways.values():
        seconds()  # which compiles
    turns = [{name: seconds() for name, seconds in ways.items()} for _ in range(_BATCHES)]
    plain, brief = (min(turn[name] for turn in turns) for name in _CANDIDATES)
    forget()
    return Choice("bfloat16" if plain >= WORTH * brief else "float32", plain / brief)


def _timed(source: Any, pixels: np.ndarray) -> Callable[[], float]:
    """A function that gives the seconds of one batch."""
    call = source.extractor(lambda text: None)

    def seconds() -> float:
        began = time.perf_counter()
        for output in call(pixels):
            np.asarray(output)
        return time.perf_counter() - began

    return seconds
