"""clipped: z-scores cut at 2.5 on both sides, from the fit to the command and the saved classifier."""

import json

import numpy as np
import pytest
from evaluation_files import evaluate, write
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from fne_cli.numerics.embedding import embedding


def test_by_hand():
    """Of 0 ... 3 the mean is 1.5 and the deviation sqrt(1.25); a constant feature is 0 whatever comes later."""
    rows = np.array([[0, 5], [1, 5], [2, 5], [3, 5]], np.float32)
    fitted = embedding("clipped").fit([rows], [2])
    found = fitted.encode(np.array([[1.5, 5], [2.5, 9], [100, 5], [-100, 5]], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 0], [1 / np.sqrt(1.25), 0], [2.5, 0], [-2.5, 0]], rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_batches_do_not_matter_and_scikit_learn_agrees(seed, batch):
    rows = np.random.default_rng(seed).normal(3, 2, (40, 6)).astype(np.float32) ** 3
    fitted = embedding("clipped").fit((rows[start : start + batch] for start in range(0, 40, batch)), [6])
    expected = StandardScaler().fit_transform(rows.astype(np.float64)).clip(-2.5, 2.5)
    np.testing.assert_allclose(fitted.encode(rows), expected, rtol=1e-5, atol=1e-6)


def test_a_wild_feature_of_one_image_outweighs_no_more(fne, tmp_path):
    """Two classes differ in the first feature; some images have a huge second one, which says nothing."""
    values = np.random.default_rng(2)
    labels = np.arange(200) % 2
    rows = values.normal(0, 1, (200, 2)).astype(np.float32)
    rows[:, 0] += 3 * labels
    rows[::17, 1] = 1e4
    splits = ["train" if number % 4 < 2 else "test" for number in range(200)]
    source = write(tmp_path / "a.h5", {"x": rows}, labels, splits, ("a", "b"), kind="activations")
    done = fne("evaluate", source, tmp_path / "r.json", "--embedding", "clipped", "--model", tmp_path / "m.npz")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["settings"]["embedding"] == "clipped"
    assert results["results"][0]["accuracy"] > 0.9
    predicted = fne("predict", tmp_path / "m.npz", source, tmp_path / "p.csv", "--rows", "test")
    assert predicted.code == 0, predicted.err
    right = round(results["results"][0]["accuracy"] * splits.count("test"))
    assert f"{right} of the {splits.count('test')} with a known label are right" in predicted.err


def test_thresholds_are_not_for_it(tmp_path):
    source = write(tmp_path / "a.h5", {"x": np.ones((4, 2), np.float32)}, [0, 1] * 2, ["train"] * 4, kind="activations")
    with pytest.raises(Exception, match="--thresholds goes with --embedding fne"):
        evaluate(source, embedding="clipped", thresholds=(-1.0, 1.0))
