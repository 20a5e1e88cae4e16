"""The SVM as a scikit-learn estimator. Importing this module imports scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fne_cli.errors import BadInput
from fne_cli.numerics.svm.solver import MEMORY, LinearModel, solve


class LinearSVC(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """LinearSVC (squared hinge, L2, intercept regularised), solved to a certified gap.

    Parameters: C > 0; tol, the relative duality gap of every class; memory, bytes besides the data; solver "auto",
    "gram", "rows", "direct" or "newton"; max_iter passes; random_state; n_jobs threads (None or -1: all processors).
    Data are dense.

    Attributes: classes_, coef_ (classes, features) and intercept_, one row for two classes as scikit-learn has it;
    objective_ and duality_gap_ (primal objective and relative gap per problem), n_iter_ (most passes), solver_.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,  # noqa: N803  # scikit-learn's name
        tol: float = 1e-4,
        memory: int = MEMORY,
        solver: Literal["auto", "gram", "rows", "direct", "newton"] = "auto",
        max_iter: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.memory = memory
        self.solver = solver
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803  # scikit-learn's name
        """Fit to X (rows, features), multiplied as they are in blocks of columns, and y (rows,)."""
        X, y = validate_data(self, X, y)  # noqa: N806  # scikit-learn's name
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y should have at least two classes. Found: one class, {self.classes_[0]!r}.")
        if self.solver not in ("auto", "gram", "rows", "direct", "newton"):
            raise ValueError(f"solver should be auto, gram, rows, direct or newton. Found: {self.solver!r}.")
        try:
            solution = solve(
                X,
                labels,
                self.C,
                self.tol,
                memory=self.memory,
                path=self.solver,
                seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
                max_passes=self.max_iter,
                threads=None if self.n_jobs in (None, -1) else self.n_jobs,
            )
        except BadInput as error:
            raise ValueError(str(error)) from error
        kept = slice(1, None) if len(self.classes_) == 2 else slice(None)
        self.coef_, self.intercept_ = solution.model.weights[kept], solution.model.intercepts[kept]
        self.objective_, self.duality_gap_ = solution.objective[kept], solution.gap[kept]
        self.n_iter_, self.solver_ = int(solution.passes.max()), solution.path
        if self.duality_gap_.max() > self.tol:
            warnings.warn(
                f"The duality gap should be at most {self.tol:.1e}. Found: {self.duality_gap_.max():.1e} after "
                f"{self.n_iter_} passes. Raise max_iter or scale the data.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """(rows, classes), or (rows,) for two classes: the signed distance times the length of the weights."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)  # noqa: N806  # scikit-learn's name
        scores = LinearModel(self.classes_, self.coef_, self.intercept_).decisions(X)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803  # scikit-learn's name
        """(rows,): the class with the largest decision value."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]
