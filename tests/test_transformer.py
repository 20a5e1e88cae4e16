"""FullNetworkEmbedding: a scikit-learn transformer, and the same numbers as the commands."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from joblib import Memory
from PIL import Image, ImageOps
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from fne_cli import FullNetworkEmbedding, transformer
from fne_cli.errors import BadInput
from fne_cli.numerics.transformer import TernaryEmbedding


@parametrize_with_checks(
    [TernaryEmbedding(), FullNetworkEmbedding(), *(FullNetworkEmbedding(embedding=name) for name in ("clipped", "l2"))]
)
def test_is_a_scikit_learn_transformer(estimator, check):
    check(estimator)


def test_codes_are_those_of_the_formula():
    rows = np.random.default_rng(0).normal(3, 2, (80, 7)).astype(np.float32)
    rows[:, 3] = 1.5
    scores = StandardScaler().fit(rows[:60].astype(np.float64)).transform(rows.astype(np.float64))
    codes = FullNetworkEmbedding(low=-0.5, high=0.25).fit(rows[:60]).transform(rows)
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes, (scores > 0.25).astype(int) - (scores < -0.5).astype(int))
    assert not codes[:, 3].any()


def test_other_embeddings_are_those_of_evaluate():
    rows = np.random.default_rng(0).normal(3, 2, (80, 7)).astype(np.float32)
    scores = StandardScaler().fit(rows[:60].astype(np.float64)).transform(rows.astype(np.float64))
    for name, expected in (
        ("standardized", scores),
        ("clipped", np.clip(scores, -2.5, 2.5)),
        ("l2", normalize(rows.astype(np.float64))),
        ("raw", rows),
    ):
        found = FullNetworkEmbedding(embedding=name).fit(rows[:60]).transform(rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(
        BadInput, match=r"should be one of fne, balanced, clipped, l2, raw, standardized; or pieces.* Found: 'forest'"
    ):
        FullNetworkEmbedding(embedding="forest").fit(rows)


def test_set_output_and_a_pipeline():
    rows = np.random.default_rng(0).normal(0, 1, (60, 5))
    labels = (rows[:, 0] > 0).astype(int)
    model = make_pipeline(FullNetworkEmbedding(), LinearSVC()).fit(rows, labels)
    assert model.score(rows, labels) > 0.9
    assert list(clone(FullNetworkEmbedding()).fit(rows).get_feature_names_out()) == [f"x{k}" for k in range(5)]


@pytest.fixture
def extracted(fne, photos: Path, network: Path, tmp_path: Path):
    """The codes that the commands make of the photos, and the paths of the images."""
    options = ("--model", network, "--preprocess", "torch", "--batch-size", 7)
    assert fne("extract", photos, tmp_path / "a.h5", *options).code == 0
    assert fne("normalize", tmp_path / "a.h5", tmp_path / "m.h5").code == 0
    assert fne("discretize", tmp_path / "a.h5", tmp_path / "m.h5", tmp_path / "c.h5").code == 0
    with h5py.File(tmp_path / "c.h5") as file:
        names = sorted(file["layers"], key=lambda name: file["layers"][name].attrs["order"])
        codes = np.hstack([file["layers"][name][:] for name in names])
        paths = [photos / path for path in file["images/path"].asstr()[:]]
        train = file["images/split"].asstr()[:] == "train"
    return codes, paths, train


def test_images_give_the_codes_of_the_commands(extracted, network):
    codes, paths, train = extracted
    ours = FullNetworkEmbedding(str(network), preprocess="torch", batch_size=7)
    ours.fit([path for path, chosen in zip(paths, train, strict=True) if chosen])
    np.testing.assert_array_equal(ours.transform(paths), codes)
    assert ours.get_feature_names_out()[:2].tolist() == ["conv1:0", "conv1:1"]
    assert len(ours.get_feature_names_out()) == codes.shape[1]
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.transform(paths[:3]), codes[:3])
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    np.testing.assert_array_equal(ours.transform(pixels), codes)
    ours.fit(np.eye(3))
    assert list(ours.get_feature_names_out()) == ["x0", "x1", "x2"], "those of the fit before"


def test_an_image_that_cannot_be_used_is_named(extracted, network, tmp_path):
    _, paths, _ = extracted
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    ours = FullNetworkEmbedding(str(network), preprocess="torch").fit(paths)
    with pytest.raises(BadInput, match=r"broken\.png should be an image"):
        ours.transform([paths[0], broken])


def test_images_of_all_kinds_are_the_same_images(extracted, network, tmp_path):
    codes, paths, train = extracted
    ours = FullNetworkEmbedding(str(network), preprocess="torch", batch_size=7).fit(
        [path for path, chosen in zip(paths, train, strict=True) if chosen]
    )
    opened = [Image.open(path) for path in paths[:6]]
    np.testing.assert_array_equal(ours.transform(opened), codes[:6])
    mixed = [paths[0], np.asarray(opened[1]), opened[2], str(paths[3])]
    np.testing.assert_array_equal(ours.transform(mixed), codes[:4])
    np.testing.assert_array_equal(ours.transform(pd.Series(paths[:4], index=list("abcd"))), codes[:4])
    turned = opened[0].copy()
    turned.getexif()[0x0112] = 3  # to be turned by 180 degrees
    turned.save(tmp_path / "turned.jpg", quality=95, exif=turned.getexif())
    for image in (Image.open(tmp_path / "turned.jpg"), opened[1].convert("CMYK"), opened[1].convert("L")):
        name = tmp_path / f"{image.mode}.tif"
        ImageOps.exif_transpose(image).save(name)
        np.testing.assert_array_equal(ours.activations([image]), ours.activations([name]))


def test_names_of_the_command_line_give_the_numbers_of_the_commands(fne, photos, network, tmp_path):
    options = ("--preprocess", "torch", "--batch-size", 10, "--pool", "avg:2", "--layers", "conv*", "--crops", 5)
    assert fne("extract", photos, tmp_path / "a.h5", "--model", network, *options).code == 0
    with h5py.File(tmp_path / "a.h5") as file:
        rows = np.hstack([file[f"layers/{name}"][:].reshape(130, -1) for name in ("conv1", "conv2")])
        paths = [photos / path for path in file["images/path"].asstr()[:]]
    ours = FullNetworkEmbedding(
        str(network), preprocess="torch", batch_size=10, pool="avg:2", layers="conv*", crops=5, image_size=12,
        thresholds=(-1, 1),
    )  # fmt: skip
    expected = rows.reshape(26, 5, -1).astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(ours.activations(paths), expected, rtol=1e-6)
    scores = StandardScaler().fit_transform(ours.activations(paths).astype(np.float64))
    np.testing.assert_array_equal(ours.fit_transform(paths), (scores > 1).astype(int) - (scores < -1).astype(int))
    frame = ours.set_output(transform="pandas").transform(paths)
    assert list(frame.columns[:2]) == ["conv1:0", "conv1:1"] and frame.shape == (26, rows.shape[1])


def test_a_grid_search_computes_every_image_once(photos, network, tmp_path, monkeypatch):
    paths = sorted(photos.glob("*/*/*.png"))
    labels = [path.parent.name for path in paths]
    computed = []
    real = transformer.pixels
    monkeypatch.setattr(transformer, "pixels", lambda image, geometry: computed.append(image) or real(image, geometry))
    ours = FullNetworkEmbedding(str(network), preprocess="torch", memory=Memory(tmp_path / "kept", verbose=0))
    grid = {"fullnetworkembedding__embedding": ["fne", "l2"], "linearsvc__C": [0.1, 1]}
    search = GridSearchCV(make_pipeline(ours, LinearSVC()), grid, cv=3, error_score="raise").fit(paths, labels)
    assert len(search.cv_results_["params"]) == 4
    assert sorted(computed) == paths
    plain = FullNetworkEmbedding(str(network), preprocess="torch")
    kept = clone(plain).set_params(memory=tmp_path / "kept")
    np.testing.assert_array_equal(kept.activations(paths), plain.activations(paths))
    assert len(computed) == 2 * len(paths), "of the one without a memory"
    some = next(path for path in (tmp_path / "kept").rglob("*") if path.is_file() and path.stat().st_size > 100)
    some.write_bytes(b"\0" * some.stat().st_size)
    np.testing.assert_array_equal(kept.activations(paths), plain.activations(paths))
    assert len(computed) == 3 * len(paths) + 1
    other = clone(kept).set_params(preprocess="tf")
    assert not np.array_equal(other.activations(paths[:3]), plain.activations(paths[:3]))


def test_only_asking_for_it_imports_scikit_learn():
    import subprocess
    import sys

    loaded = "print('sklearn' in sys.modules)"
    program = f"import sys, fne_cli; {loaded}; fne_cli.FullNetworkEmbedding; {loaded}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="nothing"):
        import fne_cli

        _ = fne_cli.nothing
