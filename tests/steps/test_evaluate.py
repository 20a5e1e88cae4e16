"""fne evaluate: the numbers against scikit-learn's own, and the edges of splits and classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_files import codes_of, noisy, write
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.svm import LinearSVC


@pytest.fixture
def task() -> tuple[np.ndarray, list[int], list[str]]:
    """Codes of 120 images with overlapping classes, labels and splits."""
    rows, labels, splits = noisy()
    return codes_of(rows), labels.tolist(), splits


def evaluated(fne, *arguments: object) -> dict:
    result = fne("evaluate", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_accuracies_are_those_of_linearsvc(fne, task, tmp_path):
    codes, labels, splits = task
    path = write(tmp_path / "c.h5", {"x": codes[:, :10], "y": codes[:, 10:]}, labels, splits)
    found = evaluated(fne, path, "--tolerance", "1e-8")
    (result,) = found["results"]
    train = np.array(splits) == "train"
    truth = np.array(labels)
    predicted = LinearSVC(dual=True, tol=1e-8, max_iter=100_000).fit(codes[train], truth[train]).predict(codes[~train])
    np.testing.assert_array_equal(result["confusion"], confusion_matrix(truth[~train], predicted))
    assert result["accuracy"] == pytest.approx(np.mean(predicted == truth[~train]))
    assert result["mean_per_class_accuracy"] == pytest.approx(balanced_accuracy_score(truth[~train], predicted))
    assert (result["features"], result["training_rows"], result["test_rows"]) == (30, 60, 60)


@pytest.mark.parametrize("solver", ["certified", "liblinear"])
def test_the_objective_is_that_of_the_optimum_and_the_gap_says_so(fne, task, tmp_path, solver):
    codes, labels, splits = task
    (result,) = evaluated(fne, write(tmp_path / "c.h5", {"x": codes}, labels, splits), "--solver", solver)["results"]
    train = np.array(splits) == "train"
    truth = np.array(labels)[train]
    model = LinearSVC(dual=True, tol=1e-9, max_iter=1_000_000).fit(codes[train], truth)
    sign = np.where(truth[:, None] == model.classes_, 1, -1)
    hinge = np.maximum(0, 1 - sign * model.decision_function(codes[train]))
    objective = 0.5 * ((model.coef_**2).sum() + (model.intercept_**2).sum()) + (hinge**2).sum()
    assert result["objective"] == pytest.approx(objective, rel=1e-3)
    assert 0 <= result["duality_gap"] < (1e-4 if solver == "certified" else 0.02)
    assert result["objective"] * (1 - result["duality_gap"]) <= objective * (1 + 1e-9)


def test_an_activations_file_is_measured_layer_by_layer_with_rows_of_length_1(fne, task, tmp_path):
    codes, labels, splits = task
    rows = np.abs(np.random.default_rng(1).normal(size=(120, 8))).astype(np.float32) + codes[:, :8]
    path = write(tmp_path / "a.h5", {"x": rows, "y": 100 * rows, "z": rows[:, :4]}, labels, splits, kind="activations")
    x, y, z = evaluated(fne, path)["results"]
    assert [x["name"], y["name"], z["name"]] == ["x", "y", "z"]
    assert x["confusion"] == y["confusion"], "the length of a row must not matter"
    assert [result["name"] for result in evaluated(fne, path, "--layers", "z")["results"]] == ["z"]


def test_results_file_is_up_to_date_the_second_time_and_exits_4_for_other_settings(fne, task, tmp_path):
    codes, labels, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    first = fne("evaluate", path, tmp_path / "r.json")
    before = (tmp_path / "r.json").read_bytes()
    again = fne("evaluate", path, tmp_path / "r.json")
    assert (again.code, again.out) == (0, first.out)
    assert "up to date" in again.err
    assert (tmp_path / "r.json").read_bytes() == before
    other = fne("evaluate", path, tmp_path / "r.json", "-C", "0.5")
    assert (other.code, "settings.C" in other.err) == (4, True)
    beside = ("--predictions", tmp_path / "p.csv")
    assert fne("evaluate", path, tmp_path / "r.json", *beside).code == 0
    other = fne("evaluate", path, tmp_path / "r.json", *beside, "-C", "0.5")
    assert (other.code, "settings.C" in other.err) == (4, True), other.err
    assert (tmp_path / "r.json").read_bytes() == before
    assert fne("evaluate", path, tmp_path / "r.json", "-C", "0.5", "--overwrite").code == 0


def test_crops_vote_and_ties_go_to_the_larger_sum():
    from fne_cli.numerics.evaluation.metrics import majority_vote

    decisions = np.array(
        [
            [[1, 0, -1], [1, 0, -1], [-9, 5, 0]],  # two votes against one large value
            [[2, 1, 0], [0, 3, 0], [0, 0, 1]],  # a three-way tie: sums 2, 4, 1
        ],
        float,
    )
    assert majority_vote(decisions.reshape(-1, 3), 3).tolist() == [0, 1]


def test_every_crop_is_a_training_row_and_an_image_one_test_row(fne, task, tmp_path):
    codes, labels, splits = task
    path = write(tmp_path / "c.h5", {"x": np.repeat(codes, 5, axis=0)}, labels, splits, crops=5)
    (many,) = evaluated(fne, path)["results"]
    assert (many["training_rows"], many["test_rows"]) == (300, 300)
    assert np.sum(many["confusion"]) == 60


def test_images_without_a_label_are_left_out_and_counted(fne, tmp_path):
    rows, labels, splits = noisy()
    unlabelled = labels.copy()
    unlabelled[[5, 8, 9]] = -1
    done = fne("evaluate", write(tmp_path / "c.h5", {"x": codes_of(rows)}, unlabelled, splits), tmp_path / "r.json")
    images = json.loads((tmp_path / "r.json").read_text())["images"]
    assert images["without_label"] == 3
    assert images["training"] + images["test"] == len(rows) - 3
    assert "3 good images of the splits have no label and are left out" in done.err


def test_bad_images_are_left_out(fne, task, tmp_path):
    codes, labels, splits = task
    rows = codes.copy()
    rows[[3, 4]] = 1
    path = write(tmp_path / "c.h5", {"x": rows}, labels, splits, bad=(3, 4))
    found = evaluated(fne, path)
    assert found["images"]["bad"] == 2
    (result,) = found["results"]
    assert (result["training_rows"], result["test_rows"]) == (59, 59)


def test_a_class_without_test_images_is_left_out_of_the_mean(fne, task, tmp_path):
    codes, labels, splits = task
    splits = ["train" if label == 2 else split for label, split in zip(labels, splits, strict=True)]
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    result = fne("evaluate", path, "--json")
    assert "no test image, so left out of the mean per class: c" in result.err
    (found,) = json.loads(result.out)["results"]
    assert found["per_class"][2]["accuracy"] is None
    known = [row["accuracy"] for row in found["per_class"][:2]]
    assert found["mean_per_class_accuracy"] == pytest.approx(np.mean(known))


def test_a_label_that_is_not_in_the_training_split_counts_as_wrong(fne, task, tmp_path):
    codes, labels, splits = task
    splits = ["test" if label == 2 else split for label, split in zip(labels, splits, strict=True)]
    result = fne("evaluate", write(tmp_path / "c.h5", {"x": codes}, labels, splits), "--json")
    assert "no training image, so every test image is wrong: c" in result.err
    (found,) = json.loads(result.out)["results"]
    assert found["per_class"][2]["accuracy"] == 0
    assert found["per_class"][2]["training_images"] == 0


def test_one_class_no_split_and_no_label_are_errors(fne, task, tmp_path):
    codes, labels, splits = task
    one = fne("evaluate", write(tmp_path / "1.h5", {"x": codes}, [0] * 120, splits))
    assert (one.code, "at least two classes. Found: a only." in one.err) == (1, True)
    none = fne("evaluate", write(tmp_path / "2.h5", {"x": codes}, labels, [""] * 120))
    assert (none.code, "of split train. Found: splits none." in none.err) == (1, True)
    unlabelled = fne("evaluate", write(tmp_path / "3.h5", {"x": codes}, [-1] * 120, splits))
    assert unlabelled.code == 1


def test_shuffled_labels_give_chance(fne, tmp_path):
    values = np.random.default_rng(5)
    codes = values.integers(-1, 2, (600, 40), dtype=np.int8)
    labels = values.integers(0, 3, 600).tolist()
    splits = ["train" if number % 2 else "test" for number in range(600)]
    (result,) = evaluated(fne, write(tmp_path / "c.h5", {"x": codes}, labels, splits))["results"]
    assert abs(result["accuracy"] - 1 / 3) < 4 * np.sqrt(2 / 9 / 300)


def test_two_classes(fne, task, tmp_path):
    codes, labels, splits = task
    binary = [min(label, 1) for label in labels]
    path = write(tmp_path / "c.h5", {"x": codes}, binary, splits, classes=("a", "b"))
    (result,) = evaluated(fne, path, "--tolerance", "1e-8")["results"]
    train = np.array(splits) == "train"
    truth = np.array(binary)
    expected = LinearSVC(dual=True, tol=1e-8, max_iter=100_000).fit(codes[train], truth[train])
    assert result["accuracy"] == pytest.approx(expected.score(codes[~train], truth[~train]))


def test_a_file_of_another_kind_in_every_position(fne, task, tmp_path):
    codes, labels, splits = task
    code_file = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    rows = codes.astype(np.float32)
    activations = write(tmp_path / "a.h5", {"x": rows}, labels, splits, kind="activations")
    moments, out = tmp_path / "m.h5", tmp_path / "out.h5"
    assert fne("normalize", activations, moments).code == 0
    cases = [
        (("normalize", code_file, out), "should be an fne activations file. Found: kind=codes. Run fne extract first."),
        (("normalize", moments, out), "should be an fne activations file. Found: kind=moments."),
        (("discretize", code_file, moments, out), "should be an fne activations file. Found: kind=codes."),
        (("discretize", activations, code_file, out), "should be an fne moments file. Found: kind=codes."),
        (("discretize", activations, activations, out), "should be an fne moments file. Found: kind=activations."),
        (("evaluate", moments), "Found: kind=moments. Run fne discretize first."),
        (("merge", code_file, code_file, out), "should be an fne activations file. Found: kind=codes."),
    ]
    for command, message in cases:
        result = fne(*command)
        assert result.code == 1, command
        assert message in result.err, (command, result.err)
        assert not out.exists()


def test_one_training_image_has_no_spread_and_codes_of_0(fne, tmp_path):
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    path = write(tmp_path / "a.h5", {"x": rows}, [0, 1, 0], ["train", "test", "test"], kind="activations")
    assert "2 of them constant" in fne("normalize", path, tmp_path / "m.h5").err
    assert fne("discretize", path, tmp_path / "m.h5", tmp_path / "c.h5").code == 0
    import h5py

    with h5py.File(tmp_path / "c.h5") as file:
        assert not file["layers/x"][:].any()


def test_an_output_that_is_an_input_is_refused(fne, task, tmp_path):
    codes, labels, splits = task
    path = write(tmp_path / "a.h5", {"x": codes.astype(np.float32)}, labels, splits, kind="activations")
    before = path.read_bytes()
    assert fne("normalize", path, path, "--overwrite").code == 1
    assert fne("evaluate", path, path, "--overwrite").code == 1
    assert path.read_bytes() == before
