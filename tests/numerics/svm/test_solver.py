import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.svm import LinearSVC
from svm_problems import problem

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.embedding.l2 import unit_rows
from fne_cli.numerics.evaluation.protocols import stratified_folds
from fne_cli.numerics.svm.gram import gram
from fne_cli.numerics.svm.liblinear import fit_liblinear, objective_and_gap
from fne_cli.numerics.svm.problem import cross_validate
from fne_cli.numerics.svm.solver import LinearModel, estimate, solve


@pytest.mark.parametrize("path", ["gram", "rows", "direct", "newton"])
@pytest.mark.parametrize("classes", [2, 5])
def test_solution_is_liblinears(path, classes):
    codes, labels = problem(classes=classes)
    found = solve(codes, labels, 0.1, 1e-6, path=path, max_passes=5000)
    reference, _ = fit_liblinear(codes, labels, 0.1)
    objective, gap = objective_and_gap(found.model, codes, labels, 0.1)
    assert found.path == path
    assert found.total_objective == pytest.approx(objective, rel=1e-10)
    assert objective == pytest.approx(objective_and_gap(reference, codes, labels, 0.1)[0], rel=1e-4)
    assert gap <= 1e-3
    assert found.total_gap <= 1e-6
    assert (found.model.classes == np.arange(classes)).all()
    decisions = found.model.decisions(codes)
    np.testing.assert_allclose(decisions, reference.decisions(codes), atol=5e-3)
    assert (found.support_vectors == (found.alpha > 0).sum(axis=1)).all()


def test_packed_codes_give_the_same_bits():
    codes, labels = problem()
    packed = PackedCodes.of(codes)
    one, other = solve(codes, labels), solve(packed, labels)
    assert (one.model.weights == other.model.weights).all()
    np.testing.assert_allclose(other.model.decisions(packed), one.model.decisions(codes.astype(float)), atol=1e-12)


def test_a_given_gram_and_a_subset():
    codes, labels = problem()
    kept = np.random.default_rng(0).permutation(150)[:80]
    part = solve(codes[kept], labels[kept], tolerance=1e-7, max_passes=5000)
    whole = solve(codes, labels, tolerance=1e-7, max_passes=5000, gram=gram(codes), subset=kept)
    np.testing.assert_allclose(whole.model.weights, part.model.weights, atol=1e-4)
    # a class that the subset lacks has no hyperplane
    assert (solve(codes, labels, subset=labels != 3).model.classes == [0, 1, 2, 4]).all()


def test_the_certificate_bounds_any_other_solution():
    codes, labels = problem(seed=4)
    found = solve(codes, labels, 1.0, 1e-3)
    worse = LinearModel(found.model.classes, 1.1 * found.model.weights, found.model.intercepts)
    best = found.total_objective * (1 - found.total_gap)
    assert objective_and_gap(worse, codes, labels)[0] > best
    peer = LinearSVC(tol=1e-8, max_iter=100_000, random_state=0).fit(codes, labels)
    assert objective_and_gap(LinearModel(peer.classes_, peer.coef_, peer.intercept_), codes, labels)[0] >= best


def test_shuffled_labels_give_chance():
    codes, labels = problem(rows=600, features=200, classes=10, spread=0.6)
    shuffled = np.random.default_rng(0).permutation(labels)
    for truth, low, high in ((labels, 0.9, 1.0), (shuffled, 0.03, 0.18)):
        model = solve(codes[:300], truth[:300]).model
        assert low <= accuracy_score(truth[300:], model.decisions(codes[300:]).argmax(axis=1)) <= high


def test_seeds_and_threads():
    codes, labels = problem()
    rows = unit_rows(np.random.default_rng(0).standard_normal((150, 60)) + codes)
    one, three = (solve(rows, labels, threads=threads, seed=7) for threads in (1, 3))
    assert (one.model.weights == three.model.weights).all()
    assert (one.passes == three.passes).all()


def test_what_it_refuses():
    codes, labels = problem()
    with pytest.raises(BadInput, match=r"at least two classes\. Found: 1"):
        solve(codes, np.zeros(150, int))
    with pytest.raises(BadInput, match=r"above 0\. Found: 0"):
        solve(codes, labels, cost=0)
    broken = codes.astype(float)
    broken[3, 3] = np.nan
    with pytest.raises(BadInput, match="finite"):
        solve(broken, labels)
    with pytest.raises(DoesNotFit, match=r"should fit into 0\.0 MiB\. It needs"):
        solve(codes, labels, memory=1000)


def test_estimate_chooses_the_path():
    assert estimate(2040, 12_416, 102).path == "gram"
    assert estimate(75_750, 12_416, 101).path == "direct"
    assert estimate(75_750, 12_416, 101).bytes < 2 << 30
    assert estimate(6000, 100, 10).path == "newton"
    assert estimate(6000, 100, 10, memory=10 << 20).path == "direct"
    assert estimate(3000, 400, 10).path == "gram"
    assert estimate(6000, 400, 10).path == "direct"
    assert estimate(6000, 12_416, 100).bytes < 400 << 20
    # at the rate of matrix products alone; more rows cost more
    assert 0 < estimate(2040, 12_416, 102).seconds(1e11) < estimate(6000, 12_416, 100).seconds(1e11)


def test_cross_validation_is_that_of_separate_fits():
    codes, labels = problem()
    folds = stratified_folds(labels, 3)
    costs = [1.0, 0.01]
    accuracy, gap = cross_validate(gram(codes), labels, costs, folds, 1e-6)
    assert gap.max() <= 1e-6
    for place, cost in enumerate(costs):
        for fold in range(3):
            held = folds == fold
            peer = LinearSVC(C=cost, tol=1e-8, max_iter=100_000, random_state=0).fit(codes[~held], labels[~held])
            assert accuracy[place, fold] == pytest.approx(peer.score(codes[held], labels[held]), abs=0.021)


def test_folds_are_stratified():
    labels = np.repeat([0, 1, 2], [10, 7, 20])
    folds = stratified_folds(labels, 5)
    counts = np.array([np.bincount(folds[labels == label], minlength=5) for label in range(3)])
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(np.bincount(folds)) <= 1


def test_decision_values_do_not_depend_on_the_threads_of_the_matrix_product():
    from threadpoolctl import threadpool_limits

    values = np.random.default_rng(0)
    rows, model = values.normal(size=(700, 3000)), LinearModel(np.arange(9), values.normal(size=(9, 3000)), np.zeros(9))
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            found.append(model.decisions(rows))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
