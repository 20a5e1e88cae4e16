"""Products of rows with rows, x_i . x_j + 1: all that the dual problem of a linear SVM needs of the data.

Ternary codes are counted, bit by bit. Of other rows a block of columns at a time becomes floating point, so that they
are never copied whole. Products of integers below 2^24 float32 holds, and adds in any order, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

import numpy as np

from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes, Rows, Words, dense, is_ternary, spans

CONSTANT = 1
"""The square of the constant feature that carries the intercept."""
COLUMNS, TILE, WORD_TILE = 1024, 512, 64
"""Columns that are floating point at a time; rows of a task; rows of a task whose words fit the cache."""


def exact_type(rows: Rows) -> np.dtype[Any]:
    """float32 for integer rows whose products it holds exactly, else float64."""
    if isinstance(rows, PackedCodes):
        largest = 1
    elif rows.dtype.kind in "iub" and rows.size:
        largest = max(int(rows.max()), -int(rows.min()))
    else:
        largest = 0 if rows.dtype.kind in "iub" else 2**12
    return np.dtype(np.float32 if largest**2 * rows.shape[1] + 1 < 2**24 else np.float64)


def gram(rows: Rows, dtype: Any = None, threads: int | None = None, pool: Executor | None = None) -> np.ndarray:
    """(n, n): x_i . x_j + 1 of rows (n, features): int8 or PackedCodes, or floats.

    Default type: float32 and exact for codes, else float64, with |error| <= features * 2^-53 * |x_i| |x_j|.
    Codes of fewer than 32,767 features are exact as int16, too, which takes half the memory.
    With dtype float32 the error of float rows is at most (1024 + features / 1024) * 2^-24 * |x_i| |x_j|.
    Besides the result it takes a quarter of a byte per code, or 1,024 columns of floating point.
    """
    if pool is None:
        with thread_pool(threads) as own:
            return gram(rows, dtype, pool=own)
    out = np.empty((len(rows), len(rows)), exact_type(rows) if dtype is None else dtype)
    counted = is_ternary(rows)
    tile = WORD_TILE if counted else TILE
    tiles = [
        (down, across)
        for down in spans(len(rows), tile)
        for across in spans(len(rows), tile)
        if down.start <= across.start
    ]
    if counted:
        words = Words.of(rows)
        _all(pool, lambda at: words[at[0]].products(words[at[1]], CONSTANT, out[at]), tiles)
    else:
        out[:] = CONSTANT
        for columns in spans(rows.shape[1], COLUMNS):
            _add(out, _block(rows, columns, out.dtype, pool), tiles, pool)
    for down, across in tiles:
        if down != across:
            out[across, down] = out[down, across].T
    return out


def weights_of(rows: Rows, coefficients: np.ndarray, pool: Executor) -> tuple[np.ndarray, np.ndarray]:
    """sum_i c_ki x_i, (k, features), and sum_i c_ki, (k,), of coefficients (k, n): float64."""
    weights = np.empty((len(coefficients), rows.shape[1]))

    def fill(columns: slice) -> None:
        weights[:, columns] = coefficients @ dense(rows, columns, np.float64)

    _all(pool, fill, spans(rows.shape[1], COLUMNS // 4))
    return weights, coefficients.sum(axis=1)


def _add(out: np.ndarray, block: np.ndarray, tiles: list[tuple[slice, slice]], pool: Executor) -> None:
    def add(tile: tuple[slice, slice]) -> None:
        out[tile] += block[tile[0]] @ block[tile[1]].T

    _all(pool, add, tiles)


def _block(rows: Rows, columns: slice, dtype: Any, pool: Executor) -> np.ndarray:
    out = np.empty((len(rows), columns.stop - columns.start), dtype)

    def fill(part: slice) -> None:
        out[part] = dense(rows[part], columns, dtype)

    _all(pool, fill, spans(len(rows), TILE))
    return out


def _all(pool: Executor, task: Callable[[Any], None], items: Iterable[Any]) -> None:
    for _ in pool.map(task, items):
        pass
