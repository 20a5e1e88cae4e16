"""Coordinate descent on rows: the steps of that on their Gram matrix, and the optimum of Newton's method."""

from __future__ import annotations

import numpy as np
import pytest
from svm_problems import problem

from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.embedding.l2 import unit_rows
from fne_cli.numerics.svm.dual import groups_of, one_vs_rest, solve_dual
from fne_cli.numerics.svm.gram import gram
from fne_cli.numerics.svm.newton import solve_primal
from fne_cli.numerics.svm.rows import prepared, solve_rows
from fne_cli.numerics.svm.solver import solve


def solved(rows, signs, cost=1.0, tolerance=1e-5, threads=2, **options):
    costs = np.full(len(signs), cost)
    with thread_pool(threads) as pool:
        return solve_rows(prepared(rows), signs, costs, tolerance, groups_of(len(signs)), pool, **options)


def overlapping(classes=40, count=600, features=30):
    values = np.random.default_rng(5)
    labels = values.integers(0, classes, count)
    centres = values.normal(0, 0.4, (classes, features))
    rows = unit_rows(centres[labels] + values.normal(0, 1, (count, features))).astype(np.float32)
    return rows, one_vs_rest(labels, np.unique(labels))


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
def test_no_row_that_would_move_is_passed_over(cost):
    rows, signs = overlapping()
    signs[3, :20] = 0
    found = solved(rows, signs, cost, 1e-8, max_passes=60)
    # of the Gram matrix every row is looked at in every pass, in float64 at such a tolerance
    peer = solve_dual(gram(rows), signs, cost, 1e-8, max_passes=60)
    assert (found.passes == peer.passes).all()
    np.testing.assert_allclose(found.alpha, peer.alpha, rtol=1e-6, atol=1e-9 * peer.alpha.max())


def test_the_optimum_is_that_of_newtons_method():
    rows, signs = overlapping()
    found = solved(rows, signs, 1.0, 1e-6, max_passes=5000)
    with thread_pool(2) as pool:
        peer = solve_primal(rows, signs, 1.0, 1e-10, pool)
    assert (found.gap <= 1e-6).all()
    np.testing.assert_allclose(found.objective, peer.objective, rtol=2e-6)
    assert (found.objective >= peer.objective * (1 - 1e-12)).all()


def test_the_certificate_is_that_of_the_hyperplanes():
    rows, signs = overlapping()
    found = solved(rows, signs, 2.0)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(found.weights, (found.alpha * signs) @ exact, atol=1e-10)
    np.testing.assert_allclose(found.intercepts, (found.alpha * signs).sum(axis=1), atol=1e-10)
    norm = (found.weights**2).sum(axis=1) + found.intercepts**2
    slack = np.maximum(0, 1 - signs * (found.weights @ exact.T + found.intercepts[:, None]))
    np.testing.assert_allclose(found.objective, 0.5 * norm + 2.0 * (slack**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        found.dual, found.alpha.sum(axis=1) - 0.5 * norm - (found.alpha**2).sum(axis=1) / 8.0, rtol=1e-12
    )


def test_threads_do_not_matter_and_codes_may_be_packed():
    rows, signs = overlapping()
    one, three = (solved(rows, signs, threads=threads, seed=7) for threads in (1, 3))
    assert (one.weights == three.weights).all()
    assert (one.passes == three.passes).all()
    codes, labels = problem(rows=300, features=60)
    signs = one_vs_rest(labels, np.unique(labels))
    assert (solved(codes, signs).weights == solved(PackedCodes.of(codes), signs).weights).all()


def test_passes_end():
    rows, signs = overlapping()
    found = solved(rows, signs, 1e4, 1e-9, max_passes=3)
    assert (found.passes == 3).all()
    assert (found.gap > 1e-9).all()
    assert (found.dual <= found.objective).all()


def test_rows_of_float64_are_not_rounded():
    values = np.random.default_rng(5)
    labels = values.integers(0, 4, 200)
    rows = values.normal(0, 1, (200, 40)) + np.eye(4)[labels] @ values.normal(0, 1, (4, 40))
    rows[:, 0] += 1e6
    found = solve(rows, labels, 1e-3, path="rows")
    decisions = rows @ found.model.weights.T + found.model.intercepts
    slack = np.maximum(0, 1 - np.where(labels[:, None] == np.arange(4), 1, -1) * decisions)
    norm = (found.model.weights**2).sum(axis=1) + found.model.intercepts**2
    np.testing.assert_allclose(found.objective, 0.5 * norm + 1e-3 * (slack**2).sum(axis=0), rtol=1e-9)
