"""Averages over maps from those over the cells of a grid: the same as Keras's where cells are of one size."""

from __future__ import annotations

import numpy as np
import pytest
from activations import table, write
from evaluation_files import evaluate

from fne_cli.errors import BadInput
from fne_cli.steps.rank import rank
from fne_cli.store.many.pooled import is_average

COUNT = 40


def texts(pooling: str, shape: str) -> dict[str, str]:
    return {"pooling": pooling, "output_shape": shape}


@pytest.fixture
def files(tmp_path):
    """The same maps of 4 x 6 x 3 pooled by avg:2 and by avg, and a dense layer; the maps are noise of two classes."""
    values = np.random.default_rng(3)
    labels = np.arange(COUNT, dtype=np.int32) % 2
    maps = values.normal(labels[:, None, None, None] * 0.4, 1, (COUNT, 4, 6, 3)).astype(np.float32)
    dense = values.normal(labels[:, None], 1, (COUNT, 5)).astype(np.float32)
    cells = [maps[:, :2, :3], maps[:, :2, 3:], maps[:, 2:, :3], maps[:, 2:, 3:]]
    pooled = np.concatenate([cell.mean(axis=(1, 2)) for cell in cells], axis=1)
    images = table(COUNT, label=labels, split=["train" if n % 4 < 2 else "test" for n in range(COUNT)])
    said = {"fc": texts("avg:2", "5")}
    grid = write(tmp_path / "grid.h5", {"conv": pooled, "fc": dense}, images,
                 texts=said | {"conv": texts("avg:2", "4 x 6 x 3")})  # fmt: skip
    whole = write(tmp_path / "whole.h5", {"conv": maps.mean(axis=(1, 2)), "fc": dense}, images)
    odd = write(tmp_path / "odd.h5", {"conv": pooled, "fc": dense}, images,
                texts=said | {"conv": texts("avg:2", "5 x 6 x 3")})  # fmt: skip
    return grid, whole, odd


def test_a_grid_gives_what_the_average_does(files, tmp_path):
    grid, whole, _ = files
    for options in ({"embedding": "z,pca:4,whiten", "classifier": "ridge"}, {"embedding": "raw"}, {}):
        found = evaluate(
            grid, tmp_path / "r.json", pool="avg", predictions=tmp_path / "a.csv", overwrite=True, **options
        )
        evaluate(whole, tmp_path / "s.json", predictions=tmp_path / "b.csv", overwrite=True, **options)
        ours, theirs = (
            np.array([line.split(",")[4:] for line in (tmp_path / name).read_text().splitlines()[1:]], float)
            for name in ("a.csv", "b.csv")
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
        assert found.results["settings"]["pool"] == "avg"
    assert [entry["features"] for entry in found.results["results"]] == [3, 5]
    own, other = (rank([path], **more).files[0].fits for path, more in ((grid, {"pool": "avg"}), (whole, {})))
    assert [fit.evidence for fit in own] == pytest.approx([fit.evidence for fit in other], rel=1e-5)


def test_what_does_not_say_it_is_refused(fne, files):
    refused = fne("evaluate", files[2], "--pool", "avg")
    assert (refused.code, "Found: a grid of 2 x 2 over a map of 5 x 6. Extract it with --pool avg." in refused.err) == (
        1, True,
    )  # fmt: skip
    with pytest.raises(BadInput, match="the layer conv should be pooled to cells of one size"):
        rank([files[1]], pool="avg")


@pytest.mark.parametrize(
    ("pooling", "shape", "exact"),
    [("avg:2", "4 x 6 x 8", True), ("avg:3", "4 x 6 x 8", False), ("avg", "5 x 5 x 8", True),
     ("max", "4 x 4 x 8", False), ("max:2", "512", True), ("none", "4 x 4 x 8", False),
     ("", "", False), ("avg:2", "", False)],
)  # fmt: skip
def test_which_poolings_say_it(pooling, shape, exact):
    assert is_average(pooling, shape) is exact
