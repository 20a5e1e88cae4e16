"""Left-out neighbours against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestNeighbors

from fne_cli.numerics.neighbours.nearest import unit
from fne_cli.numerics.transferability.neighbours import Neighbours


def accuracy(rows, labels, images, count, block, queries=None):
    queries = np.arange(len(rows)) if queries is None else queries
    similar = unit(rows) @ unit(rows).T
    found = Neighbours(queries, images, labels, count)
    for start in range(0, len(rows), block):
        span = slice(start, min(start + block, len(rows)))
        found.add(span, similar[queries, span])
    return found.accuracy(int(labels.max()) + 1)


@pytest.fixture
def task():
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.arange(150) % 5)
    return generator.normal(0, 1, (5, 8))[labels] + generator.normal(0, 1.3, (150, 8)), labels


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("block", [1, 16, 150])
def test_votes_are_weighed_as_in_the_paper(task, count, block):
    rows, labels = task
    searched = NearestNeighbors(n_neighbors=count + 1, metric="cosine").fit(rows)
    distances, places = searched.kneighbors(rows)
    said = []
    for own, (distance, place) in enumerate(zip(distances, places, strict=True)):
        others = place != own
        weights = np.exp((1 - distance[others]) / 0.07)
        said.append(np.bincount(labels[place[others]], weights, 5).argmax())
    expected = balanced_accuracy_score(labels, said)
    assert accuracy(rows, labels, np.arange(150), count, block) == pytest.approx(expected)
    assert 0.3 < expected < 1


def test_crops_of_an_image_are_no_neighbours_of_each_other(task):
    rows, labels = task
    twice, images = np.repeat(rows, 2, axis=0), np.repeat(np.arange(150), 2)
    found = accuracy(twice, np.repeat(labels, 2), images, 1, 40)
    assert found == pytest.approx(accuracy(rows, labels, np.arange(150), 1, 40))
    assert accuracy(twice, np.repeat(labels, 2), np.arange(300), 1, 40) == 1


def test_one_row_after_another_is_all_of_them(task):
    rows, labels = task
    images = np.arange(150)
    alone = [accuracy(rows, labels, images, 5, 33, np.array([number])) for number in images]
    by_class = [np.mean(np.array(alone)[labels == label]) for label in range(5)]
    assert accuracy(rows, labels, images, 5, 33) == pytest.approx(np.mean(by_class))


def test_fewer_neighbours_than_were_asked_for():
    rows, labels = np.array([[1.0, 0], [0.9, 0.1], [0, 1]]), np.array([0, 0, 1])
    assert accuracy(rows, labels, np.arange(3), 2, 3) == 0.5


def test_rows_of_zeros_are_at_right_angles():
    assert unit(np.zeros((2, 3))).tolist() == [[0] * 3] * 2
    assert accuracy(np.zeros((4, 2)), np.array([0, 0, 1, 1]), np.arange(4), 1, 4) == 0.5
