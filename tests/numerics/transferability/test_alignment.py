"""Linear CKA against its definition with centred Gram matrices."""

from __future__ import annotations

import numpy as np
import pytest

from fne_cli.numerics.transferability.alignment import aligned, dependence


def peer(first, second):
    """Kornblith et al., equation 3 with K = X X^T: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), HSIC = tr(K H L H)."""
    centring = np.eye(len(first)) - 1 / len(first)

    def hsic(one, other):
        return np.trace(one @ one.T @ centring @ other @ other.T @ centring)

    return hsic(first, second) / np.sqrt(hsic(first, first) * hsic(second, second))


def halves(first, second):
    return [(first[:7], second[:7]), (first[7:], second[7:])]


def matrix(members):
    return np.array([[dependence(halves(one, other)) for other in members] for one in members])


@pytest.fixture
def members():
    generator = np.random.default_rng(0)
    base = generator.normal(3, 1, (40, 6))
    return [base, base @ generator.normal(0, 1, (6, 90)), np.maximum(base[:, :2], 3), generator.normal(0, 1, (40, 3))]


def test_every_pair_is_the_definitions(members):
    found = aligned(matrix(members))
    for place, one in enumerate(members):
        for other_place, other in enumerate(members):
            assert found[place, other_place] == pytest.approx(peer(one, other), rel=1e-10)
    assert found.diagonal() == pytest.approx(np.ones(4))


def test_turning_scaling_and_moving_change_nothing(members):
    base = members[0]
    turned = 5 * base @ np.linalg.qr(np.random.default_rng(1).normal(0, 1, (6, 6)))[0] - 100
    assert aligned(matrix([base, turned]))[0, 1] == pytest.approx(1)


def test_a_group_is_its_features_side_by_side(members):
    found = aligned(matrix(members), [np.array([0, 2]), np.array([1, 3])])
    first, second = np.concatenate([members[0], members[2]], 1), np.concatenate([members[1], members[3]], 1)
    assert found.shape == (6, 6)
    assert found[4, 5] == pytest.approx(peer(first, second))
    assert found[4, 1] == pytest.approx(peer(first, members[1]))


def test_what_does_not_vary_is_like_nothing(members):
    found = aligned(matrix([members[0], np.full((40, 3), 0.1)]))
    assert np.isnan(found[1]).all() and np.isnan(found[0, 1]) and found[0, 0] == 1
