"""fne evaluate --without-leaks: test images whose bytes are trained on, by every protocol."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import codes_of, evaluate, noisy, write
from pictures import write_image

from fne_cli.numerics.evaluation.protocols import folds
from fne_cli.progress import Progress
from fne_cli.steps.evaluate import Protocol

COPIES = {10: 3, 24: 24, 40: 7, 41: 7, 50: 52}  # 10, 40 and 50 are tested; 3, 7 and 41 trained on; 52 is tested


@pytest.fixture
def planted(tmp_path) -> Path:
    rows, labels, splits = noisy()
    return write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits, copies=COPIES)


class Heard(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_leaks_are_told_with_numbers_and_an_example(fne, planted):
    done = fne("evaluate", planted)
    assert done.code == 0
    (line,) = [line for line in done.err.splitlines() if "byte for byte" in line]
    assert line.endswith(", such as 10.png, which is 3.png: --without-leaks leaves them out")
    assert "2 of 60 test images are byte for byte training images" in line


def test_leaving_them_out_is_measuring_the_others(fne, planted, tmp_path):
    done = fne("evaluate", planted, tmp_path / "r.json", "--without-leaks", "--predictions", tmp_path / "p.csv")
    assert done.code == 0, done.err
    assert "which is 3.png; left out" in done.err
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["images"]["test"], found["images"]["leaks_left_out"]) == (58, 2)
    assert found["settings"]["protocol"] == {"without_leaks": True}
    tested = {row["path"] for row in csv.DictReader((tmp_path / "p.csv").open())}
    assert len(tested) == 58
    assert not tested & {"10.png", "40.png"}
    rows, labels, splits = noisy()
    splits[10] = splits[40] = ""
    other = write(tmp_path / "other.h5", {"x": codes_of(rows)}, labels, splits)
    assert evaluate(other).results["results"] == found["results"]


def test_without_the_option_results_say_nothing_of_leaks_and_have_the_figures_of_images_that_are_none(tmp_path):
    rows, labels, splits = noisy()
    results = []
    for name, copies in (("with", COPIES), ("without", {})):
        path = write(tmp_path / f"{name}.h5", {"x": codes_of(rows)}, labels, splits, copies=copies)
        document = evaluate(path).results
        results.append((document["results"], document["settings"], document["images"]))
    assert results[0] == results[1]
    assert "leak" not in json.dumps(results[0])


def test_labels_that_differ_are_counted_and_no_leak_says_nothing_but_zero(tmp_path):
    rows, labels, splits = noisy()
    labels[10], labels[3] = 0, 1
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits, copies={10: 3})
    heard = Heard()
    evaluate(path, progress=heard)
    (said,) = [note for note in heard.notes if "byte for byte" in note]
    assert said.startswith("1 of 60 test images is byte for byte training images, 1 of them with another label")
    assert said.endswith("leaves it out")
    clean = write(tmp_path / "clean.h5", {"x": codes_of(rows)}, labels, splits)
    heard = Heard()
    found = evaluate(clean, protocol=Protocol(without_leaks=True), progress=heard).results
    assert found["images"]["leaks_left_out"] == 0
    assert not any("byte for byte" in note for note in heard.notes)


def test_another_box_of_the_same_picture_is_no_leak(tmp_path):
    rows, labels, splits = noisy()
    paths = [f"{number}.png" for number in range(120)]
    paths[10], paths[3], paths[20], paths[5] = "a.png#0,0,8,8", "b.png#0,0,8,9", "c.png#1,2,3,4", "d.png#1,2,3,4"
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits, copies={10: 3, 20: 5}, paths=paths)
    found = evaluate(path, protocol=Protocol(without_leaks=True)).results
    assert found["images"]["leaks_left_out"] == 1


def test_folds_leave_out_what_their_own_training_images_have(planted, tmp_path):
    protocol = Protocol(cv=4, rows="all", without_leaks=True)
    found = evaluate(planted, protocol=protocol, predictions=tmp_path / "p.csv")
    _, labels, _ = noisy()
    fold = np.empty(120, int)
    for number, trial in enumerate(folds(labels, np.arange(120), 4, 0)):
        fold[trial.test] = number
    groups = [[3, 10], [7, 40, 41], [50, 52]]
    leaks = {one for group in groups for one in group if any(fold[one] != fold[other] for other in group)}
    assert leaks
    assert found.results["images"]["leaks_left_out"] == len(leaks)
    tested = {row["path"] for row in csv.DictReader((tmp_path / "p.csv").open())}
    assert tested == {f"{number}.png" for number in range(120) if number not in leaks}


def test_all_draws_of_a_learning_curve_measure_the_same_images(planted):
    found = evaluate(planted, protocol=Protocol(per_class=(2, 5), draws=3, without_leaks=True)).results
    assert found["images"]["leaks_left_out"] == 2
    rows = [trial["test_rows"] for entry in found["results"] for trial in entry["each_trial"]]
    assert rows == [58] * 6


def test_a_manifests_split_and_validation_images(planted, tmp_path):
    split = tmp_path / "split.csv"
    lines = [f"{number}.png,{'train' if number % 2 else 'val' if number == 10 else 'test'}" for number in range(120)]
    split.write_text("\n".join(["path,split", *lines]))
    heard = Heard()
    protocol = Protocol(split=split, without_leaks=True)
    found = evaluate(planted, protocol=protocol, cost=(0.1, 1), progress=heard).results
    assert (found["images"]["leaks_left_out"], found["images"]["validation_leaks_left_out"]) == (1, 1)
    assert (found["images"]["test"], "validation" in found["images"]) == (58, False)
    assert any(note.startswith("1 of 1 validation images is byte for byte") for note in heard.notes)


def test_several_labels(tmp_path):
    rows, labels, splits = noisy()
    table = np.zeros((120, 3), np.int8)
    table[np.arange(120), labels] = 1
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, table, splits, copies=COPIES)
    assert evaluate(path, protocol=Protocol(without_leaks=True)).results["images"]["leaks_left_out"] == 2


def test_nothing_left_to_measure_is_an_error(fne, tmp_path):
    rows, labels, splits = noisy()
    copies = {number: number - number % 2 for number in range(120)}
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits, copies=copies)
    done = fne("evaluate", path, "--without-leaks")
    assert done.code == 1
    assert "should have test images that are no training images, for --without-leaks. Found: none." in done.err


def test_files_one_after_the_other_and_workers(planted, tmp_path):
    rows, labels, splits = noisy(seed=5)
    paths = [f"m{number}.png" for number in range(120)]
    copies = {20: 3}  # of an image of the first file
    more = write(tmp_path / "more.h5", {"x": codes_of(rows)}, labels, splits, copies=copies, paths=paths)
    both = [planted, more]
    protocol = Protocol(per_class=(2, 5), draws=2, without_leaks=True)
    alone = evaluate(both, tmp_path / "alone.json", protocol)
    assert alone.results["images"]["leaks_left_out"] == 3
    shared = evaluate(both, tmp_path / "shared.json", protocol, cluster=cluster_of(Here()))
    assert shared.results["results"] == alone.results["results"]
    assert shared.results["fingerprint"] == alone.results["fingerprint"]


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
        "1 of 7 test images is byte for byte training images, 1 of them with another label, such as test/b/copy.png, "
        "which is train/a/0.png: --without-leaks leaves it out"
    )
    Path("without.toml").write_text(CONFIG + "without_leaks = true\n")
    done = fne("run", "without.toml", "--set", "experiment.output=without")
    assert done.code == 0, done.err
    for embedding in ("fne", "z"):
        found = json.loads(Path(f"without/noise/mini.avg/{embedding}.split.json").read_text())
        assert (found["images"]["test"], found["images"]["leaks_left_out"]) == (6, 1)
    page = fne("report", "without/noise/mini.avg/z.split.json", "report.html")
    assert page.code == 0, page.err
    assert "test images left out, which are training images" in Path("report.html").read_text()
