"""Test images that are training images: said, and left out if so asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_files import evaluate, noisy, write

from fne_cli.errors import BadInput
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

        return self.notes.append if name == "note" else getattr(SILENT, name)


def told(path, **options):
    notes = Notes()
    done = evaluate(path, progress=notes, **options)
    return done.results, [note for note in notes.notes if "byte for byte" in note]


def test_copies_are_said_and_measured_all_the_same(leaking, clean):
    results, notes = told(leaking)
    assert notes == [
        "7 of 60 test images are byte for byte training images, such as 0.png and 51.png: they are measured all the "
        "same; --without-leaks leaves them out"
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


def test_a_draw_and_a_fold_leave_out_what_they_learn_from(leaking):
    results, _ = told(leaking, protocol=Protocol(per_class=(15,), draws=3, without_leaks=True))
    # a class has about 20 training images
    left_out = results["images"]["test_images_left_out_as_copies"]
    assert 0 < left_out <= SHARED
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
