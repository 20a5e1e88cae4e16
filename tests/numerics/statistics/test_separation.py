import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.numerics.statistics.separation import Separation, parting

VALUES = st.lists(st.integers(-8, 8).map(lambda number: number / 4), min_size=1, max_size=20)


def test_by_hand():
    # the four smallest of the first lie below all of the second
    assert parting(np.array([-5.0, -4, -3, -2, 1]), np.array([-1.0, 0, 2])) == -2
    assert np.isnan(parting(np.array([1.0]), np.array([])))
    # half apart at 0 and at 2: the first counts, whichever sample it is from
    around, within = np.array([0.0, 3]), np.array([1.0, 2])
    assert parting(around, within) == parting(within, around) == 0


@given(VALUES, VALUES)
def test_is_the_first_maximum_over_all_values(first, second):
    first, second = np.sort(first), np.sort(second)
    candidates = np.unique(np.concatenate([first, second]))
    differences = [abs((first <= t).mean() - (second <= t).mean()) for t in candidates]
    best = candidates[np.flatnonzero(np.array(differences) >= max(differences) - 1e-12)[0]]
    found = parting(first, second)
    assert abs((first <= found).mean() - (second <= found).mean()) == pytest.approx(max(differences))
    assert found >= best


def test_three_normal_sets_part_where_their_densities_cross():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(mean, 0.2, 50_000) for mean in (-0.5, 0, 0.4)])
    found = Separation.of(scores.astype(np.float32), np.repeat([-1, 0, 1], 50_000))
    assert found.low == pytest.approx(-0.25, abs=0.03)
    assert found.high == pytest.approx(0.2, abs=0.03)
    for part in (found.absence, found.uncharacteristic, found.presence):
        assert part.sum() == 50_000
    middle = (found.edges[1:] + found.edges[:-1]) / 2
    assert (middle * found.presence).sum() / 50_000 == pytest.approx(0.4, abs=0.01)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30))
def test_histograms_lose_nothing_and_stay_small(scores):
    scores = np.array(scores, np.float32)
    found = Separation.of(scores, np.zeros(len(scores)))
    assert found.uncharacteristic.sum() == len(scores)
    assert not found.presence.any()
    assert len(found.edges) == len(found.absence) + 1 <= 10_003
    assert (np.diff(found.edges) > 0).all()
    assert np.isnan(found.low)
    assert np.isnan(found.high)
