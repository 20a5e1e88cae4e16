"""Weighted Kendall's tau: by hand."""

import pytest

from fne_cli.numerics.transferability.agreement import weighted_tau


def test_orders_by_hand():
    """Three things, the last two exchanged: pairs weigh 1 + 1/2, 1 + 1/3 and 1/2 + 1/3, the last of them wrong."""
    assert weighted_tau([3, 2, 1], [9, 5, 4]) == pytest.approx(1)
    assert weighted_tau([3, 2, 1], [4, 5, 9]) == pytest.approx(-1)
    right, wrong = 3 / 2 + 4 / 3, 5 / 6
    assert weighted_tau([3, 2, 1], [9, 4, 5]) == pytest.approx((right - wrong) / (right + wrong))
    assert weighted_tau([3, 2, 1], [5, 9, 4]) < weighted_tau([3, 2, 1], [9, 4, 5])  # the first places count most


@pytest.mark.parametrize(("ours", "theirs"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4])])
def test_what_has_no_order_agrees_with_nothing(ours, theirs):
    assert weighted_tau(ours, theirs) is None
