"""The paths by which a problem is solved, and what each of them needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from fne_cli.numerics.svm.certified import Hyperplanes

if TYPE_CHECKING:
    from fne_cli.numerics.codes.packed import Rows
    from fne_cli.numerics.svm.remote import Remote

Path = Literal["gram", "rows", "direct", "newton"]


@dataclass(frozen=True)
class Solver:
    """What a path is asked for; `gram` is the Gram matrix if it exists already."""

    rows: Rows
    signs: np.ndarray
    cost: float
    tolerance: float
    gram: np.ndarray | None
    seed: int
    max_passes: int
    threads: int | None
    remote: Remote | None

    def solved(self, path: Path) -> Hyperplanes:
        """The hyperplanes by a path."""
        ways = {"gram": self._by_gram, "rows": self._by_rows, "direct": self._directly, "newton": self._by_newton}
        return ways[path]()

    def _by_gram(self) -> Hyperplanes:
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.codes.packed import is_ternary
        from fne_cli.numerics.svm.dual import solve_dual
        from fne_cli.numerics.svm.gram import gram as gram_of
        from fne_cli.numerics.svm.gram import weights_of
        from fne_cli.numerics.svm.remote import solve_dual_remotely

        rows, signs, gram = self.rows, self.signs, self.gram
        with thread_pool(self.threads) as pool:
            if gram is None:
                small = is_ternary(rows) and rows.shape[1] < np.iinfo(np.int16).max
                gram = gram_of(rows, np.int16 if small else None, pool=pool)
            solver = partial(solve_dual, pool=pool)
            if self.remote is not None:
                solver = partial(solve_dual_remotely, self.remote)
            dual = solver(gram, signs, self.cost, self.tolerance, seed=self.seed, max_passes=self.max_passes)
            del gram
            weights, intercepts = weights_of(rows, dual.alpha * signs, pool)
        return Hyperplanes(dual.alpha, dual.objective, dual.dual, dual.passes, weights, intercepts)

    def _by_rows(self) -> Hyperplanes:
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.svm.dual import groups_of
        from fne_cli.numerics.svm.remote import solve_rows_remotely
        from fne_cli.numerics.svm.rows import prepared, solve_rows

        values, costs = prepared(self.rows), np.full(len(self.signs), float(self.cost))
        how = {"seed": self.seed, "max_passes": self.max_passes}
        if self.remote is not None:
            return solve_rows_remotely(self.remote, values, self.signs, self.cost, self.tolerance, **how)
        with thread_pool(self.threads) as pool:
            return solve_rows(values, self.signs, costs, self.tolerance, groups_of(len(self.signs)), pool, **how)

    def _by_newton(self) -> Hyperplanes:
        from fne_cli.machine import thread_pool
        from fne_cli.numerics.svm.newton import solve_primal

        with thread_pool(self.threads) as pool:
            return solve_primal(self.rows, self.signs, self.cost, self.tolerance, pool, self.max_passes)

    def _directly(self) -> Hyperplanes:
        from fne_cli.numerics.svm.remote import solve_streamed_remotely
        from fne_cli.numerics.svm.streaming import shuffled, solve_streamed

        if self.remote is not None:
            return solve_streamed_remotely(
                self.remote, self.rows, self.signs, self.cost, self.tolerance,
                seed=self.seed, max_passes=self.max_passes,
            )  # fmt: skip
        return solve_streamed(
            shuffled(self.rows, np.flatnonzero(self.signs.any(axis=0))),
            self.signs,
            self.rows.shape[1],
            self.cost,
            self.tolerance,
            seed=self.seed,
            max_passes=self.max_passes,
            threads=self.threads,
        )
