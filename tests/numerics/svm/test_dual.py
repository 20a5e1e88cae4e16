import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.svm import LinearSVC
from svm_problems import primal, problem

from fne_cli.machine import thread_pool
from fne_cli.numerics.svm import dual as module
from fne_cli.numerics.svm.dual import one_vs_rest, solve_dual
from fne_cli.numerics.svm.gram import gram
from fne_cli.numerics.svm.liblinear import objective_and_gap
from fne_cli.numerics.svm.newton import solve_primal
from fne_cli.numerics.svm.solver import LinearModel


def weights(codes, signs, alpha):
    return (alpha * signs) @ np.hstack([codes, np.ones((len(codes), 1))])


def test_two_points_by_hand():
    # x = 1 and -1 with the constant: G = [[2, 0], [0, 2]], and a (2 + 1 / (2C)) = 1
    codes = np.array([[1], [-1]], np.int8)
    found = solve_dual(gram(codes), np.array([[1, -1]], np.int8), cost=0.25, tolerance=1e-9)
    np.testing.assert_allclose(found.alpha, [[0.25, 0.25]], rtol=1e-5)
    np.testing.assert_allclose(found.objective, 0.5 * 0.25 + 0.25 * 2 * 0.25, rtol=1e-6)


@pytest.mark.parametrize("cost", [1e-3, 0.1, 1.0])
def test_reaches_the_optimum_of_liblinear_and_of_lbfgs(cost):
    codes, labels = problem()
    signs = one_vs_rest(labels, np.arange(5))
    found = solve_dual(gram(codes), signs, cost, 1e-6, max_passes=5000)
    peer = LinearSVC(C=cost, tol=1e-6, dual=True, max_iter=200_000, random_state=0).fit(codes, labels)
    theirs = primal(codes, signs, np.hstack([peer.coef_, peer.intercept_[:, None]]), cost)
    np.testing.assert_allclose(found.objective, theirs, rtol=2e-6)
    smooth = minimize(
        lambda w: primal(codes, signs[:1], w[None], cost)[0],
        np.zeros(61),
        method="L-BFGS-B",
        options={"maxfun": 100_000},
    )
    assert found.objective[0] <= smooth.fun * (1 + 1e-6)
    assert found.dual[0] <= smooth.fun


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_the_gap_is_that_of_an_independent_formula(dtype):
    codes, labels = problem()
    signs = one_vs_rest(labels, np.arange(5))
    found = solve_dual(gram(codes, dtype), signs, 0.5, 1e-3)
    vectors = weights(codes, signs, found.alpha)
    np.testing.assert_allclose(found.objective, primal(codes, signs, vectors, 0.5), rtol=1e-10)
    dual = found.alpha.sum(axis=1) - 0.5 * (vectors**2).sum(axis=1) - (found.alpha**2).sum(axis=1) / 2
    np.testing.assert_allclose(found.dual, dual, rtol=1e-10)
    assert (found.alpha >= 0).all()
    assert (found.gap <= 1e-3).all()
    objective, gap = objective_and_gap(LinearModel(np.arange(5), vectors[:, :-1], vectors[:, -1]), codes, labels, 0.5)
    np.testing.assert_allclose(objective, found.objective.sum(), rtol=1e-10)
    # its dual point is another one, so that only the bound is comparable
    assert objective * (1 - gap) <= found.objective.sum()


def test_threads_groups_and_blocks():
    codes, labels = problem(classes=40, rows=300)
    signs, matrix = one_vs_rest(labels, np.arange(40)), gram(codes)
    one, four = (solve_dual(matrix, signs, tolerance=1e-5, threads=threads) for threads in (1, 4))
    assert (one.alpha == four.alpha).all()
    other = solve_dual(matrix, signs, tolerance=1e-5, seed=1)
    assert (other.alpha != one.alpha).any()
    np.testing.assert_allclose(other.objective, one.objective, rtol=2e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 80), st.integers(0, 5))
def test_the_size_of_a_block_does_not_matter(block, seed):
    codes, labels = problem(rows=70, seed=seed)
    signs, matrix = one_vs_rest(labels, np.arange(5)), gram(codes)
    before = module.BLOCK
    try:
        module.BLOCK = block
        found = solve_dual(matrix, signs, 0.1, 1e-6, max_passes=5000)
    finally:
        module.BLOCK = before
    np.testing.assert_allclose(found.objective, solve_dual(matrix, signs, 0.1, 1e-6).objective, rtol=2e-6)


def test_a_subset_is_a_problem_of_its_own():
    codes, labels = problem()
    rows = np.random.default_rng(3).permutation(150)[:90]
    whole = solve_dual(gram(codes), one_vs_rest(labels, np.arange(5), rows), 1.0, 1e-7, max_passes=5000)
    part = solve_dual(gram(codes[rows]), one_vs_rest(labels[rows], np.arange(5)), 1.0, 1e-7, max_passes=5000)
    left_out = np.setdiff1d(np.arange(150), rows)
    assert (whole.alpha[:, left_out] == 0).all()
    np.testing.assert_allclose(whole.objective, part.objective, rtol=1e-6)
    np.testing.assert_allclose(whole.alpha[:, rows], part.alpha, atol=2e-3 * part.alpha.max())
    # and the products are the decision values of the rows that were left out
    vectors = weights(codes[rows], one_vs_rest(labels[rows], np.arange(5)), part.alpha)
    decisions = vectors[:, :-1] @ codes[left_out].T + vectors[:, -1:]
    np.testing.assert_allclose(whole.products[:, left_out], decisions, atol=2e-3)


def test_a_start_is_kept_and_saves_passes():
    codes, labels = problem()
    signs, matrix = one_vs_rest(labels, np.arange(5)), gram(codes)
    first = solve_dual(matrix, signs, 1.0, 1e-5)
    again = solve_dual(matrix, signs, 1.0, 1e-4, start=first)
    assert (again.passes == 0).all()
    assert (again.alpha == first.alpha).all()
    cold, warm = (solve_dual(matrix, signs, 1.5, 1e-5, start=start) for start in (None, first))
    assert warm.passes.mean() < cold.passes.mean()
    np.testing.assert_allclose(warm.objective, cold.objective, rtol=2e-5)
    fold = one_vs_rest(labels, np.arange(5), np.arange(100))
    np.testing.assert_allclose(
        solve_dual(matrix, fold, 1.0, 1e-6, start=first).objective,
        solve_dual(matrix, fold, 1.0, 1e-6).objective,
        rtol=2e-6,
    )


def test_one_cost_per_problem():
    codes, labels = problem()
    signs, matrix = one_vs_rest(labels, np.arange(5))[[0, 0]], gram(codes)
    both = solve_dual(matrix, signs, np.array([0.01, 1.0]), 1e-6)
    for number, cost in enumerate((0.01, 1.0)):
        np.testing.assert_allclose(
            both.objective[number], solve_dual(matrix, signs[:1], cost, 1e-6).objective[0], rtol=2e-6
        )


def test_says_so_when_it_stops_early():
    codes, labels = problem()
    found = solve_dual(gram(codes), one_vs_rest(labels, np.arange(5)), 10.0, 1e-9, max_passes=2)
    assert (found.passes == 2).all()
    assert (found.gap > 1e-9).all()
    assert (found.dual <= found.objective).all()


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_passes_in_float32_are_made_only_where_they_come_to_the_optimum_of_the_float64_matrix(offset):
    values = np.random.default_rng(0)
    labels = values.integers(0, 5, 150)
    rows = values.normal(0, 0.3, (5, 200))[labels] + values.normal(offset, 1, (150, 200))
    signs = one_vs_rest(labels, np.arange(5))
    found = solve_dual(gram(rows), signs, 1.0, 1e-6, max_passes=2000)
    with thread_pool(1) as pool:
        peer = solve_primal(rows, signs, 1.0, 1e-10, pool)
    assert (found.gap <= 1e-6).all()
    np.testing.assert_allclose(found.objective, peer.objective, rtol=2e-6)
    assert (found.dual <= peer.objective * (1 + 1e-12)).all()


def test_passes_go_on_in_float64_where_float32_does_not_come_to_the_optimum(monkeypatch):
    monkeypatch.setattr(module, "ALIKE", np.inf)
    monkeypatch.setattr(module, "PATIENCE", 50)
    values = np.random.default_rng(0)
    labels = values.integers(0, 5, 150)
    rows = values.normal(0, 0.3, (5, 200))[labels] + values.normal(30, 1, (150, 200))
    found = solve_dual(gram(rows), one_vs_rest(labels, np.arange(5)), 1.0, 1e-5, max_passes=2000)
    assert (found.gap <= 1e-5).all()
