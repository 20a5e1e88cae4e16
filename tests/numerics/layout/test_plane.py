"""What t-SNE and UMAP keep of neighbours, by scikit-learn's measure, and that it comes out the same again."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from fne_cli.numerics.layout.plane import laid_out

_AGAIN = """
import numpy as np, sys
from fne_cli.numerics.layout.plane import laid_out
np.save(sys.argv[2], laid_out(sys.argv[1], np.load(sys.argv[3]), 3))
"""


@pytest.fixture
def rows():
    """150 digits."""
    found = load_digits().data[:150]
    return found - found.mean(axis=0)


def test_principal_components_stay_as_they_are(rows):
    assert np.array_equal(laid_out("pca", rows, 0), rows[:, :2])
    assert laid_out("pca", rows[:, :1], 0).shape == (150, 2)


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_neighbours_stay_neighbours_and_bits_stay_bits(rows, method, tmp_path):
    found = laid_out(method, rows, 3)
    assert trustworthiness(rows, found, n_neighbors=5) > 0.9
    np.save(tmp_path / "rows.npy", rows)
    words = [sys.executable, "-c", _AGAIN, method, tmp_path / "again.npy", tmp_path / "rows.npy"]
    alone = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(words, check=True, env=os.environ | alone)
    assert np.array_equal(np.load(tmp_path / "again.npy"), found)


def test_three_images_have_a_map():
    assert np.isfinite(laid_out("tsne", np.eye(3), 0)).all()
