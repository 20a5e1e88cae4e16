import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.numerics.statistics.strongest import largest


@given(st.integers(0, 999), st.integers(1, 30))
def test_is_a_stable_sort(seed, count):
    values = np.random.default_rng(seed).integers(-3, 4, (4, 5)).astype(np.float32)
    values[values == 3] = np.nan
    order = np.argsort(np.where(np.isnan(values), 99, -values).ravel(), kind="stable")[:count]
    rows, columns = largest(values, count)
    assert (rows * 5 + columns).tolist() == order.tolist()
