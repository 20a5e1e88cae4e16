"""The parts of a decision value add up to what the classifier says of the averages, or of the cells."""

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.localization.evidence import Cells
from fne_cli.numerics.localization.grids import grid_of, spread

GRIDS = [grid_of("avg:4", "8 x 8 x 5", 80), grid_of("none", "2 x 2 x 3", 12), grid_of("avg:4", "6", 6)]
AFFINE = ("standardized", "raw", "l2", "z,equal,depth:2", "z,length", "z,pca:4,whiten", "z,length,pca:4,length")
NOT_AFFINE = ("fne", "clipped", "balanced", "z,pca:4,root")


def made(name, averaged, several=60):
    """Rows of the grid and what a classifier sees of them; the classifier; and the parts."""
    rng = np.random.default_rng(3)
    rows = rng.gamma(2, 3, (several, 98)).astype(np.float32)
    seen = rows
    if averaged:
        first, second, dense = rows[:, :80].reshape(-1, 16, 5), rows[:, 80:92].reshape(-1, 4, 3), rows[:, 92:]
        seen = np.concatenate([first.mean(axis=1), second.mean(axis=1), dense], axis=1).astype(np.float32)
    widths = [5, 3, 6] if averaged else [80, 12, 6]
    fitted = embedding(name).fit([seen], widths)
    encoded = fitted.encode(seen)
    weights, intercepts = rng.normal(size=(3, encoded.shape[1])), rng.normal(size=3)
    return rows, encoded @ weights.T + intercepts, Cells(weights, intercepts, fitted, GRIDS, averaged, name)


@pytest.mark.parametrize("name", AFFINE)
def test_averages(name):
    rows, decisions, cells = made(name, averaged=True)
    for row, expected in zip(rows[:5], decisions, strict=False):
        found = [cells.of(row, number) for number in range(3)]
        assert found[0].map.shape == (4, 4)
        np.testing.assert_allclose([one.decision for one in found], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", AFFINE + NOT_AFFINE[:3])
def test_cells(name):
    rows, decisions, cells = made(name, averaged=False)
    for row, expected in zip(rows[:5], decisions, strict=False):
        found = [cells.of(row, number).decision for number in range(3)]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NOT_AFFINE)
def test_what_does_not_add_up_is_refused(name):
    with pytest.raises(BadInput, match="should add up to the decision value"):
        made(name, averaged=name != "z,pca:4,root")


def test_a_cell_that_differs_has_the_difference():
    rows, _, cells = made("standardized", averaged=True)
    other = rows[0].copy()
    other[80:83] += 5  # the first cell, top left, of the coarser layer
    apart = cells.of(other, 1).map - cells.of(rows[0], 1).map
    assert np.abs(apart[:2, :2]).min() > 0
    np.testing.assert_allclose(apart[:2, :2], apart[0, 0])
    assert not apart[2:].any() and not apart[:, 2:].any()


def test_maps_keep_their_sum_at_any_size():
    values = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(spread(values, 4, 6), np.kron(values / 4, np.ones((2, 2))))
    assert spread(values, 5, 4).sum() == pytest.approx(15)
    np.testing.assert_allclose(spread(np.array([[1.0, 2.0, 3.0]]), 1, 2), [[2.0, 4.0]])


@pytest.mark.parametrize(
    ("pooling", "shape", "features", "alike"),
    [("avg:7", "14 x 14 x 4", 196, True), ("avg:7", "13 x 13 x 4", 196, False), ("max:2", "4 x 4 x 4", 16, False)],
)
def test_whether_cells_are_alike(pooling, shape, features, alike):
    assert grid_of(pooling, shape, features).alike is alike


@pytest.mark.parametrize(("pooling", "shape"), [("avg:7", "14 x 14 x 5"), ("", "14 x 14 x 4"), ("avg:7", "14 x 4")])
def test_other_rows_are_no_grid(pooling, shape):
    assert grid_of(pooling, shape, 196) is None
