"""fne scatter: the points are those of scikit-learn, and what is refused."""

from __future__ import annotations

import base64
import csv
import io
import json
import re

import numpy as np
import pytest
from activations import table
from activations import write as write_features
from PIL import Image
from sklearn.decomposition import PCA

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, DoesNotFit, WrongOptions
from fne_cli.steps.scatter import ScatterOptions, scatter
from fne_cli.store.other.cells import name_in


@pytest.fixture
def rows():
    """Of 40 images with 2 crops each, 5 clear directions."""
    rng = np.random.default_rng(2)
    return (rng.normal(size=(80, 5)) * [50, 20, 5, 2, 1] @ rng.normal(size=(5, 30))).astype(np.float32)


@pytest.fixture
def features(tmp_path, rows):
    images = table(
        40, split=["train", "test"] * 20, label=np.arange(40, dtype=np.int32) % 3, classes=("a", "b", "=c"), bad=(7,)
    )
    return write_features(tmp_path / "z.h5", {"one": rows[:, :12], "two": rows[:, 12:]}, images, crops=2,
                          kind="standardized")  # fmt: skip


def lines_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: name_in(value) for key, value in line.items()} for line in csv.DictReader(file)]


def test_points_lie_along_the_axes_of_training_images(features, rows, tmp_path):
    done = scatter(features, tmp_path / "map.csv")
    lines = lines_of(tmp_path / "map.csv")
    learned = PCA(2, svd_solver="full").fit(rows.reshape(40, 2, 30)[::2].reshape(-1, 30))
    expected = learned.transform(rows).reshape(40, 2, 2).mean(axis=1)
    expected = np.delete(expected, 7, axis=0)
    found = np.array([[float(line["x"]), float(line["y"])] for line in lines])
    assert np.allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert done.explained == pytest.approx(learned.explained_variance_ratio_.sum(), rel=1e-4)
    assert [line["path"] for line in lines] == [f"class/é{n}.png" for n in range(40) if n != 7]
    assert lines[2] == lines[2] | {"label": "=c", "split": "train"}
    assert (done.images, done.of, done.wrong) == (39, 39, None)


def test_a_sample_is_drawn_by_the_seed(features, tmp_path):
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        scatter(features, tmp_path / f"{name}.csv", options=ScatterOptions(points=10, seed=seed))
        drawn.append((tmp_path / f"{name}.csv").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]
    whole = {line["path"]: line["label"] for line in lines_of(tmp_path / "a.csv")}
    assert len(whole) == 10 and "class/é7.png" not in whole


def test_tsne_begins_with_the_same_rows(features, tmp_path):
    scatter(features, tmp_path / "map.csv", options=ScatterOptions(method="tsne"))
    assert len(lines_of(tmp_path / "map.csv")) == 39


def test_predictions_of_anybody_stand_beside_the_classes(features, tmp_path):
    said = [(f"class/é{n}.png", "a") for n in range(30)]
    (tmp_path / "p.csv").write_text("prediction,path,more\n" + "".join(f"{b},{a},1\n" for a, b in said))
    done = scatter(features, tmp_path / "map.csv", options=ScatterOptions(predictions=tmp_path / "p.csv"))
    lines = lines_of(tmp_path / "map.csv")
    assert [line["prediction"] for line in lines] == ["a"] * 29 + [""] * 10
    assert done.wrong == sum(line["label"] != "a" for line in lines[:29])


def test_the_same_command_again_and_another(features, tmp_path, fne):
    assert fne("scatter", features, tmp_path / "map.csv").code == 0
    before = (tmp_path / "map.csv").stat().st_mtime_ns
    result = fne("scatter", features, tmp_path / "map.csv")
    assert (result.code, result.err) == (0, f"{tmp_path / 'map.csv'} is up to date\n")
    assert (tmp_path / "map.csv").stat().st_mtime_ns == before
    with pytest.raises(DifferentOutput, match=r"settings\.method: .pca. in the existing output, .tsne. asked for"):
        scatter(features, tmp_path / "map.csv", options=ScatterOptions(method="tsne"))
    found = json.loads(fne("scatter", features, tmp_path / "map.csv", "--points", 9, "--overwrite", "--json").out)
    assert (found["images"], found["of"], found["method"]) == (9, 39, "pca")


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("map.png", {}, BadInput, r"map\.png should end in \.html \(a page\) or \.csv \(a table\)\. Found: \.png"),
        ("map.csv", {"images": "x"}, WrongOptions, "--images is for the pictures of a page"),
        ("map.html", {"thumbnails": 3}, WrongOptions, "--thumbnails goes with --images"),
        ("map.html", {"points": 10**6}, WrongOptions, "--points should be at most 200,000 on a page"),
        ("map.csv", {"memory": 1000}, DoesNotFit, "A map of 39 images with 30 columns should take at most 0.0 MiB"),
        ("map.html", {"images": "/nowhere"}, BadInput, "nowhere"),
    ],
)
def test_what_does_not_go_together(features, tmp_path, name, options, error, said):
    with pytest.raises(error, match=said):
        scatter(features, tmp_path / name, options=ScatterOptions(**options))
    assert not [path for path in tmp_path.iterdir() if path.name != "z.h5"]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("path,truth\na,b\n", BadInput, "with the columns path and prediction. Found: no such columns"),
        ("path,prediction\na,b,c\n", DamagedFile, "line 2 has 3 columns"),
        ("path,prediction\nother.png,b\n", BadInput, "1 paths, none of them here, where the first is class/é0.png"),
    ],
)
def test_predictions_that_do_not_fit(features, tmp_path, text, error, said):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(error, match=said):
        scatter(features, tmp_path / "map.csv", options=ScatterOptions(predictions=tmp_path / "p.csv"))


def test_a_page_has_small_pictures_of_some_images_wrong_ones_first(extract, photos, fne, tmp_path):
    assert extract(photos, tmp_path / "a.h5").code == 0
    assert fne("scatter", tmp_path / "a.h5", tmp_path / "all.csv").code == 0
    lines = lines_of(tmp_path / "all.csv")
    last = lines[-1]
    (tmp_path / "p.csv").write_text(
        "path,prediction\n" + "".join(f"{line['path']},{line['label'] * (1 + (line is last))}\n" for line in lines)
    )
    words = ("--images", photos, "--thumbnails", 1, "--predictions", tmp_path / "p.csv")
    result = fne("scatter", tmp_path / "a.h5", tmp_path / "map.html", *words)
    assert result.code == 0, result.err
    assert f"{len(lines)} images, 1 with a picture" in result.err and "1 are predicted wrong" in result.err
    content = (tmp_path / "map.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', content)[1])
    assert data["paths"] == [line["path"] for line in lines]
    assert list(data["pictures"]) == [str(len(lines) - 1)]
    assert Image.open(io.BytesIO(base64.b64decode(data["pictures"][str(len(lines) - 1)]))).size == (64, 64)
    size = max(np.ptp(data["x"]), np.ptp(data["y"]))
    assert size == pytest.approx(1, abs=1e-4)
