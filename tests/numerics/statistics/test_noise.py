import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import false_discovery_control, ks_2samp

from fne_cli.numerics.statistics.behavior import Groups, signed_ks, sorted_keys
from fne_cli.numerics.statistics.noise import LEVELS, Noise, RandomClasses, labelled


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 7), st.integers(0, 99))
def test_each_size_is_drawn_as_often_as_asked(sizes, draws, seed):
    random = RandomClasses.of(np.array(sizes), 41, draws, seed)
    assert random.sizes.tolist() == sorted(set(sizes))
    numbers = np.concatenate([numbers for _, numbers in random.rounds])
    assert sorted(numbers.tolist()) == list(range(len(random.sizes) * draws))
    for groups, numbers in random.rounds:
        assert groups.inside.tolist() == random.sizes[numbers // draws].tolist()
        assert (np.bincount(groups.labels[groups.labels >= 0], minlength=len(numbers)) == groups.inside).all()


def test_every_image_is_drawn_alike():
    random = RandomClasses.of(np.array([3, 10]), 30, 3000, 0)
    members = np.zeros((2, 30))
    for groups, numbers in random.rounds:
        inside = groups.labels >= 0
        np.add.at(members, (numbers[groups.labels[inside]] // 3000, np.flatnonzero(inside)), 1)
    # 3,000 draws of 3 and of 10 of 30: five standard deviations
    assert np.abs(members[0] - 300).max() < 5 * np.sqrt(3000 * 0.1 * 0.9)
    assert np.abs(members[1] - 1000).max() < 5 * np.sqrt(3000 / 3 * 2 / 3)


def test_the_null_of_continuous_values():
    """A little below SciPy's asymptotic 95 % of the two-sample statistic, which is conservative for small classes."""
    values = np.random.default_rng(0).normal(size=(60, 5360)).astype(np.float32)
    random = RandomClasses.of(np.array([30, 80]), 5360, 40, 1)
    strengths = np.empty((80, 60), np.float32)
    random.strengths(sorted_keys(values), strengths)
    noise = Noise.of(random.sizes, strengths)
    found = noise.thresholds(noise.place_of_share(0.05), np.array([80, 0, 30]))
    sizes = np.array([30, 80])
    asymptotic = stats.kstwobign.ppf(0.95) * np.sqrt(5360 / (sizes * (5360 - sizes)))
    assert (found[[2, 0]] < asymptotic).all()
    assert found[[2, 0]] == pytest.approx(asymptotic, rel=0.05)
    assert np.isnan(found[1])
    assert noise.quantiles()[:, LEVELS == 0.95].ravel() == pytest.approx(found[[2, 0]], rel=0.02)


def test_strengths_are_those_of_scipy():
    values = np.maximum(np.random.default_rng(1).normal(size=(3, 50)), 0).astype(np.float32)
    random = RandomClasses.of(np.array([7, 20, 49]), 50, 2, 3)
    strengths = np.empty((6, 3))
    random.strengths(sorted_keys(values), strengths)
    for groups, numbers in random.rounds:
        for place, number in enumerate(numbers):
            inside = groups.labels == place
            for j in range(3):
                expected = ks_2samp(values[j, inside], values[j, ~inside], method="asymp").statistic
                assert strengths[number, j] == pytest.approx(expected, abs=1e-12)


def noise_of(*rows):
    return Noise.of(np.arange(1, len(rows) + 1), np.array(rows, np.float32))


def test_the_share_by_hand():
    noise = noise_of([0.5, 0.1, 0.2, 0.4, 0.3])
    place = noise.place_of_share(0.4)
    [threshold] = noise.thresholds(place, np.array([1]))
    assert threshold == np.float32(0.3)  # two of five lie above
    s = np.array([[0.31], [0.3], [-0.3], [-0.4], [np.nan]], np.float32)
    assert labelled(s, np.array([threshold])).ravel().tolist() == [1, 0, 0, -1, 0]
    assert noise.thresholds(noise.place_of_share(0.1), np.array([1]))[0] == 0.5
    assert noise.place_of_share(0.2) == 1  # 0.2 * 5 is not below 1 by rounding
    assert noise.place_of_share(0.6) == 3


def test_quantiles_by_hand():
    found = noise_of([0.4, 0.1, 0.3, 0.2]).quantiles()[0]
    expected = {0: 0.1, 0.24: 0.1, 0.25: 0.1, 0.26: 0.2, 0.75: 0.3, 0.76: 0.4, 1: 0.4}
    assert [found[level == LEVELS].tolist() for level in expected] == [[np.float32(q)] for q in expected.values()]
    assert (np.diff(LEVELS) > 0).all()


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.1, 0.29])
@pytest.mark.parametrize("count", [20, 100, 1000])
def test_the_threshold_is_a_quantile(alpha, count):
    noise = noise_of(np.random.default_rng(0).random(count))
    [threshold] = noise.thresholds(noise.place_of_share(alpha), np.array([1]))
    assert noise.quantiles()[0, np.isclose(LEVELS, 1 - alpha)].tolist() == [threshold]
    assert (noise.values > threshold).sum() == np.floor(alpha * count + 1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.05, 0.3]), st.booleans())
def test_benjamini_and_hochberg_as_scipy_has_it(seed, rate, ties):
    rng = np.random.default_rng(seed)
    noise = noise_of(rng.beta(2, 12, 300), rng.beta(2, 20, 300))
    counts = np.array([2, 1, 0, 1])
    s = (rng.beta(2, 8, (25, 4)) * rng.choice([-1, 1], (25, 4))).astype(np.float32)
    if ties:
        s[::3] = np.float32(noise.values[0, 290])
    s[:, 2] = np.nan
    place = noise.place_of_discoveries([s[:10], s[10:]], counts, rate)
    found = labelled(s, noise.thresholds(place, counts))
    p = np.ones((25, 4))
    for column in (0, 1, 3):
        row = noise.values[counts[column] - 1]
        p[:, column] = (1 + (row >= np.abs(s[:, [column]])).sum(axis=1)) / 301
    accepted = false_discovery_control(p[:, counts > 0].ravel()) <= rate
    assert (found[:, counts > 0].ravel() != 0).tolist() == accepted.tolist()
    assert (found[:, 2] == 0).all()


def test_nothing_is_discovered():
    noise = noise_of([0.1, 0.2, 0.9])
    s = np.array([[0.5], [-0.95]], np.float32)
    place = noise.place_of_discoveries([s], np.array([1]), 0.1)
    assert place == -1
    assert noise.thresholds(place, np.array([1])).tolist() == [1]
    assert not labelled(np.array([[1.0], [-1.0]]), np.array([1.0])).any()


@pytest.mark.parametrize("size", [10, 40])
def test_random_labels_pass_as_often_as_alpha_says(size):
    rng = np.random.default_rng(5)
    values = np.maximum(rng.normal(0, 1, (400, 400)), 0).astype(np.float32)
    keys = sorted_keys(values)
    groups = Groups.of(rng.permutation(np.arange(400) // size).astype(np.int32), 400 // size)
    random = RandomClasses.of(groups.inside, 400, 20, 0)
    strengths = np.empty((20, 400), np.float32)
    random.strengths(keys, strengths)
    noise = Noise.of(random.sizes, strengths)
    found = labelled(
        signed_ks(keys, groups).astype(np.float32), noise.thresholds(noise.place_of_share(0.1), groups.inside)
    )
    # features are independent; the classes of a feature nearly so
    spread = np.sqrt(0.1 * 0.9 * (1 / found.size + 1 / strengths.size))
    assert (found != 0).mean() <= 0.1 + 5 * spread
    # ties make the statistic jump: what equals the threshold does not pass
    at_least = (strengths >= noise.thresholds(noise.place_of_share(0.1), groups.inside)[0]).mean()
    assert at_least >= 0.1
    assert (found != 0).mean() >= 0.1 - 5 * spread - (at_least - 0.1)
