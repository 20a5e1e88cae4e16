"""A symmetric matrix as a band between reflections, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from fne_cli.machine import thread_pool
from fne_cli.numerics.ridge import band
from fne_cli.numerics.ridge.band import Band


def matrix_of(side: int, rank: int, seed: int = 0) -> np.ndarray:
    """Symmetric, of values from 0 to about 4."""
    factors = np.random.default_rng(seed).normal(0, 1, (side, rank))
    return factors @ factors.T / max(side, rank)


def band_of(matrix: np.ndarray, threads: int = 2) -> Band:
    with thread_pool(threads) as pool:
        return Band.of(matrix.copy(), pool)


def whole(found: Band) -> np.ndarray:
    out = np.zeros((len(found.turned),) * 2)
    ends = np.cumsum([len(block) for block in found.diagonal])
    for number, (end, block) in enumerate(zip(ends, found.diagonal, strict=True)):
        here = slice(end - len(block), end)
        out[here, here] = block
        if number:
            below = found.below[number - 1]
            columns = slice(here.start - below.shape[1], here.start)
            out[here, columns][: len(below)] = below
            out[columns, here] = out[here, columns].T
    return out


@pytest.mark.parametrize("width", [5, 64])
@pytest.mark.parametrize(("side", "rank"), [(1, 1), (2, 2), (6, 9), (64, 80), (65, 80), (200, 300), (200, 7), (128, 0)])
def test_the_matrix_comes_back(monkeypatch, width, side, rank):
    monkeypatch.setattr(band, "WIDTH", width)
    matrix = matrix_of(side, rank)
    found = band_of(matrix)
    np.testing.assert_allclose(found.turned @ found.turned.T, np.eye(side), atol=1e-13)
    between = whole(found)
    np.testing.assert_allclose(found.turned.T @ between @ found.turned, matrix, atol=1e-13)
    apart = np.abs(np.subtract.outer(np.arange(side), np.arange(side)))
    assert not between[apart > width].any()


@pytest.mark.parametrize(("side", "rank"), [(1, 1), (63, 90), (150, 20), (150, 400)])
@pytest.mark.parametrize("penalty", [1e-4, 1.0])
def test_systems_with_a_penalty_are_those_of_the_matrix(side, rank, penalty):
    matrix, right = matrix_of(side, rank), np.random.default_rng(1).normal(0, 1, (side, 3))
    found = band_of(matrix)
    factored = found.plus(penalty)
    half = factored.forward(found.turned @ right)
    wanted = np.linalg.solve(matrix + penalty * np.eye(side), right)
    np.testing.assert_allclose(found.turned.T @ factored.backward(half), wanted, rtol=1e-8, atol=1e-8 / penalty)
    np.testing.assert_allclose(half.T @ half, right.T @ wanted, rtol=1e-8)


def test_threads_change_nothing():
    matrix = matrix_of(600, 700)
    one, three = (band_of(matrix, threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.turned, three.turned)
    np.testing.assert_array_equal(whole(one), whole(three))
