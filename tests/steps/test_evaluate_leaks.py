"""Test images that are training images: said, and left out if so asked."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import evaluate, noisy, write
from pictures import write_image

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.protocols import folds
from fne_cli.steps.evaluate import Protocol

SHARED = 7


@pytest.fixture
def task():
    """60 training images and 60 test images, of which 7 have the bytes of a training image."""
    rows, labels, splits = noisy(features=20)
    contents = [f"{number:064x}" for number in range(120)]
    for number in range(SHARED):
        contents[2 * number] = contents[2 * number + 51]  # even numbers are for testing
    return rows.astype(np.float32), labels, splits, contents


@pytest.fixture
def leaking(tmp_path, task):
    rows, labels, splits, contents = task
    return write(tmp_path / "leaking.h5", {"one": rows}, labels, splits, kind="activations", sha256=contents)


@pytest.fixture
def clean(tmp_path, task):
    """The same without those images."""
    rows, labels, splits, _ = task
    kept = np.array([number for number in range(120) if number not in range(0, 2 * SHARED, 2)])
    return write(
        tmp_path / "clean.h5", {"one": rows[kept]}, labels[kept], [splits[place] for place in kept], kind="activations"
    )


class Notes:
    def __init__(self):
        self.notes = []

    def __getattr__(self, name):
        from fne_cli.progress import SILENT

        return self.notes.append if name in ("note", "once") else getattr(SILENT, name)


def told(path, **options):
    notes = Notes()
    done = evaluate(path, progress=notes, **options)
    return done.results, [note for note in notes.notes if "byte for byte" in note]


def test_copies_are_said_and_measured_all_the_same(leaking, clean):
    results, notes = told(leaking)
    assert notes == [
        "7 of 60 test images are byte for byte training images, 6 of them under another label, such as "
        "0.png and 51.png: they are measured all the same; --without-leaks leaves them out"
    ]
    assert results["results"][0]["test_rows"] == 60
    assert "without_leaks" not in results["settings"]["protocol"]
    assert told(clean)[1] == []


def test_without_leaks_the_figures_are_those_of_the_other_images(leaking, clean):
    results, notes = told(leaking, protocol=Protocol(without_leaks=True))
    (found,), (expected,) = results["results"], told(clean)[0]["results"]
    for figure in ("accuracy", "mean_per_class_accuracy", "objective", "test_rows", "confusion"):
        assert found[figure] == expected[figure]
    assert results["images"]["test_images_left_out_as_copies"] == SHARED
    assert results["settings"]["protocol"]["without_leaks"] is True
    assert notes[0].endswith("they are left out")


def test_draws_and_folds_leave_out_what_they_may_learn_from(leaking):
    results, _ = told(leaking, protocol=Protocol(per_class=(2, 15), draws=3, without_leaks=True))
    # drawn or not: all draws, of all sizes, measure the same images
    assert results["images"]["test_images_left_out_as_copies"] == SHARED
    assert [trial["test_rows"] for entry in results["results"] for trial in entry["each_trial"]] == [53] * 6
    results, notes = told(leaking, protocol=Protocol(cv=4, rows="all", without_leaks=True))
    assert "of 120 test images are byte for byte training images of the same trial" in notes[0]
    # of a pair both are measured, unless they fall into different folds; then neither is
    assert results["images"]["test_images_left_out_as_copies"] % 2 == 0
    assert results["results"][0]["test_rows"] == 120 - results["images"]["test_images_left_out_as_copies"]


def test_boxes_of_one_picture_are_no_copies(tmp_path, task):
    from activations import table
    from activations import write as write_features

    images = table(
        40,
        paths=[f"{number % 20}.png#{number},0,{number + 1},2" for number in range(40)],
        split=["train"] * 20 + ["test"] * 20,
        label=np.arange(40, dtype=np.int32) % 2,
    )
    images.sha256[:] = [f"{number % 20:064x}" for number in range(40)]
    path = write_features(tmp_path / "boxes.h5", {"one": task[0][:40]}, images)
    assert told(path)[1] == []


def test_nothing_left_is_an_error(tmp_path, task):
    rows, labels, splits, _ = task
    path = write(tmp_path / "a.h5", {"one": rows}, labels, splits, kind="activations", sha256=["5" * 64] * 120)
    with pytest.raises(BadInput, match="all of them are byte for byte training images"):
        evaluate(path, protocol=Protocol(without_leaks=True))


def test_the_command_and_the_page_say_it(tmp_path, leaking, fne):
    results, page = tmp_path / "r.json", tmp_path / "page.html"
    done = fne("evaluate", leaking, results, "--without-leaks")
    assert "7 of 60 test images are byte for byte training images" in done.err
    assert json.loads(results.read_text())["images"]["test_images_left_out_as_copies"] == SHARED
    assert fne("report", results, page).code == 0
    assert "7 test images" in page.read_text()


def test_folds_leave_out_exactly_what_has_a_copy_in_another_fold(leaking, tmp_path, task):
    _, labels, _, contents = task
    predictions = tmp_path / "p.csv"
    evaluate(leaking, protocol=Protocol(cv=4, rows="all", without_leaks=True), predictions=predictions)
    fold = np.empty(120, int)
    for number, trial in enumerate(folds(labels, np.arange(120), 4, 0)):
        fold[trial.test] = number
    wanted = {
        f"{one}.png"
        for one in range(120)
        if all(fold[one] == fold[other] for other in range(120) if contents[other] == contents[one])
    }
    assert len(wanted) < 120
    with predictions.open() as file:
        assert {row["path"] for row in csv.DictReader(file)} == wanted


def test_a_manifests_split_and_copies_among_validation_images(leaking, tmp_path):
    split = tmp_path / "split.csv"
    parts = ["train" if number % 2 else "val" if number in (0, 80) else "test" for number in range(120)]
    split.write_text("\n".join(["path,split", *(f"{number}.png,{part}" for number, part in enumerate(parts))]))
    results, notes = told(leaking, protocol=Protocol(split=split, without_leaks=True), cost=(0.1, 1))
    assert (results["images"]["test"], results["images"]["validation"]) == (52, 2)
    assert results["images"]["test_images_left_out_as_copies"] == SHARED - 1
    assert notes[1] == "1 of 2 validation images is byte for byte training images"


def test_the_same_box_is_a_copy_and_another_label_is_said(tmp_path, task):
    rows, labels, splits, _ = task
    contents = [f"{number:064x}" for number in range(120)]
    contents[10], contents[20], contents[30] = contents[3], contents[5], ""  # what was never read is like nothing
    contents[33] = ""
    paths = [f"{number}.png" for number in range(120)]
    paths[10], paths[3], paths[20], paths[5] = "a.png#0,0,8,8", "b.png#0,0,8,9", "c.png#1,2,3,4", "d.png#1,2,3,4"
    labels[20], labels[5] = 0, 1
    path = write(tmp_path / "b.h5", {"one": rows}, labels, splits, kind="activations", sha256=contents, paths=paths)
    assert told(path)[1] == [
        "1 of 60 test images is byte for byte training images, 1 of them under another label, such as c.png#1,2,3,4 "
        "and d.png#1,2,3,4: it is measured all the same; --without-leaks leaves it out"
    ]


def test_several_labels(tmp_path, task):
    rows, labels, splits, contents = task
    several = np.eye(3, dtype=np.int8)[labels]
    path = write(tmp_path / "s.h5", {"one": rows}, several, splits, kind="activations", sha256=contents)
    results, _ = told(path, protocol=Protocol(without_leaks=True))
    assert results["images"]["test_images_left_out_as_copies"] == SHARED


def test_copies_in_another_file_and_workers(leaking, tmp_path, task):
    rows, labels, splits, contents = task
    other = [f"{number + 1000:064x}" for number in range(120)]
    other[40] = contents[1]
    paths = [f"other/{number}.png" for number in range(120)]
    more = write(tmp_path / "m.h5", {"one": rows}, labels, splits, kind="activations", sha256=other, paths=paths)
    both, protocol = [leaking, more], Protocol(per_class=(2, 5), draws=2, without_leaks=True)
    alone = evaluate(both, tmp_path / "alone.json", protocol).results
    assert alone["images"]["test_images_left_out_as_copies"] == SHARED + 1
    shared = evaluate(both, tmp_path / "shared.json", protocol, cluster=cluster_of(Here())).results
    assert (shared["results"], shared["fingerprint"]) == (alone["results"], alone["fingerprint"])


CONFIG = """
[experiment]
output = "out"
[datasets.noise]
images = "noise"
[networks.mini]
model = "mini"
layers = "fc2"
[embeddings.fne]
[embeddings.z]
embedding = "standardized"
[protocols.split]
"""


def test_fne_run_tells_a_dataset_once_and_has_the_key(fne, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        split = "train" if number < 6 else "test"
        write_image(tmp_path / "noise" / split / "abc"[number % 3] / f"{number}.png", number, (32, 32))
    shutil.copy("noise/train/a/0.png", "noise/test/b/copy.png")
    Path("noise.toml").write_text(CONFIG)
    done = fne("run", "noise.toml")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "byte for byte" in line]
    assert line == (
        "1 of 7 test images is byte for byte training images, 1 of them under another label, such as test/b/copy.png "
        "and train/a/0.png: it is measured all the same; --without-leaks leaves it out"
    )
    Path("without.toml").write_text(CONFIG + "without_leaks = true\n")
    done = fne("run", "without.toml", "--set", "experiment.output=without")
    assert done.code == 0, done.err
    for embedding in ("fne", "z"):
        found = json.loads(Path(f"without/noise/mini.avg/{embedding}.split.json").read_text())
        assert (found["images"]["test"], found["images"]["test_images_left_out_as_copies"]) == (6, 1)
