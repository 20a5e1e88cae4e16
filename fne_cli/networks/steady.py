"""How many rows a batch needs so that a row gets the same bits wherever it stands in the batch.

Convolutions compute image by image. A dense layer is one matrix product over the whole batch, and a processor's kernels
may treat the last few of, say, 20 rows differently from the first twelve: the same image then differs in its last bit
when it moves to another place, as it does when an extraction is cut into shards. Which numbers of rows are free of this
depends on the machine's instruction set and its number of cores, so it is tried, on the layers' own shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fne_cli.networks import graph

if TYPE_CHECKING:
    import keras

_FURTHER = 16
_PERIOD = 65_521  # a prime, and so no layer's width: drawing 100 million numbers for VGG16 would take seconds


def steady_rows(model: keras.Model, rows: int, product: Callable[[Any, Any], Any]) -> int | None:
    """The smallest number of rows, `rows` or a few more, for which every dense layer of `model` is steady.

    product: the matrix product as the network's backend computes it. None if none of the numbers tried will do.
    """
    shapes = dense_shapes(model)
    for candidate in range(rows, rows + _FURTHER + 1):
        if candidate == 1 or all(_is_steady(candidate, *shape, product) for shape in shapes):
            return candidate
    return None


def dense_shapes(model: keras.Model) -> list[tuple[int, int, int]]:
    """The distinct (positions, inputs, outputs) of the dense layers: `positions` rows of the product for each image."""
    import keras

    found: dict[tuple[int, int, int], None] = {}
    for call in graph.calls(model):
        if isinstance(call.operation, keras.layers.Dense):
            inputs = call.input_tensors[0].shape
            found[(math.prod(inputs[1:-1]), int(inputs[-1]), int(call.operation.units))] = None
    return list(found)


def _is_steady(rows: int, positions: int, inputs: int, outputs: int, product: Callable[[Any, Any], Any]) -> bool:
    values = np.random.default_rng(0)
    left = values.standard_normal((rows, positions * inputs), np.float32)
    right = np.resize(values.standard_normal(_PERIOD, np.float32), (inputs, outputs))

    def multiplied(images: np.ndarray) -> np.ndarray:
        return np.asarray(product(images.reshape(-1, inputs), right)).reshape(rows, -1)

    straight = multiplied(left)
    for shift in (1, rows // 2, rows - 1):
        if not np.array_equal(np.roll(multiplied(np.roll(left, shift, axis=0)), -shift, axis=0), straight):
            return False
    return True
