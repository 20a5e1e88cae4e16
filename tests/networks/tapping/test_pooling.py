"""Pooling against NumPy, and grids against the definition of their cells."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.networks.tapping.pooling import Pooling, pooling_of
from fne_cli.networks.tapping.taps import Tap

load_keras()

REDUCE = {"avg": np.mean, "max": np.max}


def maps(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def cell(length: int, grid: int, number: int) -> list[int]:
    """The pixels of a side that share more than an edge with the given part of it: an independent definition."""
    start, end = Fraction(number * length, grid), Fraction((number + 1) * length, grid)
    return [pixel for pixel in range(length) if min(pixel + 1, end) > max(pixel, start)]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["avg", "max"]),
    grid=st.integers(1, 5),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 18)),
)
def test_grids_are_row_by_row_and_channels_last(kind: Any, grid: int, shape: tuple[int, ...]) -> None:
    values = maps(*shape)
    _, height, width, channels = shape
    expected = np.stack(
        [
            REDUCE[kind](values.astype(float)[:, cell(height, grid, row)][:, :, cell(width, grid, column)], axis=(1, 2))
            for row in range(grid)
            for column in range(grid)
        ],
        axis=1,
    ).reshape(shape[0], -1)
    pooling = Pooling(kind, grid)
    np.testing.assert_allclose(np.asarray(pooling(values)), expected, rtol=1e-5, atol=1e-6)
    assert pooling.row_shape(shape[1:]) == (grid * grid * channels,)


@pytest.mark.parametrize("grid", [2, 3, 7])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_grids_are_those_of_adaptive_pooling(kind: Any, grid: int) -> None:
    import keras

    values = maps(2, 14, 11, 5)
    layers = {"avg": keras.layers.AdaptiveAveragePooling2D, "max": keras.layers.AdaptiveMaxPooling2D}
    expected = np.asarray(layers[kind](grid, data_format="channels_last")(values)).reshape(2, -1)
    np.testing.assert_allclose(np.asarray(Pooling(kind, grid)(values)), expected, rtol=1e-5, atol=1e-6)


def test_a_map_of_known_values() -> None:
    values = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    assert np.asarray(Pooling("avg")(values)).tolist() == [[3, 4]]
    assert np.asarray(Pooling("max")(values)).tolist() == [[6, 7]]
    assert np.asarray(Pooling("avg", 2)(values)).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_negative_maps_keep_their_maxima() -> None:
    np.testing.assert_array_equal(np.asarray(Pooling("max", 2)(np.full((1, 3, 3, 3), -2, np.float32))), [[-2] * 12])


def test_none_keeps_the_map_and_dense_outputs_are_never_pooled() -> None:
    values = maps(2, 3, 4, 5)
    np.testing.assert_array_equal(np.asarray(Pooling("none")(values)), values)
    assert Pooling("none").row_shape((3, 4, 5)) == (3, 4, 5)
    for pooling in (Pooling("avg"), Pooling("max", 3), Pooling("none")):
        np.testing.assert_array_equal(np.asarray(pooling(values[:, 0, 0])), values[:, 0, 0])
        assert pooling.row_shape((5,)) == (5,)


def test_sums_of_16_bit_maps_are_taken_in_32_bits() -> None:
    values = np.full((1, 100, 100, 1), 12, np.float16)  # the sum is beyond float16
    values[0, 0, 0, 0] = 32
    pooled = np.asarray(Pooling("avg")(values))
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, [[12.002]], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "pooling"),
    [
        ("avg", Pooling("avg")),
        ("max:3", Pooling("max", 3)),
        ("avg:1", Pooling("avg")),
        ("none", Pooling("none")),
        ("cls+mean", Pooling("cls+mean")),
    ],
)
def test_parse(text: str, pooling: Pooling) -> None:
    assert Pooling.parse(text) == pooling
    assert Pooling.parse(str(pooling)) == pooling


@pytest.mark.parametrize(
    "text", ["", "mean:2", "cls+max", "avg:0", "avg:-1", "avg:100", "avg:2.5", "none:2", "AVG", "avg\n", "avg:²"]
)
def test_other_poolings_are_errors(text: str) -> None:
    with pytest.raises(BadInput) as error:
        Pooling.parse(text)
    told = "--pool should be avg, max, avg:2, max:3 ... or none; of transformers also cls, mean or cls+mean. Found: "
    assert str(error.value) == f"{told}{text!r}."


TAPS = [Tap(name, "Conv2D", name, None) for name in ("block1_conv1", "block5_conv1", "block5_conv2", "fc")]


@pytest.mark.parametrize(
    ("rules", "poolings"),
    [
        ((), "avg avg avg avg"),
        (("max",), "max max max max"),
        (("block5*=avg:2",), "avg avg:2 avg:2 avg"),
        (("max", "block5*=avg:2", "*conv2=none"), "max avg:2 none max"),
        (("block5*=avg:2", "max"), "max max max max"),
    ],
)
def test_the_last_rule_that_fits_a_layer_counts(rules: tuple[str, ...], poolings: str) -> None:
    assert " ".join(map(str, pooling_of(TAPS, rules))) == poolings


def test_a_rule_for_no_layer_is_an_error() -> None:
    with pytest.raises(BadInput) as error:
        pooling_of(TAPS[:2], ("max", "fc*=avg:2"))
    assert str(error.value) == "--pool 'fc*=avg:2' should name layers that are tapped. None matches 'fc*'."
