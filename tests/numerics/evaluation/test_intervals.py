"""Wilson's intervals against SciPy's, and that the one of a mean over classes holds what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fne_cli.numerics.evaluation.intervals import wilson, wilson_of_mean
from fne_cli.numerics.evaluation.metrics import confusion, judge, of_confusion, one_label

NEARLY = 1e-12


@given(st.integers(1, 3000), st.data())
def test_wilson_is_scipys(images, data):
    right = data.draw(st.integers(0, images))
    low, high = wilson(right / images, images)
    expected = binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=NEARLY)
    assert 0 <= low <= right / images <= high <= 1
    assert high - low > 0


def test_wilson_of_nothing_is_everything():
    low, high = wilson(np.array([0.0, 0.5]), np.array([0, 10]))
    assert (low[0], high[0]) == (0, 1)
    assert 0 < low[1] < high[1] < 1


def table_of(right, total):
    """A confusion matrix with these numbers of right images."""
    found = np.zeros((len(total), len(total)), np.int64)
    for label, (good, images) in enumerate(zip(right, total, strict=True)):
        found[label, label] = good
        found[label, (label + 1) % len(total)] += images - good
    return found


def test_classes_that_are_all_right_count_as_alike():
    """Then the images might be those of one class: 12 of 12."""
    expected = binomtest(12, 12).proportion_ci(0.95, method="wilson")
    assert wilson_of_mean(table_of([4, 4, 4], [4, 4, 4])) == pytest.approx((expected.low, 1.0))
    assert wilson_of_mean(table_of([0, 0, 0], [4, 4, 4])) == pytest.approx((0.0, 1 - expected.low))


def test_one_image_of_each_class_is_a_sample_of_one_class():
    expected = binomtest(3, 5).proportion_ci(0.95, method="wilson")
    assert wilson_of_mean(table_of([1, 1, 1, 0, 0], [1] * 5)) == pytest.approx((expected.low, expected.high))


def test_by_hand():
    """Classes 9 of 10 and 6 of 10: v = (.09 / 9 + .24 / 9) / 4, theta .75, so 0.1875 / v = 20.4545... images."""
    images = 0.75 * 0.25 / ((0.09 / 9 + 0.24 / 9) / 4)
    assert images == pytest.approx(20.4545454545)
    square = 1.959963984540054**2
    centre = (0.75 + square / 2 / images) / (1 + square / images)
    half = np.sqrt(square * (0.1875 / images + square / 4 / images**2)) / (1 + square / images)
    assert wilson_of_mean(table_of([9, 6], [10, 10])) == pytest.approx((centre - half, centre + half), abs=NEARLY)


def test_a_class_without_test_images_is_left_out():
    assert wilson_of_mean(table_of([9, 0, 6], [10, 0, 10])) == wilson_of_mean(table_of([9, 6], [10, 10]))


@pytest.mark.parametrize("classes", [5, 20, 101])
@pytest.mark.parametrize("images", [1, 2, 5, 20])
@pytest.mark.parametrize("rates", ["0.5", "0.9", "0.99", "all kinds", "good and bad"])
def test_the_interval_of_the_mean_holds(classes, images, rates):
    """The true mean is within it 95 times of 100; a little less where few numbers are possible."""
    generator = np.random.default_rng(3)
    rate = {
        "all kinds": generator.beta(3, 0.5, classes),
        "good and bad": np.where(np.arange(classes) < classes / 5, 0.01, 0.99),
    }.get(rates, np.full(classes, 0.0 if rates[0] != "0" else float(rates)))
    held = []
    for _ in range(400):
        right = generator.binomial(images, rate)
        low, high = wilson_of_mean(table_of(right, [images] * classes))
        held.append(low <= rate.mean() <= high)
    assert np.mean(held) > 0.88 if rates == "0.99" else np.mean(held) > 0.915


def test_results_have_both():
    truth = np.array([0, 0, 1, 1, 1, 2])
    decisions = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    judged = judge(np.arange(3), decisions, 4, 1, "vote")
    found = one_label(judged, truth, np.array([5, 5, 5, 0]), "abcd", 0)
    table = confusion(truth, judged.predicted, 4)
    assert found["mean_per_class_accuracy_wilson_95"] == list(wilson_of_mean(table))
    for row, right, images in zip(found["per_class"], (2, 2, 1), (2, 3, 1), strict=False):
        expected = binomtest(right, images).proportion_ci(0.95, method="wilson")
        assert row["accuracy_95"] == pytest.approx([expected.low, expected.high])
    assert found["per_class"][3]["accuracy_95"] is None
    again = of_confusion(table + table, np.array([5, 5, 5, 0]), "abcd", once=False)
    assert "accuracy_95" not in again["per_class"][0]
