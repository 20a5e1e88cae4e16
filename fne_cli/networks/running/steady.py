"""How many rows a batch needs so that a row gets the same bits wherever it stands in the batch.

Convolutions compute image by image (oneDNN's do; Extractor says when it is off). A dense layer is one matrix product
over the whole batch, and a processor's kernels may treat the last few of, say, 20 rows differently from the first
twelve: the same image then differs in its last bit when it moves to another place, as it does when an extraction is cut
into shards. Which numbers of rows are free of this depends on the machine's instruction set and its number of cores, so
it is tried, on the layers' own weights.
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


def steady_rows(model: keras.Model, rows: int, product: Callable[[Any, Any], Any]) -> int | None:
    """The smallest number of rows, `rows` or a few more, for which every dense layer of `model` is steady.

    product: of a NumPy matrix and a layer's kernel, as the network's backend computes it. None if none of the numbers
    tried will do.
    """
    kernels = dense_kernels(model)
    for candidate in range(rows, rows + _FURTHER + 1):
        if candidate == 1 or all(_is_steady(candidate, *kernel, product) for kernel in kernels):
            return candidate
    return None


def dense_kernels(model: keras.Model) -> list[tuple[int, Any]]:
    """(positions, kernel) of the dense layers, one of each shape: `positions` rows of the product for each image."""
    import keras

    found = {}
    for call in graph.calls(model):
        dense = getattr(call.operation, "layer", call.operation)  # perhaps in a wrapper
        if isinstance(dense, keras.layers.Dense):
            *places, inputs = call.input_tensors[0].shape[1:]
            positions, shape = math.prod(places), (inputs, dense.units)
            # The kernel of a quantised layer is packed; any other of its shape tells as much.
            packed = graph.is_quantised(dense)
            kernel = np.random.default_rng(0).standard_normal(shape, np.float32) if packed else dense.kernel
            found[positions, shape] = (positions, kernel)
    return list(found.values())


def _is_steady(rows: int, positions: int, kernel: Any, product: Callable[[Any, Any], Any]) -> bool:
    inputs = kernel.shape[0]
    left = np.random.default_rng(0).standard_normal((rows, positions * inputs), np.float32)

    def multiplied(images: np.ndarray) -> np.ndarray:
        return np.asarray(product(images.reshape(-1, inputs), kernel)).reshape(rows, -1)

    straight = multiplied(left)
    for shift in (1, rows // 2, rows - 1):
        if not np.array_equal(np.roll(multiplied(np.roll(left, shift, axis=0)), -shift, axis=0), straight):
            return False
    return True
