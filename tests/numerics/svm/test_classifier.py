import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from fne_cli.numerics.svm.classifier import LinearSVC as CertifiedSVC


@parametrize_with_checks([CertifiedSVC(solver=name, n_jobs=1) for name in ("auto", "gram", "rows", "direct", "newton")])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("solver", ["gram", "direct"])
@pytest.mark.parametrize("classes", [2, 10])
def test_agrees_with_linear_svc(solver, classes):
    data, target = load_digits(return_X_y=True)
    kept = target < classes
    rows, labels = data[kept][:400] / 16, np.array([f"digit {number}" for number in target[kept][:400]])
    ours = CertifiedSVC(C=0.3, tol=1e-7, solver=solver, max_iter=5000).fit(rows, labels)
    peer = LinearSVC(C=0.3, tol=1e-10, dual=True, max_iter=200_000, random_state=0).fit(rows, labels)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=2e-4)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=2e-4)
    np.testing.assert_allclose(ours.decision_function(rows), peer.decision_function(rows), atol=1e-3)
    assert (ours.predict(rows) == peer.predict(rows)).all()
    assert ours.duality_gap_.max() <= 1e-7
    assert ours.solver_ == solver


def test_warns_when_it_stops_early():
    from sklearn.exceptions import ConvergenceWarning

    rows, labels = load_digits(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="should be at most"):
        CertifiedSVC(max_iter=1).fit(rows, labels)


def test_parameters_that_make_no_sense():
    rows, labels = load_digits(return_X_y=True)
    with pytest.raises(ValueError, match=r"C and the tolerance should be above 0\. Found: -1"):
        CertifiedSVC(C=-1).fit(rows, labels)
    with pytest.raises(ValueError, match="auto, gram, rows, direct or newton"):
        CertifiedSVC(solver="liblinear").fit(rows, labels)


def test_numerics_without_it_load_no_scikit_learn():
    import subprocess
    import sys

    rooms = "fne_cli.numerics.statistics.moments, fne_cli.numerics.svm.solver"
    program = f"import sys, {rooms}; print('sklearn' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["False"]
