"""fne evaluate --classifier ridge: against scikit-learn's Ridge, refitted without each image."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import codes_of, evaluate, noisy, saved_and_applied, write
from places import DOCS
from sklearn import metrics as peer
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from fne_cli.cli.evaluate import evaluate as command
from fne_cli.numerics.evaluation import protocols
from fne_cli.numerics.ridge.solver import PENALTIES
from fne_cli.steps.evaluate.classifiers import ridge
from fne_cli.store.other.classifiers import load_model, save_model
from fne_cli.store.output.sealed import with_digest, without_digest

RIDGE = ("--classifier", "ridge")
GRID = (0.01, 0.1, 1.0, 10.0)
FEW = (*RIDGE, "--penalty", "0.01,0.1,1,10")


def evaluated(fne, *arguments):
    result = fne("evaluate", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)


def fitted(rows: np.ndarray, labels: np.ndarray, penalty: float, scale: float, classes: int = 3) -> Ridge:
    return Ridge(penalty * scale, solver="svd").fit(rows.astype(float), targets(labels, classes))


def spread(rows: np.ndarray) -> float:
    return float(rows.astype(float).var(axis=0).sum())


def left_out(rows: np.ndarray, labels: np.ndarray, penalty: float, crops: int = 1, classes: int = 3) -> np.ndarray:
    """Decision values of every row by a fit that has not seen its image: brute force. labels: of rows."""
    found = np.empty((len(rows), classes))
    for image in range(len(rows) // crops):
        out = np.arange(len(rows)) // crops == image
        found[out] = fitted(rows[~out], labels[~out], penalty, spread(rows), classes).predict(rows[out].astype(float))
    return found


def chosen_by_hand(rows: np.ndarray, labels: np.ndarray) -> tuple[float, list[float]]:
    """The penalty with the best mean per-class accuracy, the larger of equal ones, and all scores."""
    scores = [peer.balanced_accuracy_score(labels, left_out(rows, labels, one).argmax(axis=1)) for one in GRID]
    return max(zip(scores, GRID, strict=True))[1], scores


@pytest.fixture
def task():
    rows, labels, splits = noisy(spread=0.3)
    return codes_of(rows), labels, np.array(splits) == "train", splits


@pytest.mark.parametrize("features", [10, 30])
def test_penalty_and_accuracy_are_those_of_refits_without_each_image(fne, task, tmp_path, features):
    """With 60 training rows and with few features by the covariance, else by the Gram matrix of 20."""
    codes, labels, train, splits = task
    codes = codes[:, :features]
    if features == 30:
        splits = ["train" if number % 6 == 1 else "test" for number in range(120)]
        train = np.array(splits) == "train"
    path = write(tmp_path / "c.h5", {"x": codes[:, :7], "y": codes[:, 7:]}, labels, splits)
    document = evaluated(fne, path, *FEW)
    (found,) = document["results"]
    penalty, scores = chosen_by_hand(codes[train], labels[train])
    assert (found["penalty"], found["path"]) == (penalty, "primal" if features == 10 else "dual")
    choice = found["choice_of_penalty"]
    assert [entry["penalty"] for entry in choice["scores"]] == list(GRID)
    assert [entry["score"] for entry in choice["scores"]] == pytest.approx(scores)
    assert choice["score"] == pytest.approx(max(scores))
    assert (choice["by"], choice["figure"]) == ("leave-one-out of the training images", "mean_per_class_accuracy")
    assert found["mean_diagonal"] == pytest.approx(spread(codes[train]))
    said = fitted(codes[train], labels[train], penalty, spread(codes[train])).predict(codes[~train].astype(float))
    expected = peer.balanced_accuracy_score(labels[~train], said.argmax(axis=1))
    assert found["mean_per_class_accuracy"] == pytest.approx(expected)
    assert found["converged"] and found["duality_gap"] < 1e-12
    assert not {"C", "support_vectors"} & set(found)
    assert document["settings"]["classifier"] == "ridge"
    assert document["settings"]["penalty"] == list(GRID)
    assert not {"C", "solver", "tolerance"} & set(document["settings"])


def test_of_equal_penalties_the_largest_is_taken(fne, tmp_path):
    """Classes so far apart that every penalty is right everywhere."""
    rows, labels, splits = noisy(spread=3.0)
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    (found,) = evaluated(fne, path, *RIDGE, "--penalty", "0.01,1,0.1")["results"]
    assert {entry["score"] for entry in found["choice_of_penalty"]["scores"]} == {1.0}
    assert found["penalty"] == 1.0


def test_all_crops_of_an_image_are_left_out_together(fne, tmp_path):
    """Crops of one image are so alike that one left out alone would be recognised by the others."""
    rows, labels, splits = noisy(48, features=70, spread=0.12)
    jitter = np.random.default_rng(5).normal(0, 0.1, (48, 3, 70))
    crops = (rows[:, None] + jitter).reshape(-1, 70).astype(np.float32)
    train = np.repeat(np.array(splits) == "train", 3)
    path = write(tmp_path / "a.h5", {"x": crops}, labels, splits, kind="activations", crops=3)
    (found,) = evaluated(fne, path, *RIDGE, "--embedding", "raw", "--penalty", "0.01,0.5", "--aggregate", "sum")[
        "results"
    ]
    own, truth = crops[train], labels[np.array(splits) == "train"]
    for entry in found["choice_of_penalty"]["scores"]:
        decisions = left_out(own, truth.repeat(3), entry["penalty"], crops=3)
        said = decisions.reshape(-1, 3, 3).sum(axis=1).argmax(axis=1)
        assert entry["score"] == pytest.approx(peer.balanced_accuracy_score(truth, said))
        alone = left_out(own, truth.repeat(3), entry["penalty"]).reshape(-1, 3, 3).sum(axis=1).argmax(axis=1)
        assert peer.balanced_accuracy_score(truth, alone) > entry["score"] + 0.2


def test_every_fold_chooses_among_its_own_training_images(fne, task, tmp_path):
    codes, labels, _, _ = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, [""] * 120)
    (found,) = evaluated(fne, path, *FEW, "--cv", "3")["results"]
    expected = []
    for trial, figures in zip(protocols.folds(labels, np.arange(120), 3, 0), found["each_trial"], strict=True):
        penalty, scores = chosen_by_hand(codes[trial.train], labels[trial.train])
        assert figures["penalty"] == penalty
        assert figures["choice_of_penalty"]["score"] == pytest.approx(max(scores))
        model = fitted(codes[trial.train], labels[trial.train], penalty, spread(codes[trial.train]))
        said = model.predict(codes[trial.test].astype(float)).argmax(axis=1)
        expected.append(peer.balanced_accuracy_score(labels[trial.test], said))
        assert figures["mean_per_class_accuracy"] == pytest.approx(expected[-1])
    assert found["penalty"] == sorted({figures["penalty"] for figures in found["each_trial"]})
    assert found["mean_per_class_accuracy"] == pytest.approx(np.mean(expected))
    means = [entry["score"] for entry in found["choice_of_penalty"]["scores"]]
    each = [[entry["score"] for entry in trial["choice_of_penalty"]["scores"]] for trial in found["each_trial"]]
    assert means == pytest.approx(np.mean(each, axis=0))


def test_moments_are_those_of_the_training_images(fne, tmp_path):
    rows, labels, splits = noisy(spread=0.3)
    rows = (5 * rows + 100).astype(np.float32)
    train = np.array(splits) == "train"
    path = write(tmp_path / "a.h5", {"x": rows[:, :10], "y": rows[:, 10:]}, labels, splits, kind="activations")
    (found,) = evaluated(fne, path, *FEW, "--embedding", "standardized")["results"]
    z = StandardScaler().fit(rows[train].astype(float)).transform(rows.astype(float))
    penalty, _ = chosen_by_hand(z[train], labels[train])
    assert found["penalty"] == penalty
    said = fitted(z[train], labels[train], penalty, spread(z[train])).predict(z[~train]).argmax(axis=1)
    assert found["mean_per_class_accuracy"] == pytest.approx(peer.balanced_accuracy_score(labels[~train], said))
    assert found["mean_diagonal"] == pytest.approx(30, rel=1e-5)  # of z-scores the number of features


def test_one_image_per_class_has_nothing_to_be_left_out_for(fne, task, tmp_path):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    one, two = evaluated(fne, path, *FEW, "--per-class", "1,2", "--draws", "3")["results"]
    assert one["penalty"] == [0.1]
    assert one["choice_of_penalty"]["by"] == "the one nearest to 0.1, as no class has two training images"
    assert {entry["score"] for entry in one["choice_of_penalty"]["scores"]} == {0.0}
    assert two["choice_of_penalty"]["by"] == "leave-one-out of the training images"
    nearest = evaluated(fne, path, *RIDGE, "--penalty", "0.001,0.2,30", "--per-class", "1")["results"][0]
    assert nearest["penalty"] == [0.2]


def test_a_class_of_one_image_is_wrong_and_keeps_no_other_from_choosing(fne, task, tmp_path):
    codes, labels, train, splits = task
    labels = labels.copy()
    own = np.flatnonzero(train & (labels == 2))
    labels[own[1:]] = -1
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    (found,) = evaluated(fne, path, *FEW)["results"]
    known = train & (labels >= 0)
    for entry in found["choice_of_penalty"]["scores"]:
        decisions = left_out(codes[known], labels[known], entry["penalty"])
        decisions[labels[known] == 2, 2] = -np.inf
        expected = peer.balanced_accuracy_score(labels[known], decisions.argmax(axis=1))
        assert entry["score"] == pytest.approx(expected)
        assert expected <= 2 / 3


def test_several_labels_and_images_that_a_class_ignores(fne, task, tmp_path):
    codes, _, train, splits = task
    labels = np.random.default_rng(3).integers(0, 2, (120, 3)).astype(np.int8)
    labels[np.arange(120) % 7 == 0, 1] = -1
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    (found,) = evaluated(fne, path, *FEW)["results"]
    assert found["choice_of_penalty"]["figure"] == "mean_average_precision"
    scale = spread(codes[train])
    best, expected = [], []
    for entry in found["choice_of_penalty"]["scores"]:
        values = []
        for number in range(3):
            counted = train & (labels[:, number] >= 0)
            own, target = codes[counted].astype(float), 2.0 * labels[counted, number] - 1
            said = [
                Ridge(entry["penalty"] * scale, solver="svd")
                .fit(np.delete(own, row, 0), np.delete(target, row))
                .predict(own[[row]])[0]
                for row in range(len(own))
            ]
            values.append(peer.average_precision_score(target > 0, said))
        best.append(np.mean(values))
        assert entry["score"] == pytest.approx(best[-1])
    assert found["penalty"] == GRID[int(np.argmax(best))]
    for number in range(3):
        counted, asked = train & (labels[:, number] >= 0), ~train & (labels[:, number] >= 0)
        model = Ridge(found["penalty"] * scale).fit(codes[counted].astype(float), 2.0 * labels[counted, number] - 1)
        said = model.predict(codes[asked].astype(float))
        expected.append(peer.average_precision_score(labels[asked, number], said))
    assert [row["average_precision"] for row in found["per_class"]] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["codes", "fne", "standardized", "l2"])
def test_a_saved_classifier_says_what_the_evaluation_said(fne, tmp_path, kind):
    found, head, _, _ = saved_and_applied(fne, tmp_path, RIDGE, kind)
    assert (head["version"], head["classifier"], head["penalty"]) == (3, "ridge", found["penalty"])
    assert head["mean_diagonal"] == found["mean_diagonal"]
    assert "C" not in head


def test_the_svm_is_saved_as_before_and_another_classifier_is_refused(fne, task, tmp_path):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    document = evaluated(fne, path, "--model", tmp_path / "svm.npz", "--classifier", "svm")
    assert not {"classifier", "penalty"} & set(document["settings"])
    with np.load(tmp_path / "svm.npz", allow_pickle=False) as archive:
        head = json.loads(archive["head"].tobytes())
    assert (head["version"], head["C"]) == (2, 1.0)
    assert "classifier" not in head
    head.pop("digest")
    _, arrays = load_model(tmp_path / "svm.npz", {}.get)
    save_model(tmp_path / "bad.npz", head | {"classifier": "forest"}, arrays)
    refused = fne("predict", tmp_path / "bad.npz", path)
    assert (refused.code, "its head should say" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*RIDGE, "-C", "0.1"), "--cost goes with --classifier svm or logistic. Found: --classifier ridge"),
        ((*RIDGE, "--solver", "liblinear"), "--solver goes with --classifier svm"),
        ((*RIDGE, "--tolerance", "1e-3"), "--tolerance goes with --classifier svm or logistic"),
        (("--penalty", "1"), "--penalty goes with --classifier ridge. Found: --classifier svm"),
        ((*RIDGE, "--penalty", "0"), "should be numbers above 0"),
        (("--classifier", "forest"), "should be svm, ridge, lda, logistic, centroid or knn:NUMBER"),
    ],
)
def test_options_of_the_other_classifier_are_refused(fne, task, tmp_path, options, said):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    refused = fne("evaluate", path, tmp_path / "r.json", *options)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not (tmp_path / "r.json").exists()


def test_results_of_the_other_classifier_are_not_replaced(fne, task, tmp_path):
    codes, labels, _, splits = task
    path, results = write(tmp_path / "c.h5", {"x": codes}, labels, splits), tmp_path / "r.json"
    assert fne("evaluate", path, results).code == 0
    other = fne("evaluate", path, results, *FEW)
    assert (other.code, "settings.classifier" in other.err) == (4, True)
    assert fne("evaluate", path, results, *FEW, "--overwrite").code == 0
    content = results.read_bytes()
    again = fne("evaluate", path, results, *FEW)
    assert (again.code, "up to date" in again.err) == (0, True)
    assert results.read_bytes() == content


def test_validation_images_are_not_used_and_it_says_so(fne, task, tmp_path):
    codes, labels, _, _ = task
    splits = [("train", "val", "test")[number % 3] for number in range(120)]
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    with_them = evaluated(fne, path, *FEW)["results"]
    assert "validation images are not used" in fne("evaluate", path, *FEW).err
    without = write(tmp_path / "d.h5", {"x": codes}, labels, ["" if split == "val" else split for split in splits])
    assert evaluated(fne, without, *FEW)["results"] == with_them


def test_the_page_tells_it_from_the_svm(fne, task, tmp_path):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    for name, options in (("svm.json", ()), ("ridge.json", FEW)):
        assert fne("evaluate", path, tmp_path / name, *options).code == 0
    done = fne("report", tmp_path / "svm.json", tmp_path / "ridge.json", tmp_path / "page.html")
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "given split, classifier svm" in page and "given split, classifier ridge" in page
    assert page.count("penalty chosen</th>") == 1
    assert "<dt>penalty</dt><dd><bdi>0.01, 0.1, 1, 10</bdi></dd>" in page


@pytest.mark.parametrize("penalty", ["much", [1.0, None], {"a": 1}])
def test_a_penalty_that_is_no_number_is_damage(fne, task, tmp_path, penalty):
    codes, labels, _, splits = task
    path, results = write(tmp_path / "c.h5", {"x": codes}, labels, splits), tmp_path / "r.json"
    assert fne("evaluate", path, results, *FEW).code == 0
    document = without_digest(json.loads(results.read_text()))
    document["results"][0]["penalty"] = penalty
    results.write_text(json.dumps(with_digest(document)))
    done = fne("report", results, tmp_path / "page.html")
    assert (done.code, "penalty should be numbers" in done.err) == (1, True), done.err


def test_what_does_not_fit_is_refused_before_it_begins(fne, tmp_path):
    rows, labels, splits = noisy(600, features=400)
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    refused = fne("evaluate", path, *RIDGE, "--memory", "1M")
    assert refused.code == 1
    assert re.search(r"Ridge regression of 300 rows, 400 features, 3 classes and 21 penalties should fit", refused.err)
    assert fne("evaluate", path, *RIDGE, "--memory", "100M").code == 0


def test_the_table_has_the_penalty_and_what_it_was_chosen_by(fne, task, tmp_path):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    (found,) = evaluated(fne, path, *FEW)["results"]
    table = fne("evaluate", path, *FEW).out
    assert "penalty" in table and "left out" in table
    assert f"{found['penalty']:g}" in table and f"{100 * found['choice_of_penalty']['score']:.2f} %" in table


@pytest.mark.parametrize("protocol", [protocols, None])
def test_workers_find_the_same(task, tmp_path, protocol):
    from fne_cli.steps.evaluate import Protocol

    codes, labels, _, splits = task
    path = write(tmp_path / "a.h5", {"x": codes.astype(np.float32)}, labels, splits, kind="activations")
    how = Protocol(cv=3) if protocol else Protocol()
    options = {"classifier": "ridge", "penalty": GRID, "embedding": "standardized", "memory": 1 << 27}
    evaluate(path, tmp_path / "1.json", how, predictions=tmp_path / "1.csv", **options)
    evaluate(path, tmp_path / "2.json", how, predictions=tmp_path / "2.csv", cluster=cluster_of(Here()), **options)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_a_machine_of_more_processors_takes_no_more_memory_than_was_announced(task, tmp_path, monkeypatch):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    asked = []
    real = ridge.solve
    monkeypatch.setattr("fne_cli.steps.evaluate.processors", lambda: 2)
    monkeypatch.setattr("fne_cli.steps.evaluate.classifiers.training.processors", lambda: 64)
    monkeypatch.setattr(ridge, "solve", lambda *given, **named: asked.append(named["threads"]) or real(*given, **named))
    evaluate(path, classifier="ridge", penalty=GRID)
    assert asked == [2]


def test_every_key_of_the_results_is_described(fne, task, tmp_path):
    text = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    entries = [evaluated(fne, path, *FEW, *more)["results"][0] for more in ((), ("--cv", "2"))]
    keys = {key for entry in entries for key in (*entry, *entry["choice_of_penalty"])} | set(
        entries[1]["each_trial"][0]
    )
    assert {key for key in keys if key.removesuffix("_std") not in set(re.findall(r"\w+", text))} == set()


def test_the_penalties_of_the_command_are_those_of_the_solver():
    """The command line has them as a text, so that its help loads no solver."""
    option = next(option for option in command.params if option.name == "penalty")
    assert option.type_cast_value(None, option.default) == PENALTIES
