"""Protocols of fne evaluate: each against the same thing done by hand with scikit-learn."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from evaluation_files import codes_of, noisy, write
from places import DOCS
from sklearn import metrics as peer
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation import protocols
from fne_cli.numerics.evaluation.protocols import stratified_folds

EXACT = ("--tolerance", "1e-8")


def evaluated(fne, *arguments):
    result = fne("evaluate", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def linear(rows, labels, cost=1.0):
    return LinearSVC(C=cost, dual=True, tol=1e-8, max_iter=200_000).fit(rows, labels)


def balanced(model, rows, labels):
    return peer.balanced_accuracy_score(labels, model.predict(rows))


def ternary(train, rows):
    """The full-network embedding as docs/method.md has it, with scikit-learn's scaler."""
    return codes_of(StandardScaler().fit(train.astype(np.float64)).transform(rows.astype(np.float64)))


def test_every_image_is_held_out_once_and_classes_are_spread():
    labels = np.repeat([0, 1, 2], [11, 7, 20])
    images = np.arange(38)
    trials = protocols.folds(labels, images, 4, 0)
    assert sorted(np.concatenate([trial.test for trial in trials]).tolist()) == images.tolist()
    for trial in trials:
        assert sorted([*trial.train, *trial.test]) == images.tolist()
        assert (np.bincount(labels[trial.test]) >= [2, 1, 5]).all()
    again = protocols.folds(labels, images, 4, 0)
    other = protocols.folds(labels, images, 4, 1)
    assert all((a.test == b.test).all() for a, b in zip(trials, again, strict=True))
    assert any(a.test.tolist() != b.test.tolist() for a, b in zip(trials, other, strict=True))


def test_images_with_several_labels_are_spread_by_their_rarest():
    labels = np.zeros((40, 3), np.int8)
    labels[:, 0] = 1
    labels[[3, 9, 20, 33], 1] = 1
    fold = stratified_folds(protocols.strata(labels), 4)
    assert sorted(fold[[3, 9, 20, 33]].tolist()) == [0, 1, 2, 3]


def test_draws_have_n_of_each_class_and_small_ones_are_parts_of_large_ones():
    labels = np.repeat([0, 1, 2], [10, 12, 30])
    trials = protocols.draws(labels, np.arange(0, 52, 2), np.arange(1, 52, 2), (1, 3, 5), 4, 0)
    assert [dict(trial.group)["training_images_per_class"] for trial in trials] == [1] * 4 + [3] * 4 + [5] * 4
    for trial in trials:
        size = dict(trial.group)["training_images_per_class"]
        assert np.bincount(labels[trial.train]).tolist() == [size] * 3
        assert (trial.train % 2 == 0).all()
    for draw in range(4):
        assert set(trials[draw].train) < set(trials[4 + draw].train) < set(trials[8 + draw].train)
    assert len({tuple(trial.train) for trial in trials}) == 12
    with pytest.raises(BadInput, match=r"should have 6 training images\. Found: 5"):
        protocols.draws(labels, np.arange(0, 52, 2), np.arange(1, 52, 2), (6,), 1, 0)


def test_cross_validation_of_codes(fne, tmp_path):
    rows, labels, _ = noisy()
    codes = codes_of(rows)
    path = write(tmp_path / "c.h5", {"x": codes}, labels, [""] * 120)
    (found,) = evaluated(fne, path, "--cv", "4", "--seed", "3", *EXACT)["results"]
    expected = [
        balanced(linear(codes[trial.train], labels[trial.train]), codes[trial.test], labels[trial.test])
        for trial in protocols.folds(labels, np.arange(120), 4, 3)
    ]
    assert [trial["mean_per_class_accuracy"] for trial in found["each_trial"]] == pytest.approx(expected)
    assert found["mean_per_class_accuracy"] == pytest.approx(np.mean(expected))
    assert found["mean_per_class_accuracy_std"] == pytest.approx(np.std(expected, ddof=1))
    assert (found["folds"], found["test_rows"], np.sum(found["confusion"])) == (4, 120, 120)


def test_cross_validation_divides_the_training_images_only(fne, tmp_path):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    assert evaluated(fne, path, "--cv", "3")["results"][0]["test_rows"] == 60
    assert evaluated(fne, path, "--cv", "3", "--rows", "all")["results"][0]["test_rows"] == 120


def test_moments_of_each_fold_are_those_of_its_training_images(fne, tmp_path):
    rows, labels, _ = noisy(spread=0.3)
    rows = (5 * rows + 100).astype(np.float32)
    path = write(tmp_path / "a.h5", {"x": rows[:, :10], "y": rows[:, 10:]}, labels, [""] * 120, kind="activations")
    (found,) = evaluated(fne, path, "--embedding", "fne", "--cv", "3", *EXACT)["results"]
    assert found["features"] == 30
    for trial, figures in zip(protocols.folds(labels, np.arange(120), 3, 0), found["each_trial"], strict=True):
        codes = ternary(rows[trial.train], rows)
        model = linear(codes[trial.train], labels[trial.train])
        assert figures["mean_per_class_accuracy"] == pytest.approx(
            balanced(model, codes[trial.test], labels[trial.test])
        )


def test_the_embedding_of_activations_is_that_of_the_pipeline(fne, tmp_path):
    rows, labels, splits = noisy(spread=0.3)
    layers = {"x": rows[:, :13].astype(np.float32), "y": rows[:, 13:].astype(np.float32)}
    path = write(tmp_path / "a.h5", layers, labels, splits, kind="activations")
    assert fne("normalize", path, tmp_path / "m.h5").code == 0
    assert fne("discretize", path, tmp_path / "m.h5", tmp_path / "c.h5").code == 0
    assert fne("discretize", path, tmp_path / "m.h5", tmp_path / "p.h5", "--packed").code == 0
    direct, codes, packed = (
        evaluated(fne, *arguments)["results"]
        for arguments in ((path, "--embedding", "fne"), (tmp_path / "c.h5",), (tmp_path / "p.h5",))
    )
    assert direct == codes == packed


@pytest.mark.parametrize("kind", ["standardized", "l2", "raw"])
def test_float_embeddings(fne, tmp_path, kind):
    rows, labels, splits = noisy(spread=0.3)
    rows = rows.astype(np.float32)
    path = write(tmp_path / "a.h5", {"x": rows[:, :13], "y": rows[:, 13:]}, labels, splits, kind="activations")
    results = evaluated(fne, path, "--embedding", kind, "--each-layer", *EXACT)["results"]
    train = np.array(splits) == "train"
    for result, columns in zip(results, (slice(0, 30), slice(0, 13), slice(13, 30)), strict=True):
        values = rows[:, columns].astype(np.float64)
        if kind == "standardized":
            values = StandardScaler().fit(values[train]).transform(values)
        if kind == "l2":
            values = values / np.linalg.norm(values, axis=1, keepdims=True)
        expected = balanced(linear(values[train], labels[train]), values[~train], labels[~train])
        assert result["mean_per_class_accuracy"] == pytest.approx(expected)
    assert [result["name"] for result in results] == ["embedding", "x", "y"]


def test_learning_curve(fne, tmp_path):
    rows, labels, splits = noisy(240)
    codes = codes_of(rows)
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    found = evaluated(fne, path, "--per-class", "2,20", "--draws", "3", *EXACT)["results"]
    train, test = (np.flatnonzero(np.array(splits) == name) for name in ("train", "test"))
    trials = protocols.draws(labels, train, test, (2, 20), 3, 0)
    expected = [balanced(linear(codes[t.train], labels[t.train]), codes[t.test], labels[t.test]) for t in trials]
    assert [row["training_images_per_class"] for row in found] == [2, 20]
    for row, values in zip(found, (expected[:3], expected[3:]), strict=True):
        assert row["mean_per_class_accuracy"] == pytest.approx(np.mean(values))
        assert row["mean_per_class_accuracy_std"] == pytest.approx(np.std(values, ddof=1))
        assert row["test_rows"] == 120
    assert found[1]["mean_per_class_accuracy"] > found[0]["mean_per_class_accuracy"]
    short = fne("evaluate", path, "--per-class", "200")
    assert short.code == 1
    assert "class a should have 200 training images. Found: " in short.err or "class" in short.err


def test_all_images_of_every_class_are_drawn_once_and_have_no_spread(fne, tmp_path):
    labels, splits = np.repeat([0, 1], 8), ["train", "test"] * 8
    rows = np.random.default_rng(0).standard_normal((16, 6)).astype(np.float32) + labels[:, None]
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    some, every = evaluated(fne, path, "--per-class", "2,4", *EXACT)["results"]
    assert (some["trials"], every["trials"]) == (5, 1)
    assert every["accuracy_std"] is None
    (whole,) = evaluated(fne, path, *EXACT)["results"]
    assert every["accuracy"] == whole["accuracy"]
    told = fne("evaluate", path, "--per-class", "2,4")
    assert "4 images per class are all that there are: they are drawn once, and have no spread" in told.err
    assert "+-" in told.out.splitlines()[1] and "+-" not in told.out.splitlines()[2]


def test_c_is_chosen_on_validation_images_never_on_test_images(fne, tmp_path):
    rows, labels, splits = noisy(300, spread=0.25)
    splits = [("train", "val", "test")[number % 3] for number in range(300)]
    codes = codes_of(rows)
    split = np.array(splits)
    costs = [0.0001, 0.01, 10.0]
    found = []
    for name, classes in (("a", labels), ("b", np.where(split == "test", (labels + 1) % 3, labels))):
        path = write(tmp_path / f"{name}.h5", {"x": codes}, classes, splits)
        (result,) = evaluated(fne, path, "-C", "0.0001,0.01,10", *EXACT)["results"]
        found.append(result)
        scores = [entry["score"] for entry in result["choice_of_C"]["scores"]]
        expected = [
            balanced(
                linear(codes[split == "train"], labels[split == "train"], cost),
                codes[split == "val"],
                labels[split == "val"],
            )
            for cost in costs
        ]
        assert scores == pytest.approx(expected)
        assert result["C"] == costs[int(np.argmax(expected))]
        assert result["choice_of_C"]["by"] == "validation images"
    assert found[0]["C"] == found[1]["C"]
    assert found[0]["accuracy"] != found[1]["accuracy"]
    table = fne("evaluate", tmp_path / "a.h5", "-C", "0.0001,0.01,10").out
    assert f"{100 * max(entry['score'] for entry in found[0]['choice_of_C']['scores']):.2f} %" in table


@pytest.mark.parametrize("kind", ["codes", "activations"])
def test_c_is_chosen_by_cross_validation_of_the_training_images(fne, tmp_path, kind):
    rows, labels, splits = noisy(200, spread=0.25)
    values = codes_of(rows) if kind == "codes" else rows.astype(np.float32)
    path = write(tmp_path / "f.h5", {"x": values}, labels, splits, kind=kind)
    embedding = () if kind == "codes" else ("--embedding", "fne")
    (found,) = evaluated(fne, path, "-C", "10,0.003", *embedding, *EXACT)["results"]
    train = np.flatnonzero(np.array(splits) == "train")
    assert found["choice_of_C"]["by"] == "5-fold cross-validation of the training images"
    for entry in found["choice_of_C"]["scores"]:
        scores = []
        for trial in protocols.folds(labels, train, 5, 0):
            codes = values if kind == "codes" else ternary(values[trial.train], values)
            model = linear(codes[trial.train], labels[trial.train], entry["C"])
            scores.append(balanced(model, codes[trial.test], labels[trial.test]))
        assert entry["score"] == pytest.approx(np.mean(scores))


def test_a_manifest_can_give_the_splits(fne, tmp_path):
    rows, labels, splits = noisy()
    codes = codes_of(rows)
    path = write(tmp_path / "c.h5", {"x": codes}, labels, [""] * 120)
    other = ["test" if name == "train" else "train" for name in splits]
    lines = [f"{number}.png,{name}" for number, name in enumerate(other) if number < 100]
    (tmp_path / "split.csv").write_text("\n".join(["path,split", *lines]))
    result = fne("evaluate", path, tmp_path / "r.json", "--split", tmp_path / "split.csv", "--json", *EXACT)
    assert "20 of 120 images have no split" in result.err
    (found,) = json.loads(result.out)["results"]
    chosen = np.array(other[:100]) == "train"
    model = linear(codes[:100][chosen], labels[:100][chosen])
    assert found["mean_per_class_accuracy"] == pytest.approx(
        balanced(model, codes[:100][~chosen], labels[:100][~chosen])
    )
    (tmp_path / "split.csv").write_text("\n".join(["path,split", *lines[1:]]))
    changed = fne("evaluate", path, tmp_path / "r.json", "--split", tmp_path / "split.csv", *EXACT)
    assert (changed.code, "other split than it was made from: " in changed.err) == (0, True)
    (tmp_path / "split.csv").write_text("path,split\nnobody.png,train\n")
    unknown = fne("evaluate", path, "--split", tmp_path / "split.csv")
    assert (unknown.code, "Found: nobody.png, which it does not have. Its first image is 0.png" in unknown.err) == (
        1,
        True,
    )


def test_a_manifest_of_splits_may_be_written_otherwise(fne, tmp_path):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, [""] * 120)
    lines = [f"{number}.png,{name}" for number, name in enumerate(splits)]
    (tmp_path / "split.csv").write_text("\n".join(["path,split", *lines]))
    wanted = fne("evaluate", path, "--split", tmp_path / "split.csv", "--json", *EXACT)
    others = [f"0\t.\\{number}.png\t{name.upper()}ING_SET" for number, name in enumerate(splits) if name == "train"]
    others += [f"0\t.\\{number}.png\t{name.title()}" for number, name in enumerate(splits) if name != "train"]
    (tmp_path / "other.tsv").write_text("\r\n".join(["class\tpath\tsplit", *others]))
    found = fne("evaluate", path, "--split", tmp_path / "other.tsv", "--json", *EXACT)
    assert found.code == 0, found.err
    assert json.loads(found.out)["results"] == json.loads(wanted.out)["results"]
    (tmp_path / "other.tsv").write_text("path\tsplit\n0.png\tholdout\n")
    assert fne("evaluate", path, "--split", tmp_path / "other.tsv").err == (
        f"fne: {tmp_path}/other.tsv, line 2, should have the split train, val or test, or none. Found: 'holdout'.\n"
    )


@pytest.mark.parametrize("aggregate", ["vote", "sum"])
def test_crops(fne, tmp_path, aggregate):
    rows, labels, splits = noisy(spread=0.2)
    values = np.random.default_rng(1)
    crops = np.repeat(rows, 5, axis=0) + values.normal(0, 1, (600, 30))
    codes = codes_of(crops)
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits, crops=5)
    (found,) = evaluated(fne, path, "--aggregate", aggregate, *EXACT)["results"]
    train = np.array(splits) == "train"
    by_row = np.repeat(train, 5)
    decisions = linear(codes[by_row], np.repeat(labels, 5)[by_row]).decision_function(codes[~by_row]).reshape(60, 5, 3)
    if aggregate == "sum":
        predicted = decisions.sum(axis=1).argmax(axis=1)
    else:
        votes = np.array([np.bincount(row, minlength=3) for row in decisions.argmax(axis=2)])
        predicted = (votes + 1e-3 * decisions.sum(axis=1)).argmax(axis=1)
    assert found["accuracy"] == pytest.approx((predicted == labels[~train]).mean())


@pytest.mark.parametrize("solver", ["certified", "liblinear"])
def test_several_labels_and_images_to_ignore(fne, tmp_path, solver):
    values = np.random.default_rng(2)
    present = (values.random((160, 4)) < 0.3).astype(np.int8)
    codes = codes_of(present @ values.normal(0, 1, (4, 25)) + values.normal(0, 1, (160, 25)))
    labels = present.copy()
    labels[values.random((160, 4)) < 0.1] = -1
    splits = ["train" if number % 2 else "test" for number in range(160)]
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits, classes=("a", "b", "c", "d"))
    arguments = () if solver == "liblinear" else EXACT
    (found,) = evaluated(fne, path, "--solver", solver, *arguments)["results"]
    train = np.array(splits) == "train"
    expected = []
    for number in range(4):
        known, asked = train & (labels[:, number] >= 0), ~train & (labels[:, number] >= 0)
        model = linear(codes[known], labels[known, number])
        expected.append(peer.average_precision_score(labels[asked, number], model.decision_function(codes[asked])))
    precise = 1e-9 if solver == "certified" else 0.01
    assert [row["average_precision"] for row in found["per_class"]] == pytest.approx(expected, abs=precise)
    assert found["mean_average_precision"] == pytest.approx(np.mean(expected), abs=precise)
    assert 0 < found["mean_average_precision_11_point"] <= 1
    assert found["per_class"][0]["ignored_test_images"] == (labels[~train, 0] == -1).sum()
    if solver == "certified":
        chosen = evaluated(fne, path, "-C", "0.001,1")["results"][0]
        assert chosen["choice_of_C"]["figure"] == "mean_average_precision"
        assert evaluated(fne, path, "--cv", "3")["results"][0]["mean_average_precision"] > 0.3
    assert fne("evaluate", path, "--per-class", "2").code == 1


def test_figures_are_scikit_learns(fne, tmp_path):
    rows, labels, splits = noisy(400, features=120, classes=7, spread=0.2)
    codes = codes_of(rows)
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits, classes=tuple("abcdefg"))
    (found,) = evaluated(fne, path, *EXACT)["results"]
    train = np.array(splits) == "train"
    model = linear(codes[train], labels[train])
    truth, predicted = labels[~train], model.predict(codes[~train])
    assert found["macro_f1"] == pytest.approx(peer.f1_score(truth, predicted, average="macro"))
    top = peer.top_k_accuracy_score(truth, model.decision_function(codes[~train]), k=5)
    assert found["top_5_accuracy"] == pytest.approx(top)
    np.testing.assert_allclose(found["balanced_confusion"], peer.confusion_matrix(truth, predicted, normalize="true"))
    low, high = found["mean_per_class_accuracy_95"]
    assert low < found["mean_per_class_accuracy"] < high
    assert 0 < found["support_vectors"] <= 200
    assert found["path"] == "gram"
    assert found["duality_gap"] <= 1e-8


def test_predictions(fne, tmp_path):
    rows, labels, splits = noisy()
    codes = codes_of(rows)
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    (found,) = evaluated(fne, path, "--predictions", tmp_path / "p.csv", *EXACT)["results"]
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    train = np.array(splits) == "train"
    assert [line["path"] for line in lines] == [f"{number}.png" for number in np.flatnonzero(~train)]
    assert [line["truth"] for line in lines] == ["abc"[label] for label in labels[~train]]
    assert np.mean([line["truth"] == line["prediction"] for line in lines]) == pytest.approx(found["accuracy"])
    decisions = np.array([[float(line[f"decision:{name}"]) for name in "abc"] for line in lines])
    expected = linear(codes[train], labels[train]).decision_function(codes[~train])
    np.testing.assert_allclose(decisions, expected, atol=1e-3)
    assert fne("evaluate", path, "--predictions", tmp_path / "p.csv", *EXACT).code == 0
    other = fne("evaluate", path, "--predictions", tmp_path / "p.csv", "-C", "2")
    assert (other.code, "settings.C: 1.0 in the existing output, 2.0 asked for" in other.err) == (4, True)
    assert fne("evaluate", path, "--predictions", tmp_path / "q.csv", "--cv", "2").code == 0
    with open(tmp_path / "q.csv", newline="", encoding="utf-8") as file:
        trials = {line["trial"] for line in csv.DictReader(file)}
    assert trials == {"folds 2, fold 1", "folds 2, fold 2"}


def test_every_key_of_the_results_is_described(fne, tmp_path):
    text = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    rows, labels, splits = noisy(240, classes=6)
    splits = [("train", "val", "test")[number % 3] for number in range(240)]
    one = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits, classes=tuple("abcdef"))
    present = (np.random.default_rng(0).random((240, 3)) < 0.5).astype(np.int8)
    several = write(tmp_path / "s.h5", {"x": codes_of(rows)}, present, splits)
    documents = [
        evaluated(fne, *arguments)
        for arguments in ((one,), (one, "-C", "0.1,1"), (one, "--cv", "2"), (one, "--per-class", "2"), (several,))
    ]
    keys = {key for document in documents for entry in document["results"] for key in entry}
    keys |= {key for document in documents for key in document}
    keys |= {key for document in documents for entry in document["results"] for key in entry["per_class"][0]}
    keys |= {key for entry in documents[1]["results"] for key in entry["choice_of_C"]}
    keys |= {key for entry in documents[2]["results"] for key in entry["each_trial"][0]}
    described = set(re.findall(r"\w+", text))
    assert {key for key in keys if key.removesuffix("_std") not in described} == set()


def test_finished_work_is_not_done_again_but_a_missing_file_is_made(fne, tmp_path):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    command = (
        "evaluate",
        path,
        tmp_path / "r.json",
        "--predictions",
        tmp_path / "p.csv",
        "--model",
        tmp_path / "m.npz",
    )
    assert fne(*command).code == 0
    contents = {name: (tmp_path / name).read_bytes() for name in ("r.json", "p.csv", "m.npz")}
    assert "up to date" in fne(*command).err
    (tmp_path / "p.csv").unlink()
    result = fne(*command)
    assert (result.code, "up to date" in result.err) == (0, False)
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cv", "3", "--per-class", "2"), "--cv makes its own splits"),
        (("--rows", "train"), "--rows says which images --cv divides"),
        (("--cv", "3", "--model", "m.npz"), "--save-classifier saves the classifier of one training"),
        (("--each-layer", "--model", "m.npz"), "--save-classifier saves one classifier"),
        (("--embedding", "l2"), "should be an activations file for --embedding l2"),
        (("--cv", "500"), "There should be 2 to 60 folds"),
        (("--memory", "1K"), "should fit into"),
        (("--per-class", "1", "-C", "1,2"), "Give one -C"),
    ],
)
def test_options_that_do_not_go_together(fne, tmp_path, options, message):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    result = fne("evaluate", path, *options)
    code = 2 if message.startswith("--") else 1
    assert (result.code, message in result.err) == (code, True), result.err


@pytest.mark.parametrize("value", ["0", "-1", "a", "1,,2", "nan", "inf", ""])
def test_values_of_c_that_are_none(fne, tmp_path, value):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    result = fne("evaluate", path, "-C", value)
    assert (result.code, "should be numbers above 0" in result.err) == (2, True)


def test_bounded_memory_takes_the_direct_path_and_finds_the_same(fne, tmp_path):
    rows, labels, splits = noisy(3000, features=200, spread=0.3)
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    (small,) = evaluated(fne, path, "--memory", "3M", "--tolerance", "1e-6")["results"]
    (large,) = evaluated(fne, path, "--tolerance", "1e-6")["results"]
    assert (small["path"], large["path"]) == ("direct", "gram")
    assert small["objective"] == pytest.approx(large["objective"], rel=2e-6)
    assert small["accuracy"] == pytest.approx(large["accuracy"], abs=0.005)


def test_validation_images_choose_c_for_every_draw(fne, tmp_path):
    rows, labels, _ = noisy(300, spread=0.25)
    splits = [("train", "val", "test")[number % 3] for number in range(300)]
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    found = evaluated(fne, path, "--per-class", "1,4,4", "--draws", "2", "-C", "1,0.01")["results"]
    assert [(row["training_images_per_class"], row["trials"]) for row in found] == [(1, 2), (4, 2)]
    for row in found:
        choices = [trial["choice_of_C"] for trial in row["each_trial"]]
        assert {choice["by"] for choice in choices} == {"validation images"}
        assert row["choice_of_C"]["score"] == pytest.approx(np.mean([choice["score"] for choice in choices]))
    table = fne("evaluate", path, "--per-class", "4", "--draws", "2", "-C", "1,0.01").out
    assert f"{100 * found[1]['choice_of_C']['score']:.2f} %" in table


def test_average_precision_of_each_class_over_folds(fne, tmp_path):
    rows, _, splits = noisy()
    present = (np.random.default_rng(0).random((120, 3)) < 0.4).astype(np.int8)
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, present, splits)
    (found,) = evaluated(fne, path, "--cv", "3", "--rows", "all")["results"]
    assert [row["class"] for row in found["per_class"]] == ["a", "b", "c"]
    assert [row["test_images"] for row in found["per_class"]] == present.sum(axis=0).tolist()
    mean = np.mean([row["average_precision"] for row in found["per_class"]])
    assert mean == pytest.approx(found["mean_average_precision"])


def test_validation_images_of_no_class_are_an_error_before_anything_is_written(fne, tmp_path):
    rows, _, _ = noisy()
    splits = [("train", "val", "test")[number % 3] for number in range(120)]
    present = (np.random.default_rng(0).random((120, 3)) < 0.4).astype(np.int8)
    present[np.array(splits) == "val"] = 0
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, present, splits)
    result = fne("evaluate", path, tmp_path / "r.json", "-C", "0.1,1")
    assert (result.code, "by images that show some class. Found: validation images" in result.err) == (1, True)
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("seed", ["-1", "99999999999999", "x"])
def test_seeds_that_are_none(fne, tmp_path, seed):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    assert fne("evaluate", path, "--seed", seed).code == 2


@pytest.mark.parametrize("kind", ["fne", "standardized", "l2", "raw"])
@pytest.mark.parametrize("place", [0, 1])
def test_rows_that_are_not_finite_are_named(fne, tmp_path, kind, place):
    rows, labels, splits = noisy()
    values = rows.astype(np.float32)
    values[place, 3] = np.inf
    path = write(tmp_path / "a.h5", {"x": values}, labels, splits, kind="activations")
    result = fne("evaluate", path, "--embedding", kind)
    assert (result.code, f"infinity or not a number in those of {place}.png" in result.err) == (1, True), result.err


def test_a_cost_beyond_reason_ends_with_what_was_reached(fne, tmp_path):
    rows, labels, splits = noisy()
    path = write(tmp_path / "a.h5", {"x": rows[:, :4].astype(np.float32)}, labels, splits, kind="activations")
    result = fne("evaluate", path, "-C", "1e17", "--json")
    assert result.code == 0, result.err


def test_predictions_are_no_classifier_and_no_output_is_the_record_of_another(fne, tmp_path):
    rows, labels, splits = noisy()
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    results, other = tmp_path / "r.json", tmp_path / "x"
    assert fne("evaluate", path, results, "--predictions", other).code == 0
    assert fne("evaluate", path, results, "--model", other).code == 4
    record = fne("evaluate", path, results, "--predictions", tmp_path / "r.json.run.json")
    assert (record.code, "none the record of another" in record.err) == (1, True)
    link = tmp_path / "link.json"
    link.symlink_to(results)
    assert fne("evaluate", path, results, "--predictions", link).code == 1
    assert "--thresholds goes with" in fne("evaluate", path, "--thresholds", "-1,1").err


def test_float_rows_in_a_file_are_not_copied_into_memory(fne, tmp_path):
    rows, labels, splits = noisy(5000, features=200, spread=0.3)
    path = write(tmp_path / "a.h5", {"x": rows.astype(np.float32)}, labels, splits, kind="activations")
    (small,) = evaluated(fne, path, "--embedding", "raw", "--memory", "6M", "--tolerance", "1e-4")["results"]
    (large,) = evaluated(fne, path, "--embedding", "raw", "--tolerance", "1e-4")["results"]
    assert (small["path"], large["path"]) == ("direct", "rows")
    assert small["objective"] == pytest.approx(large["objective"], rel=2e-4)


def test_a_class_of_one_training_image_does_not_keep_the_others_from_choosing_c(fne, tmp_path):
    rows, labels, splits = noisy()
    labels[:] = labels % 2
    labels[1] = 2
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    (found,) = evaluated(fne, path, "-C", "0.01,1")["results"]
    assert found["choice_of_C"]["by"] == "2-fold cross-validation of the training images"


def test_what_is_not_the_optimum_is_said(fne, tmp_path, monkeypatch):
    rows, labels, splits = noisy(90)
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    result = fne("evaluate", path, "--json", "-C", "0.1,1")
    (found,) = json.loads(result.out)["results"]
    assert 0 < found["choice_of_C"]["duality_gap"] <= 1e-4
    assert "stopped" not in result.err
    for module in ("fne_cli.numerics.svm.problem", "fne_cli.steps.evaluate.notes"):
        monkeypatch.setattr(f"{module}.CHOOSING", 1e-300)
    monkeypatch.setattr("fne_cli.numerics.svm.solver.FEW_FEATURES", 0)  # Newton's method ends at the last bit
    result = fne("evaluate", path, "--json", "-C", "0.1,1000", "--tolerance", "1e-300")
    (found,) = json.loads(result.out)["results"]
    assert not found["converged"]
    assert f"the SVM stopped before it converged; its relative duality gap is {found['duality_gap']:.1e}" in result.err
    assert f"the largest gap is {found['choice_of_C']['duality_gap']:.1e}" in result.err
