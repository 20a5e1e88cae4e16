"""Steady numbers of rows, for matrix products that treat some rows differently in a known way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fne_cli.networks import graph
from fne_cli.networks.backend import load_keras
from fne_cli.networks.running.steady import dense_kernels, steady_rows


@pytest.fixture(scope="module")
def model() -> Any:
    """A dense layer on each pixel of a map that was built for any size, and one on the pooled map."""
    keras = load_keras()
    images = keras.Input((None, None, 3))
    x = keras.layers.Dense(5, activation="relu")(images)
    x = keras.layers.Dense(7, activation="relu")(keras.layers.GlobalAveragePooling2D()(x))
    return graph.flat(keras.Model(images, x), 4, 6)


def kernel_of(rows_at_once: int) -> Any:
    """A product that computes whole blocks of rows in one way, and the rows left over in another."""

    def product(left: np.ndarray, kernel: Any) -> np.ndarray:
        right = np.asarray(kernel)
        whole = len(left) // rows_at_once * rows_at_once
        return np.concatenate([left[:whole] @ right, np.nextafter(left[whole:] @ right, np.float32(np.inf))])

    return product


def test_dense_layers_on_a_map_have_a_row_for_each_position(model: Any) -> None:
    found = [(positions, tuple(kernel.shape)) for positions, kernel in dense_kernels(model)]
    assert sorted(found) == [(1, (5, 7)), (24, (3, 5))]


@pytest.mark.parametrize(("rows", "rows_at_once", "steady"), [(6, 1, 6), (6, 2, 6), (5, 4, 8), (16, 12, 24), (1, 8, 1)])
def test_rows_are_filled_up_to_whole_blocks(rows: int, rows_at_once: int, steady: int, model: Any) -> None:
    assert steady_rows(model, rows, kernel_of(rows_at_once)) == steady


def test_none_if_no_number_near_is_steady(model: Any) -> None:
    def last_row_differs(left: np.ndarray, kernel: Any) -> np.ndarray:
        return kernel_of(len(left) - 1)(left, kernel)

    assert steady_rows(model, 9, last_row_differs) is None


def test_without_dense_layers_any_number_is_steady() -> None:
    keras = load_keras()
    images = keras.Input((4, 4, 3))
    assert steady_rows(keras.Model(images, keras.layers.Conv2D(2, 1)(images)), 13, kernel_of(8)) == 13
