"""fne rank: figures of training images only, of every layer and the whole, against other people's code."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from evaluation_files import codes_of, noisy, write
from sklearn.covariance import LedoitWolf
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestNeighbors

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, DoesNotFit, WrongFile
from fne_cli.steps.rank import measure, rank, sources
from fne_cli.steps.rank.sources import WHOLE


@pytest.fixture
def task():
    """Rows of 60 training and 60 test images: two layers, the second wider than there are training images."""
    rows, labels, splits = noisy(features=20)
    generator = np.random.default_rng(8)
    wide = np.maximum(rows @ generator.normal(0, 1, (20, 90)) + 2, 0)
    return {"conv": rows.astype(np.float32), "fc": wide.astype(np.float32)}, labels, splits


@pytest.fixture
def file(tmp_path, task):
    layers, labels, splits = task
    return write(tmp_path / "a.h5", layers, labels, splits, kind="activations", settings={"network": "net", "crops": 1})


def training(task):
    layers, labels, splits = task
    chosen = np.array(splits) == "train"
    parts = {name: rows[chosen].astype(float) for name, rows in layers.items()}
    return {WHOLE: np.concatenate(list(parts.values()), axis=1), **parts}, np.array(labels)[chosen]


def log_me(rows, labels):
    """The authors' fixed point, from the thin SVD."""
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    (n, d), squares, found = rows.shape, singular**2, []
    for label in np.unique(labels):
        y = (labels == label).astype(float)
        z2 = (left.T @ y) ** 2
        a = b = 1.0
        for _ in range(11):
            t = a / b
            gamma = np.sum(squares / (squares + t))
            m2 = np.sum(squares * z2 / (t + squares) ** 2)
            res2 = np.sum(z2 / (1 + squares / t) ** 2) + y @ y - z2.sum()
            a, b = gamma / (m2 + 1e-5), (n - gamma) / (res2 + 1e-5)
            if abs(a / b - t) / t <= 1e-3:
                break
        logs = d * np.log(a) + n * np.log(b) - np.log(a + b * squares).sum() - n * np.log(2 * np.pi)
        found.append((logs - b * res2 - a * m2) / 2 / n)
    return np.mean(found)


def h_score(rows, labels):
    means = np.stack([(rows - rows.mean(axis=0))[labels == label].mean(axis=0) for label in labels])
    return np.trace(np.linalg.inv(LedoitWolf().fit(rows).covariance_) @ (means.T @ means / len(rows)))


def voted(rows, labels, count):
    distances, places = NearestNeighbors(n_neighbors=count + 1, metric="cosine").fit(rows).kneighbors(rows)
    votes = [
        np.bincount(labels[place[place != own]], np.exp((1 - distance[place != own]) / 0.07)).argmax()
        for own, (distance, place) in enumerate(zip(distances, places, strict=True))
    ]
    return balanced_accuracy_score(labels, votes)


def alike(first, second):
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    norm = np.linalg.norm
    return norm(first.T @ second) ** 2 / norm(first.T @ first) / norm(second.T @ second)


def test_every_figure_is_other_peoples(task, file):
    found = rank([file], neighbours=7, cka=True)
    rows, labels = training(task)
    assert found.rows == "train"
    (one,) = found.files
    assert (one.network, one.images, one.rows, one.classes) == ("net", 60, 60, 3)
    assert [fit.name for fit in one.fits] == [WHOLE, "conv", "fc"]
    for fit in one.fits:
        own = rows[fit.name]
        assert fit.features == own.shape[1]
        assert fit.log_me == pytest.approx(log_me(own, labels), abs=1e-6)
        assert fit.h_score == pytest.approx(h_score(own, labels), rel=1e-8)
        assert fit.shrinkage == pytest.approx(LedoitWolf().fit(own).shrinkage_, abs=1e-9)
        assert fit.neighbours_accuracy == pytest.approx(voted(own, labels, 7))
    assert found.likeness.names == ["conv", "fc", WHOLE]
    for place, name in enumerate(found.likeness.names):
        for other_place, other in enumerate(found.likeness.names):
            assert found.likeness.matrix[place][other_place] == pytest.approx(alike(rows[name], rows[other]))


def test_test_images_bad_ones_and_unlabelled_ones_are_not_looked_at(tmp_path, task, file):
    layers, labels, splits = task
    other = {name: rows.copy() for name, rows in layers.items()}
    out = np.array(splits) == "test"
    for rows in other.values():
        rows[out] = 1e6
    rows = rank([write(tmp_path / "b.h5", other, labels, splits, kind="activations")]).files[0].fits
    assert rows == rank([file]).files[0].fits
    training_places = np.flatnonzero(~out)
    left_out = [*labels]
    left_out[training_places[4]] = -1
    for layer in other.values():
        layer[training_places[[3, 4]]] = np.nan
    bad = (int(training_places[3]),)
    found = rank([write(tmp_path / "c.h5", other, left_out, splits, kind="activations", bad=bad)])
    assert found.files[0].images == 58


def test_batches_change_nothing(monkeypatch, file):
    first = rank([file], cka=True)
    monkeypatch.setattr(sources, "_BATCH_BYTES", 3000)
    again = rank([file], cka=True)
    for ours, theirs in zip(first.files[0].fits, again.files[0].fits, strict=True):
        assert ours.log_me == pytest.approx(theirs.log_me, abs=1e-9)
        assert ours.neighbours_accuracy == theirs.neighbours_accuracy
    np.testing.assert_allclose(np.array(first.likeness.matrix), np.array(again.likeness.matrix), rtol=1e-9)


def test_of_many_rows_the_neighbours_of_some_are_looked_for(monkeypatch, task, file):
    monkeypatch.setattr(measure, "QUERIES", 40)
    rows, labels = training(task)
    first, again, other = (rank([file], neighbours=5, seed=seed).files[0] for seed in (0, 0, 1))
    assert first == again
    assert [fit.neighbours_accuracy for fit in first.fits] != [fit.neighbours_accuracy for fit in other.fits]
    chosen = np.sort(np.random.default_rng(0).choice(60, 40, replace=False))
    searched = NearestNeighbors(n_neighbors=6, metric="cosine").fit(rows["conv"])
    distances, places = searched.kneighbors(rows["conv"][chosen])
    said = [
        np.bincount(labels[place[1:]], np.exp((1 - distance[1:]) / 0.07)).argmax()
        for distance, place in zip(distances, places, strict=True)
    ]
    assert first.fits[1].neighbours_accuracy == pytest.approx(balanced_accuracy_score(labels[chosen], said))


def test_every_crop_is_a_row_and_no_neighbour_of_its_image(tmp_path, task):
    layers, labels, splits = task
    rows = {"conv": np.repeat(layers["conv"], 2, axis=0)}
    path = write(tmp_path / "crops.h5", rows, labels, splits, kind="activations", crops=2)
    single = write(tmp_path / "one.h5", {"conv": layers["conv"]}, labels, splits, kind="activations")
    found, alone = (rank([one], neighbours=1).files[0] for one in (path, single))
    assert (found.images, found.rows) == (60, 120)
    assert [fit.name for fit in found.fits] == ["conv"]
    assert found.fits[0].neighbours_accuracy == alone.fits[0].neighbours_accuracy < 1


def test_codes_and_z_scores_are_ranked_too(tmp_path, task):
    layers, labels, splits = task
    path = write(tmp_path / "c.h5", {"conv": codes_of(layers["conv"])}, labels, splits)
    rows, trained = training(task)
    (fit,) = rank([path]).files[0].fits
    assert fit.log_me == pytest.approx(log_me(codes_of(rows["conv"]).astype(float), trained), abs=1e-6)


@pytest.fixture
def two(tmp_path, task, file):
    """The file, and one whose features say nothing."""
    _, labels, splits = task
    noise = {"conv": np.random.default_rng(3).normal(0, 1, (120, 30)).astype(np.float32)}
    return [write(tmp_path / "noise.h5", noise, labels, splits, kind="activations"), file]


def test_the_best_file_comes_first(fne, two):
    result = fne("rank", *two, "--cka")
    assert result.code == 0
    table, matrix = result.out.split("\n\n")
    assert table.splitlines()[1].split()[:3] == [str(two[1]), "all", "layers"]
    assert table.splitlines()[4].split()[:2] == [str(two[0]), "conv"]
    lines = matrix.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4"]  # layers of both, the whole of the second
    assert all(line.split()[-4:][place] == "1.00" for place, line in enumerate(lines[1:]))


def test_json(fne, two):
    found = json.loads(fne("rank", *two, "--cka", "--json").out)
    assert list(found) == ["rows", "files", "cka"]
    assert [one["file"] for one in found["files"]] == [str(two[1]), str(two[0])]
    assert set(found["files"][0]["fits"][0]) == {
        "name", "features", "log_me", "evidence", "h_score", "shrinkage", "neighbours_accuracy",
    }  # fmt: skip
    assert found["cka"]["files"] == [str(two[0]), str(two[1]), str(two[1]), str(two[1])]
    assert found["cka"]["names"] == ["conv", "conv", "fc", WHOLE]


def test_csv_is_written_once_and_read_back(fne, tmp_path, two):
    path = tmp_path / "ranking.csv"
    first = fne("rank", *two, "--cka", "--csv", path)
    assert (first.code, first.err.splitlines()[-1]) == (0, str(path))
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["layer"]) for row in rows] == [
        (str(two[1]), WHOLE), (str(two[1]), "conv"), (str(two[1]), "fc"), (str(two[0]), "conv"),
    ]  # fmt: skip
    found = rank(two)
    assert float(rows[0]["log_me"]) == found.files[0].whole.log_me
    with open(tmp_path / "ranking.cka.csv", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["file", "layer", *(f"{line[0]}:{line[1]}" for line in lines)]
    again = fne("rank", *two, "--cka", "--csv", path)
    assert (again.out, again.err) == (first.out, f"{path} is up to date\n")
    assert fne("rank", *two, "--cka", "--csv", path, "--json").out == fne("rank", *two, "--cka", "--json").out
    with pytest.raises(DifferentOutput, match=r"settings\.neighbours: 20 in the existing output, 3 asked for"):
        rank(two, cka=True, csv=path, neighbours=3)
    mine = tmp_path / "mine.csv"
    mine.write_text("a,b\n")
    with pytest.raises(DifferentOutput, match="is not the ranking of these files"):
        rank(two, csv=mine)
    with pytest.raises(BadInput, match=r"should be a file to write that ends in \.csv. Found: \.txt"):
        rank(two, csv=tmp_path / "ranking.txt")


def test_names_in_csv_are_no_formulas(tmp_path, task):
    layers, labels, splits = task
    settings = {"network": "=1+1", "crops": 1}
    path = write(tmp_path / "a.h5", {"@x": layers["conv"]}, labels, splits, kind="activations", settings=settings)
    first = rank([path], csv=tmp_path / "r.csv")
    assert "'=1+1,'@x," in (tmp_path / "r.csv").read_text()
    again = rank([path], csv=tmp_path / "r.csv")
    assert again.up_to_date and again.files == first.files


def test_layers_and_rows_that_were_asked_for(task, file):
    (one,) = rank([file], layers=["f*"], rows="test").files
    assert [fit.name for fit in one.fits] == ["fc"]
    layers, labels, splits = task
    out = np.array(splits) == "test"
    assert one.fits[0].log_me == pytest.approx(log_me(layers["fc"][out].astype(float), np.array(labels)[out]), abs=1e-6)
    with pytest.raises(BadInput, match="no layer"):
        rank([file], layers=["nothing"])


def test_without_splits_all_images_count_and_that_is_said(fne, tmp_path, task):
    layers, labels, _ = task
    path = write(tmp_path / "n.h5", layers, labels, [""] * 120, kind="activations")
    result = fne("rank", path)
    assert "has no splits: all 120 rows count as training rows" in result.err


def test_what_cannot_be_compared(tmp_path, task, file):
    layers, labels, splits = task
    fewer = write(tmp_path / "f.h5", layers, labels, splits, kind="activations", bad=(1,))
    with pytest.raises(WrongFile, match=r"f.h5 should have the training images of .*a.h5.* Found: 59 instead of 60"):
        rank([file, fewer])
    classes = write(tmp_path / "k.h5", layers, labels, splits, ("a", "b", "d"), kind="activations")
    with pytest.raises(WrongFile, match=r"Found: \d+.png of class d instead of c"):
        rank([file, classes])
    crops = {name: np.repeat(rows, 2, axis=0) for name, rows in layers.items()}
    double = write(tmp_path / "d.h5", crops, labels, splits, kind="activations", crops=2)
    assert len(rank([file, double]).files) == 2
    with pytest.raises(WrongFile, match="Found: 2 crops instead of 1"):
        rank([file, double], cka=True)
    with pytest.raises(BadInput, match=r"Every FILE should be another one\. Found: .*a\.h5 twice"):
        rank([file, file])


def test_shards_are_to_be_merged(fne, tmp_path, task):
    from activations import shards, table

    layers, labels, splits = task
    label = np.array(labels, np.int32)
    images = table(120, label=label, split=splits, classes=("a", "b", "c"))
    parts = shards(tmp_path, layers, images, 3)
    result = fne("rank", *parts)
    assert result.code == 1
    assert "Make one file of the shards: fne merge." in result.err
    alone = fne("rank", parts[0])
    assert (alone.code, "shard" in alone.err) == (0, True)
    whole = tmp_path / "whole.h5"
    assert fne("merge", *parts, whole).code == 0
    assert fne("rank", whole).code == 0


def test_tasks_that_are_none(tmp_path, task):
    layers, labels, splits = task
    several = (np.random.default_rng(1).random((120, 3)) < 0.4).astype(np.int8)
    with pytest.raises(BadInput, match=r"should have one label per image\. Found: several"):
        rank([write(tmp_path / "s.h5", layers, several, splits, kind="activations")])
    with pytest.raises(BadInput, match=r"at least two classes among the rows 'train'\. Found: 60 of 1"):
        rank([write(tmp_path / "o.h5", layers, [1] * 120, splits, kind="activations")])
    layers["fc"][1, 4] = np.inf
    with pytest.raises(DamagedFile, match=r"finite features. Found: infinity or not a number in those of 1\.png"):
        rank([write(tmp_path / "i.h5", layers, labels, splits, kind="activations")])


def test_too_little_memory_is_said_before_the_work(fne, tmp_path, file):
    with pytest.raises(DoesNotFit, match=r"all layers has 110 features and 60 rows, whose products take 0\.0 GiB"):
        rank([file], memory=1000)
    result = fne("rank", file, "--csv", tmp_path / "r.csv", "--memory", "1K")
    assert result.code == 1 and not list(tmp_path.glob("r*"))


def test_a_class_without_training_images_does_not_count(tmp_path, task):
    layers, labels, splits = task
    rows, trained = training(task)
    path = write(tmp_path / "m.h5", layers, np.array(labels) * 2, splits, ("a", "x", "b", "y", "c"), kind="activations")
    (one,) = rank([path]).files
    assert one.classes == 3
    assert one.fits[1].log_me == pytest.approx(log_me(rows["conv"], trained), abs=1e-6)


def test_the_matrix_is_drawn_and_not_twice(fne, file, tmp_path):
    command = ("rank", file, "--cka", "--csv", tmp_path / "r.csv", "--figures", tmp_path / "figures")
    first = fne(*command)
    assert first.code == 0, first.err
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "figures").glob("cka.*")}
    assert sorted(drawn) == ["cka.png", "cka.svg"]
    assert drawn["cka.png"][:4] == b"\x89PNG"
    assert "up to date" in fne(*command).err
    (tmp_path / "figures" / "cka.png").unlink()
    again = fne(*command)  # of the table that is there
    assert again.code == 0, again.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "figures").glob("cka.*")} == drawn
    refused = fne("rank", file, "--figures", tmp_path / "figures")
    assert (refused.code, "Give --cka with it." in refused.err) == (2, True)
