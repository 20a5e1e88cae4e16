"""The nearest mean against scikit-learn's functions of angles."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.discriminant.centroid import centroids, estimate


@pytest.fixture
def task():
    values = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return (values.normal(0, 1, (3, 20))[labels] + values.normal(0, 2, (60, 20))).astype(np.float32), labels


def test_decisions_are_cosines_to_the_mean_of_unit_rows(task):
    rows, labels = task
    kept = np.flatnonzero(np.arange(60) % 5)
    means = np.stack([normalize(rows[kept].astype(float))[labels[kept] == label].mean(axis=0) for label in range(3)])
    model = centroids(rows, labels, subset=kept)
    expected = cosine_similarity(rows.astype(float), means)
    np.testing.assert_allclose(model.decisions(normalize(rows.astype(float))), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(model.decisions(rows).argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(np.linalg.norm(model.weights, axis=1), 1)


def test_codes_are_packed_or_not_and_rows_of_zeros_count_for_nothing(task):
    rows, labels = task
    codes = (rows > 0.5).astype(np.int8) - (rows < -0.5).astype(np.int8)
    codes[::7] = 0
    model = centroids(codes, labels)
    np.testing.assert_array_equal(centroids(PackedCodes.of(codes), labels).weights, model.weights)
    known = codes.any(axis=1)
    np.testing.assert_allclose(centroids(codes[known], labels[known]).weights, model.weights, rtol=1e-12)


def test_of_several_labels_it_is_the_difference_of_both_means(task):
    rows, labels = task
    several = (labels[:, None] == np.arange(4)).astype(np.int8)
    several[:, 1] = np.where(np.arange(60) % 4 == 0, -1, several[:, 1])
    model = centroids(rows, several)
    unit = normalize(rows.astype(float))
    for number in range(3):
        means = normalize([unit[several[:, number] == one].mean(axis=0) for one in (1, 0)])
        np.testing.assert_allclose(model.weights[number], means[0] - means[1], rtol=1e-6, atol=1e-9)
    assert not model.weights[3].any()  # nobody has it


def test_what_cannot_be_is_refused(task):
    rows, labels = task
    with pytest.raises(BadInput, match=r"two classes. Found: 1"):
        centroids(rows, labels * 0)
    with pytest.raises(BadInput, match="finite"):
        centroids(rows * np.inf, labels)
    with pytest.raises(DoesNotFit, match=r"means of 101 classes and 12,416 features should fit into 8.0 MiB"):
        estimate(3030, 12416, 101, memory=1 << 23)
