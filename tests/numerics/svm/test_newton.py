"""Newton's method on the primal: the optimum by SciPy's own minimiser, in benign and nasty problems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fne_cli.machine import thread_pool
from fne_cli.numerics.svm.newton import solve_primal


def primal(plane, rows, sign, cost):
    slack = np.maximum(0, 1 - sign * (rows @ plane[:-1] + plane[-1])) * (sign != 0)
    gradient = plane - 2 * cost * np.append((sign * slack) @ rows, (sign * slack).sum())
    return 0.5 * plane @ plane + cost * slack @ slack, gradient


def solved(rows, signs, cost, tolerance=1e-10):
    with thread_pool(2) as pool:
        return solve_primal(rows, signs, cost, tolerance, pool)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-4, 0.1, 1.0, 100.0]), st.sampled_from([0.0, 1.0, 30.0]))
def test_the_minimum_is_scipys(seed, cost, offset):
    values = np.random.default_rng(seed)
    rows = values.normal(offset, 10.0 ** values.uniform(-2, 1, 6), (60, 6))
    rows[:, 5] = 0.0
    rows[30:40] = rows[:10]
    signs = np.where(values.random((3, 60)) < 0.3, 1, -1).astype(np.int8)
    signs[1, values.integers(0, 60, 9)] = 0
    signs[2] = -1
    found = solved(rows, signs, cost)
    assert (found.gap <= 1e-10).all()
    assert (found.alpha >= 0).all()
    assert (found.alpha[signs == 0] == 0).all()
    for number, sign in enumerate(signs):
        plane = np.append(found.weights[number], found.intercepts[number])
        value, gradient = primal(plane, rows, sign, cost)
        assert found.objective[number] == pytest.approx(value, rel=1e-9)
        peer = minimize(primal, plane, (rows, sign, cost), jac=True, method="L-BFGS-B", options={"gtol": 1e-12})
        assert peer.fun >= value * (1 - 1e-9)
        assert np.abs(gradient).max() <= 1e-3 * (1 + cost * np.abs(rows).sum())


def test_separable_classes_and_codes():
    rows = np.array([[1, 0], [1, 1], [-1, 0], [-1, -1]], np.int8)
    found = solved(rows, np.array([[1, 1, -1, -1]], np.int8), 1e6)
    assert (found.weights[0] @ rows.T * [1, 1, -1, -1] > 0.999).all()
    assert found.passes.max() < 20


def test_the_number_of_threads_does_not_matter():
    values = np.random.default_rng(0)
    rows, signs = values.normal(0, 1, (500, 40)), np.where(values.random((9, 500)) < 0.2, 1, -1).astype(np.int8)
    results = []
    for threads in (1, 4):
        with thread_pool(threads) as pool:
            results.append(solve_primal(rows, signs, 1.0, 1e-6, pool).weights)
    assert (results[0] == results[1]).all()
