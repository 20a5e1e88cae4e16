from pathlib import Path

import numpy as np
import pytest
from activations import relu, table, write
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler, normalize

from fne_cli.errors import BadInput, DamagedFile, DoesNotFit, WrongOptions
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.vectors.options import VectorOptions
from fne_cli.vectors.vectors import Vectors

MEMORY = 1 << 30
TRAIN = 20


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return {"one": relu(rng, 30, 7), "two": relu(rng, 30, 12)}


@pytest.fixture
def activations(tmp_path, layers):
    return write(tmp_path / "a.h5", layers, table(30, split=["train"] * TRAIN + ["test"] * 10))


def vectors_of(path: Path, images, memory=MEMORY, **options):
    with JoinedFiles(path, "activations", "codes", "standardized") as files:
        vectors = Vectors(files, VectorOptions(**options), memory)
        return vectors.rows(np.asarray(images)), vectors


def test_activations_are_rows_of_length_one(activations, layers):
    whole = np.concatenate(list(layers.values()), axis=1)
    rows, vectors = vectors_of(activations, [1, 4, 29])
    np.testing.assert_allclose(rows, normalize(whole.astype(float))[[1, 4, 29]], rtol=1e-6)
    assert vectors.described() == {"embedding": "l2", "layers": ["one", "two"]}
    alone, _ = vectors_of(activations, [3], layers=("two",))
    np.testing.assert_allclose(alone, normalize(layers["two"].astype(float))[[3]], rtol=1e-6)


def test_an_embedding_is_fitted_to_training_rows_only(activations, layers):
    whole = np.concatenate(list(layers.values()), axis=1).astype(float)
    rows, vectors = vectors_of(activations, range(30), embedding="standardized")
    np.testing.assert_allclose(rows, StandardScaler().fit(whole[:TRAIN]).transform(whole), rtol=1e-5, atol=1e-5)
    assert vectors.described()["rows"] == "train"
    every, vectors = vectors_of(activations, range(30), embedding="standardized", rows="all")
    np.testing.assert_allclose(every, StandardScaler().fit_transform(whole), rtol=1e-5, atol=1e-5)
    assert vectors.described()["rows"] == "all"


def test_a_reduction_is_that_of_scikit_learn(activations, layers):
    whole = normalize(np.concatenate(list(layers.values()), axis=1).astype(float))
    expected = PCA(5, svd_solver="full", whiten=True).fit(whole[:TRAIN]).transform(whole)
    rows, vectors = vectors_of(activations, range(30), embedding="length,pca:5,whiten")
    np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-4)
    assert vectors.count == 5


def test_codes_stay_packed(tmp_path):
    codes = np.random.default_rng(1).integers(-1, 2, (9, 21)).astype(np.int8)
    path = write(tmp_path / "c.h5", {"one": codes[:, :10], "two": codes[:, 10:]}, table(9), kind="codes")
    rows, vectors = vectors_of(path, [0, 8])
    assert isinstance(rows, PackedCodes)
    assert vectors.ternary
    np.testing.assert_array_equal(rows.dense(slice(0, 21), np.float32), codes[[0, 8]])
    made, vectors = vectors_of(write(tmp_path / "a.h5", {"one": codes.astype(np.float32)}, table(9)), [2],
                               embedding="fne")  # fmt: skip
    assert isinstance(made, PackedCodes)
    assert vectors.described()["thresholds"] == [-0.25, 0.15]


def test_crops_stand_one_after_the_other(tmp_path):
    rows = relu(np.random.default_rng(2), 6, 4)
    path = write(tmp_path / "a.h5", {"one": rows}, table(3), crops=2)
    found, vectors = vectors_of(path, [0, 2], embedding="raw")
    np.testing.assert_array_equal(found, rows[[0, 1, 4, 5]])
    assert vectors.crops == 2


def test_what_does_not_go_together_is_refused(tmp_path, activations):
    codes = write(tmp_path / "c.h5", {"one": np.ones((3, 8), np.int8)}, table(3), kind="codes")
    with pytest.raises(BadInput, match="should be an activations file for --embedding l2"):
        vectors_of(codes, [0], embedding="l2")
    with pytest.raises(WrongOptions, match="--pool avg should be avg, of activations"):
        vectors_of(codes, [0], pool="avg")
    with pytest.raises(WrongOptions, match="--thresholds goes with --embedding fne"):
        vectors_of(activations, [0], thresholds=(0.0, 1.0))
    with pytest.raises(WrongOptions, match="Found: l2, which is not fitted to any"):
        vectors_of(activations, [0], rows="all")


def test_values_that_are_not_finite_are_refused_with_the_image(tmp_path):
    rows = np.ones((3, 4), np.float32)
    rows[1, 2] = np.inf
    path = write(tmp_path / "a.h5", {"one": rows}, table(3, paths=["a.png", "b.png", "c.png"]))
    with pytest.raises(DamagedFile, match=r"not a number in those of b\.png"):
        vectors_of(path, [0, 1])


def test_what_does_not_fit_is_refused_before_it_is_computed(activations):
    with pytest.raises(DoesNotFit, match="Fitting pca:3 to 20 rows of 19 features"):
        vectors_of(activations, [0], memory=100, embedding="pca:3")
