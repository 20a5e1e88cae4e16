import numpy as np
import pytest
from sklearn.svm import LinearSVC
from svm_problems import primal, problem

from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.svm.dual import one_vs_rest, solve_dual
from fne_cli.numerics.svm.gram import gram
from fne_cli.numerics.svm.streaming import shuffled, solve_streamed


@pytest.mark.parametrize("kind", ["int8", "packed", "float64", "memory map"])
def test_reaches_the_optimum_of_liblinear(kind, tmp_path):
    codes, labels = problem(rows=400, features=30)
    signs = one_vs_rest(labels, np.arange(5))
    packed = PackedCodes.of(codes)
    packed.positive.tofile(tmp_path / "positive")
    packed.negative.tofile(tmp_path / "negative")
    planes = (np.memmap(tmp_path / name, np.uint8, "r", shape=(400, 4)) for name in ("positive", "negative"))
    rows = {
        "int8": codes,
        "packed": packed,
        "float64": codes.astype(float),
        "memory map": PackedCodes(*planes, 30),
    }[kind]
    found = solve_streamed(shuffled(rows, block_rows=150), signs, 30, 0.1, 1e-6, max_passes=5000)
    peer = LinearSVC(C=0.1, tol=1e-6, dual=True, max_iter=200_000, random_state=0).fit(codes, labels)
    theirs = primal(codes, signs, np.hstack([peer.coef_, peer.intercept_[:, None]]), 0.1)
    np.testing.assert_allclose(found.objective, theirs, rtol=2e-6)
    np.testing.assert_allclose(found.weights, peer.coef_, atol=1e-3)
    assert (found.gap <= 1e-6).all()


def test_certificate_is_of_what_is_returned():
    codes, labels = problem(rows=300, features=40)
    signs = one_vs_rest(labels, np.arange(5))
    found = solve_streamed(shuffled(codes, block_rows=64), signs, 40, 1.0, 1e-2)
    vectors = np.hstack([found.weights, found.intercepts[:, None]])
    exact = (found.alpha * signs) @ np.hstack([codes, np.ones((300, 1))])
    np.testing.assert_allclose(vectors, exact, atol=1e-12)
    np.testing.assert_allclose(found.objective, primal(codes, signs, vectors, 1.0), rtol=1e-12)
    dual = found.alpha.sum(axis=1) - 0.5 * (vectors**2).sum(axis=1) - (found.alpha**2).sum(axis=1) / 4
    np.testing.assert_allclose(found.dual, dual, rtol=1e-10)
    assert (found.alpha >= 0).all()
    assert (found.gap <= 1e-2).all()


def test_agrees_with_the_gram_path_on_a_subset():
    codes, labels = problem(rows=200, features=50)
    signs = one_vs_rest(labels, np.arange(5), np.arange(0, 200, 2))
    direct = solve_streamed(shuffled(codes), signs, 50, 1.0, 1e-5)
    assert (direct.alpha[:, 1::2] == 0).all()
    np.testing.assert_allclose(direct.objective, solve_dual(gram(codes), signs, 1.0, 1e-5).objective, rtol=2e-5)


def test_a_stream_in_a_fixed_order_reads_every_block_once_a_pass():
    codes, labels = problem(rows=300, features=20)
    order = np.argsort(labels, kind="stable")
    read = []

    def blocks(generator):
        for start in range(0, 300, 70):
            read.append(start)
            yield np.arange(start, min(start + 70, 300)), codes[order[start : start + 70]]

    signs = one_vs_rest(labels[order], np.arange(5))
    found = solve_streamed(blocks, signs, 20, 0.1, 1e-4, max_passes=3000)
    assert (found.gap <= 1e-4).all()
    # one look at the type; every pass; two for each certificate
    certificates = (len(read) - 1) / 5 - found.passes.max()
    assert certificates % 2 == 0
    assert 2 <= certificates <= 40


def test_threads_do_not_change_a_bit():
    codes, labels = problem(rows=300, features=40, classes=40)
    signs = one_vs_rest(labels, np.arange(40))
    one, four = (solve_streamed(shuffled(codes), signs, 40, threads=threads) for threads in (1, 4))
    assert (one.weights == four.weights).all()
    assert (one.alpha == four.alpha).all()


def test_says_so_when_it_stops_early():
    codes, labels = problem()
    found = solve_streamed(shuffled(codes), one_vs_rest(labels, np.arange(5)), 60, 10.0, 1e-9, max_passes=2)
    assert (found.passes == 2).all()
    assert (found.gap > 1e-9).all()
