"""Paired tests against SciPy's, against a bootstrap written out, and that they reject no more than they may."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from fne_cli.numerics.evaluation import paired
from fne_cli.numerics.evaluation.metrics import confusion, mean_per_class_accuracy
from fne_cli.numerics.evaluation.paired import compared, mcnemar, mean_difference, over_splits, sign_test


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_a_binomial_test(ahead, behind):
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    assert mcnemar(ahead, behind) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(ahead, behind) == mcnemar(behind, ahead)


def accuracy(right, truth):
    classes = int(truth.max()) + 1
    return mean_per_class_accuracy(confusion(truth, np.where(right, truth, (truth + 1) % classes), classes))


def sample(seed, sizes=(3, 10, 40), chances=(0.9, 0.6)):
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    first, second = (generator.random(len(truth)) < chance for chance in chances)
    return first, second, generator.permutation(truth)


def test_the_difference_is_that_of_the_figures():
    first, second, truth = sample(1)
    found = compared(first[None], second[None], truth)
    assert found.difference == pytest.approx(accuracy(first, truth) - accuracy(second, truth), abs=1e-12)
    assert (found.only_first, found.only_second) == ((first & ~second).sum(), (second & ~first).sum())
    assert found.p == pytest.approx(binomtest(found.only_first, found.only_first + found.only_second).pvalue)
    other = compared(second[None], first[None], truth)
    assert other.difference == pytest.approx(-found.difference)


def test_the_interval_is_that_of_a_bootstrap_written_out():
    first, second, truth = sample(2)
    generator = np.random.default_rng(5)
    means = []
    for _ in range(4000):
        drawn = []
        for label in np.unique(truth):
            images = np.flatnonzero(truth == label)
            taken = generator.choice(images, len(images) - 1)
            drawn.append(first[taken].mean() - second[taken].mean())
        means.append(np.mean(drawn))
    difference, low, high = mean_difference(first[None].astype(int) - second[None], truth, draws=4000)
    assert difference == pytest.approx(accuracy(first, truth) - accuracy(second, truth), abs=1e-12)
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)


def test_the_variance_is_the_unbiased_one():
    """Of each class s^2 / n, s^2 with n - 1: what drawing n of n makes too small by a third for three images."""
    first, second, truth = sample(3, (3, 3, 3, 3), (0.7, 0.5))
    differences = first.astype(int) - second
    variance = np.mean([differences[truth == label].var(ddof=1) / 3 for label in range(4)]) / 4
    _, low, high = mean_difference(differences[None], truth, draws=20_000)
    assert (high - low) / (2 * 1.96) == pytest.approx(np.sqrt(variance), rel=0.1)


def test_the_same_seed_gives_the_same_interval():
    first, second, truth = sample(4)
    found = compared(first[None], second[None], truth)
    assert found == compared(first[None], second[None], truth)
    assert found != compared(first[None], second[None], truth, seed=1)


def test_equal_predictions_are_no_difference():
    first, _, truth = sample(5)
    found = compared(first[None], first[None], truth)
    assert (found.difference, found.low, found.high, found.p, found.significant) == (0, 0, 0, 1, False)


def test_one_image_of_each_class_still_varies():
    """Drawing one of one image would say that nothing varies, and every difference would be certain."""
    truth = np.arange(6)
    first = np.array([True, True, True, False, True, True])
    found = compared(first[None], ~first[None], truth)
    assert found.low < found.difference < found.high
    assert not found.significant


@pytest.mark.parametrize(("images", "significant"), [(5, False), (6, True)])
def test_six_images_are_the_least_that_tell(images, significant):
    """Five to nothing happens to fair coins one time in sixteen."""
    first = np.arange(100) < 60
    second = first & (np.arange(100) >= images)
    found = compared(first[None], second[None], np.zeros(100, int))
    assert (found.low > 0, found.significant) == (True, significant)


def test_both_tests_must_agree_on_the_side():
    """Better in a class of few images, worse in one of many: ahead per class, behind in images."""
    truth = np.repeat([0, 1], [10, 1000])
    first = np.ones(1010, bool)
    second = first.copy()
    second[:8] = False
    first[10:60] = False
    found = compared(first[None], second[None], truth)
    assert found.low > 0 and found.p < 0.05
    assert not found.significant


def test_equals_are_rarely_called_different():
    generator = np.random.default_rng(0)
    for classes, images in ((10, 2), (20, 5), (5, 40)):
        truth = np.repeat(np.arange(classes), images)
        wrong = 0
        for seed in range(200):
            chance = generator.beta(3, 0.7, len(truth))
            first, second = (generator.random((1, len(truth))) < chance for _ in range(2))
            wrong += compared(first, second, truth, seed).significant
        assert wrong <= 16  # of 200; 5 % are 10


def test_draws_of_training_images_vary_too():
    """Every image agrees with itself in every draw: what varies is which of two classifiers a draw makes better."""
    truth = np.repeat([0, 1], 50)
    better = np.array([1, 1, -1, 1, -1])
    first = np.repeat(better[:, None] > 0, 100, axis=1)
    found = compared(first, ~first, truth)
    assert found.difference == pytest.approx(0.2)
    assert (found.only_first, found.only_second, found.significant) == (None, None, False)
    assert found.p < 1e-9  # of these draws it is certain, of others it is not
    assert found.low <= -0.5 and found.high == 1
    always = compared(np.ones((5, 100), bool), np.zeros((5, 100), bool), truth)
    assert (always.low, always.high, always.significant) == (1, 1, True)


def test_draws_of_training_images_against_a_bootstrap_written_out():
    generator = np.random.default_rng(9)
    truth = np.repeat(np.arange(4), 15)
    first, second = (generator.random((6, 60)) < chance for chance in (0.8, 0.6))
    differences = first.astype(int) - second
    means = []
    for _ in range(4000):
        draws = generator.choice(6, 5)
        taken = [generator.choice(np.flatnonzero(truth == label), 14) for label in range(4)]
        means.append(np.mean([differences[np.ix_(draws, images)].mean() for images in taken]))
    found = compared(first, second, truth)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)


@pytest.mark.parametrize("sums", [[1], [2, -1, 3], [0, 1, 1, -2, 5, 5], [3, 3, 3, 3, -1, 2, 2, 1], [-4, -3, -2, 1]])
def test_signs_are_tried_as_by_a_permutation_test(sums):
    """SciPy flips the sign of a sample of pairs in every way."""
    values = np.array([*sums, 0])
    expected = permutation_test(
        (values, np.zeros_like(values)), lambda a, b, axis: np.abs((a - b).sum(axis=axis)), vectorized=True,
        permutation_type="samples", n_resamples=1 << 10, alternative="greater",
    ).pvalue  # fmt: skip
    assert sign_test(values) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("trainings", [1, 5])
def test_trainings_that_are_alike_say_no_more_than_one(trainings):
    """Four images of sixty that one classifier alone has right are luck, however often they are counted."""
    first, truth = np.ones((trainings, 60), bool), np.repeat(np.arange(3), 20)
    second = first.copy()
    second[:, [1, 2, 21, 41]] = False
    found = compared(first, second, truth)
    assert found.p == pytest.approx(binomtest(0, 4).pvalue) and not found.significant
    second[:, [3, 22, 23, 42, 43]] = False
    found = compared(first, second, truth)
    assert found.p == pytest.approx(binomtest(0, 9).pvalue) and found.significant


def test_many_signs_are_as_the_normal_distribution_has_them(monkeypatch):
    sums = np.repeat([-2, -1, 1, 2, 3], [500, 500, 520, 510, 40])
    exact = sign_test(sums)
    monkeypatch.setattr(paired, "_EXACT", 0)
    assert 0.001 < exact < 0.05
    assert exact == pytest.approx(sign_test(sums), rel=0.05)


def test_splits_together_are_never_surer_than_twice_the_middle_one():
    parts = [sample(seed, (20, 20, 20), (0.9, chance)) for seed, chance in ((1, 0.4), (2, 0.5), (3, 0.9))]
    found = [compared(first[None], second[None], truth) for first, second, truth in parts]
    together = over_splits(found)
    assert together.difference == pytest.approx(np.mean([one.difference for one in found]))
    assert together.p == pytest.approx(2 * sorted(one.p for one in found)[1])
    assert together.significant and together.only_first is None
    assert not over_splits([found[0], found[2], found[2]]).significant
