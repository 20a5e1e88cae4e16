"""Nearest neighbours that vote, against scikit-learn's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from fne_cli.errors import DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.neighbours import model as blocks
from fne_cli.numerics.neighbours.model import NeighboursModel, estimate


@pytest.fixture
def task():
    values = np.random.default_rng(0)
    labels = values.permutation(np.arange(150) % 5)
    return (values.normal(0, 1, (5, 70))[labels] + values.normal(0, 3, (150, 70))).astype(np.float32), labels


def peer_of(rows, labels, count, temperature):
    weights = "uniform" if np.isinf(temperature) else lambda distances: np.exp((1 - distances) / temperature)
    return KNeighborsClassifier(count, metric="cosine", weights=weights).fit(rows.astype(float), labels)


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("temperature", [0.07, 1.0, np.inf])
def test_shares_of_the_votes_are_those_of_scikit_learn(monkeypatch, task, count, temperature):
    rows, labels = task
    known, asked = np.arange(0, 150, 2), rows[1::2]
    model = NeighboursModel(np.arange(5), rows, known, labels, count, temperature)
    expected = 2 * peer_of(rows[known], labels[known], count, temperature).predict_proba(asked.astype(float)) - 1
    found = model.decisions(asked)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    for name in ("QUERIES", "BLOCK", "TILE"):
        monkeypatch.setattr(blocks, name, 16)
    np.testing.assert_allclose(model.decisions(asked), found, rtol=1e-12, atol=1e-12)


def test_codes_are_compared_by_counting_bits(task):
    rows, labels = task
    codes = (rows > 1).astype(np.int8) - (rows < -1.5).astype(np.int8)
    known, asked = np.arange(0, 150, 2), codes[1::2].copy()
    asked[3] = 0
    models = [
        NeighboursModel(np.arange(5), own, known, labels, 9)
        for own in (codes, PackedCodes.of(codes), codes.astype(np.float32))
    ]
    plain, packed, floats = (model.decisions(asked) for model in models)
    np.testing.assert_array_equal(packed, plain)
    np.testing.assert_array_equal(models[1].decisions(PackedCodes.of(asked)), plain)
    other = np.arange(75) != 3  # whose neighbours are the first rows, as all are alike
    expected = peer_of(codes[known], labels[known], 9, 0.07).predict(asked.astype(float))
    np.testing.assert_array_equal(plain.argmax(axis=1)[other], expected[other])
    np.testing.assert_allclose(floats[other], plain[other], rtol=1e-9, atol=1e-9)
    first = np.bincount(labels[known[:9]], minlength=5) / 9
    np.testing.assert_allclose(plain[3], 2 * first - 1)


def test_of_equally_similar_rows_the_first_vote_and_of_equal_votes_the_first_class_wins():
    rows = np.repeat(np.eye(2, 3, dtype=np.int8), 3, axis=0)
    labels = np.array([2, 1, 0, 0, 0, 0])
    asked = np.array([[1, 0, 0]], np.int8)
    for count, expected in ((1, [-1, -1, 1]), (2, [-1, 0, 0]), (60, [1 / 3, -2 / 3, -2 / 3])):
        model = NeighboursModel(np.arange(3), rows, np.arange(6), labels, count, np.inf)
        np.testing.assert_allclose(model.decisions(asked), [expected], atol=1e-12)


def test_of_several_labels_every_class_has_its_own_share_of_the_rows_that_count(task):
    rows, labels = task
    several = (labels[:, None] == np.arange(3)).astype(np.int8)
    several[::4, 1] = -1
    several[:, 2] = -1
    found = NeighboursModel(np.arange(3), rows, np.arange(150), several, 9).decisions(rows)
    distances, places = peer_of(rows, labels, 9, 1.0).kneighbors(rows.astype(float))
    weights = np.exp((1 - distances) / 0.07)
    for number in range(2):
        own = several[places, number]
        counted = (weights * (own >= 0)).sum(axis=1)
        expected = 2 * (weights * (own == 1)).sum(axis=1) / np.maximum(counted, 1e-300) - 1
        np.testing.assert_allclose(found[counted > 0, number], expected[counted > 0], rtol=1e-5, atol=1e-7)
    assert not found[:, 2].any()


@pytest.mark.parametrize("ternary", [True, False])
def test_the_memory_is_what_was_announced(ternary):
    values = np.random.default_rng(0)
    rows = values.integers(-1, 2, (1500, 900)).astype(np.int8)
    rows = PackedCodes.of(rows) if ternary else rows.astype(np.float32)
    model = NeighboursModel(np.arange(9), rows, np.arange(1500), np.arange(1500) % 9, 20)
    announced = estimate(1500, 1500, 900, 9, 20, ternary=ternary).bytes
    tracemalloc.start()
    model.decisions(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert announced / 3 < peak < announced
    with pytest.raises(DoesNotFit, match=r"20 neighbours among 1,500 rows of 900 features .* within 1.0 MiB"):
        estimate(1500, 1500, 900, 9, 20, memory=1 << 20)
