"""Blocks of classes solved elsewhere: the same bits as all classes here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.svm import remote
from fne_cli.numerics.svm import solver as svm
from fne_cli.numerics.svm.dual import fields_of, one_vs_rest, solve_dual
from fne_cli.numerics.svm.gram import gram
from fne_cli.numerics.svm.streaming import shuffled, solve_streamed


class Remote:
    """Nothing but JSON and arrays goes there; a block is one group."""

    groups = 1

    def __init__(self):
        self.calls = []

    def __call__(self, work, shared, jobs):
        self.calls.append((work, len(jobs)))
        for settings, arrays in jobs:
            yield remote.WORKS[work](json.loads(json.dumps(settings)), {**shared, **arrays})


def problems(classes, count, features, between):
    values = np.random.default_rng(classes)
    labels = values.integers(0, classes, count)
    rows = values.normal(0, between, (classes, features))[labels] + values.normal(0, 1, (count, features))
    signs = one_vs_rest(labels, np.unique(labels))
    signs[:, values.random(count) < 0.1] = 0  # rows that no problem has
    return rows, labels, signs


@pytest.mark.parametrize("packed", [True, False])
def test_streamed_blocks_of_classes_have_the_same_bits(packed):
    values, _, signs = problems(70, 900, 40, 0.3)
    codes = (values > 0.15).astype(np.int8) - (values < -0.25).astype(np.int8)
    rows = PackedCodes.of(codes) if packed else values.astype(np.float32)
    chosen = np.flatnonzero(signs.any(axis=0))
    here = solve_streamed(shuffled(rows, chosen), signs, 40, 0.1, 1e-4, seed=3)
    far = Remote()
    there = remote.solve_streamed_remotely(far, rows, signs, 0.1, 1e-4, seed=3)
    for name in ("alpha", "objective", "dual", "passes", "weights", "intercepts"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    rounds = [call for call, _ in far.calls]
    assert rounds == ["descend", "certify"] * (len(rounds) // 2)
    assert len(rounds) >= 4, "a second round regroups the problems; the data should need one"
    assert far.calls[0] == ("descend", 3)


def test_blocks_on_a_gram_matrix_have_the_same_bits_also_from_a_start():
    values, _, signs = problems(40, 300, 30, 0.5)
    matrix = gram(values)
    far = Remote()
    here = solve_dual(matrix, signs, 0.5, 1e-4)
    there = remote.solve_dual_remotely(far, matrix, signs, 0.5, 1e-4)
    on = solve_dual(matrix, signs, 1.5, 1e-5, start=here)
    on_there = remote.solve_dual_remotely(far, matrix, signs, 1.5, 1e-5, start=there)
    for one, other in ((here, there), (on, on_there)):
        for mine, theirs in zip(fields_of(one), fields_of(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert far.calls == [("dual", 2)] * 2


@pytest.mark.parametrize("path", ["gram", "rows", "direct"])
def test_solve_gives_blocks_away(path):
    values, labels, _ = problems(80, 400, 30, 0.5)
    far = Remote()
    here = svm.solve(values, labels, 0.5, 1e-3, path=path)
    there = svm.solve(values, labels, 0.5, 1e-3, path=path, remote=far)
    assert far.calls
    np.testing.assert_array_equal(here.model.weights, there.model.weights)
    np.testing.assert_array_equal(here.alpha, there.alpha)
