"""fne evaluate with classifiers beside the SVM and ridge: against scikit-learn, and through every output."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import codes_of, evaluate, noisy, saved_and_applied, write
from places import DOCS
from sklearn import metrics as peer
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize

from fne_cli.cli.evaluate import evaluate as command
from fne_cli.errors import WrongOptions
from fne_cli.numerics.embedding import arrays_of
from fne_cli.numerics.evaluation import protocols
from fne_cli.numerics.models import model_of
from fne_cli.steps.evaluate import ClassifierOptions, Protocol
from fne_cli.store.other.classifiers import load_model

LDA, CENTROID = ("--classifier", "lda", "--shrinkage", "auto"), ("--classifier", "centroid")
KNN, LOGISTIC = ("--classifier", "knn:5"), ("--classifier", "logistic")
ALL = pytest.mark.parametrize("how", [LDA, LOGISTIC, KNN, CENTROID], ids=lambda how: how[1])


def evaluated(fne, *arguments):
    result = fne("evaluate", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def decisions_of(saved, rows):
    """What a saved classifier says of rows, (rows, classes)."""
    head, arrays = load_model(saved, arrays_of)
    classes, temperature = np.arange(len(head["classes"])), head.get("temperature")
    temperature = None if temperature is None else float(temperature)
    return model_of(head["classifier"], classes, rows.shape[1], arrays, temperature).decisions(rows)


def lda(rows, labels, shrinkage):
    """scikit-learn's discriminants of equally likely classes, with the covariance of all rows within their classes."""
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(3)])
    rest = rows - means[labels]
    covariance, auto = ledoit_wolf(rest, assume_centered=True)
    if shrinkage is not None:
        spread = np.trace(rest.T @ rest) / rest.size
        covariance = (1 - shrinkage) * rest.T @ rest / len(rows) + shrinkage * spread * np.eye(rows.shape[1])
    found = LinearDiscriminantAnalysis(solver="eigen", priors=np.full(3, 1 / 3))
    found.classes_, found.means_ = np.arange(3), means
    found.coef_ = np.linalg.solve(covariance, means.T).T
    found.intercept_ = -0.5 * (means * found.coef_).sum(axis=1)
    return found, auto


@pytest.fixture
def task():
    rows, labels, splits = noisy(spread=0.3)
    return codes_of(rows), labels, np.array(splits) == "train", splits


def test_lda_with_its_own_shrinkage_on_the_test_images(fne, task, tmp_path):
    codes, labels, train, splits = task
    path = write(tmp_path / "c.h5", {"x": codes[:, :7], "y": codes[:, 7:]}, labels, splits)
    document = evaluated(fne, path, *LDA)
    (found,) = document["results"]
    model, auto = lda(codes[train].astype(float), labels[train], None)
    assert found["shrinkage"] == pytest.approx(auto)
    said = model.predict(codes[~train].astype(float))
    assert found["mean_per_class_accuracy"] == pytest.approx(peer.balanced_accuracy_score(labels[~train], said))
    assert (found["path"], document["settings"]["classifier"]) == ("primal", "lda")
    assert document["settings"]["shrinkage"] == "auto"
    assert not {"C", "penalty", "objective", "duality_gap", "converged"} & set(found)
    table = fne("evaluate", path, *LDA).out
    assert "shrinkage" in table and f"{found['shrinkage']:g}" in table


@pytest.mark.parametrize("kind", [None, "standardized"])
def test_one_shrinkage_of_several_is_chosen_in_folds_of_the_training_images(fne, task, tmp_path, kind):
    codes, labels, train, splits = task
    grid = (0.01, 0.1, 0.5, 1.0)
    values = codes if kind is None else noisy(spread=0.3)[0].astype(np.float32)
    embedding = () if kind is None else ("--embedding", kind)
    path = write(tmp_path / "f.h5", {"x": values}, labels, splits, kind="codes" if kind is None else "activations")
    (found,) = evaluated(fne, path, *LDA, *embedding, "--shrinkage", "0.5,0.01,1,0.1")["results"]
    images = np.flatnonzero(train)
    scores = np.zeros(4)
    count = min(5, np.bincount(labels[train]).min())
    for trial in protocols.folds(labels, images, count, 0):
        scaler = StandardScaler(with_mean=kind is not None, with_std=kind is not None).fit(values[trial.train])
        own, asked = (scaler.transform(values[part].astype(float)) for part in (trial.train, trial.test))
        for place, shrinkage in enumerate(grid):
            said = lda(own, labels[trial.train], shrinkage)[0].predict(asked)
            scores[place] += peer.balanced_accuracy_score(labels[trial.test], said) / count
    choice = found["choice_of_shrinkage"]
    assert [entry["shrinkage"] for entry in choice["scores"]] == list(grid)
    assert [entry["score"] for entry in choice["scores"]] == pytest.approx(scores)
    assert found["shrinkage"] == max(zip(scores.round(12), grid, strict=True))[1]
    assert choice["by"] == f"{count}-fold cross-validation of the training images"
    assert "duality_gap" not in choice


def test_each_trial_chooses_its_shrinkage_by_validation_images_if_there_are_any(fne, task, tmp_path):
    codes, labels, _, _ = task
    splits = [("train", "val", "test")[number % 3] for number in range(120)]
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    (found,) = evaluated(fne, path, *LDA, "--shrinkage", "0.1,0.9", "--cv", "2")["results"]
    assert found["shrinkage"] == sorted({trial["shrinkage"] for trial in found["each_trial"]})
    (found,) = evaluated(fne, path, *LDA, "--shrinkage", "0.1,0.9")["results"]
    assert found["choice_of_shrinkage"]["by"] == "validation images"


def test_one_image_per_class_has_no_shrinkage_to_choose(fne, task, tmp_path):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    one, three = evaluated(fne, path, *LDA[:2], "--per-class", "1,3", "--draws", "2")["results"]
    assert one["shrinkage"] == [1.0]
    assert one["choice_of_shrinkage"]["by"].startswith("the estimate of Ledoit and Wolf, as no class has two")
    assert {entry["score"] for entry in one["choice_of_shrinkage"]["scores"]} == {None}
    assert three["choice_of_shrinkage"]["by"] == "3-fold cross-validation of the training images"
    assert fne("evaluate", path, *LDA[:2], "--per-class", "1,3", "--draws", "2").code == 0


def spread_of(rows):
    return float(rows.astype(float).var(axis=0).sum())


def test_logistic_regression_chooses_its_cost_in_folds(fne, task, tmp_path):
    codes, labels, train, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    document = evaluated(fne, path, *LOGISTIC, "-C", "1,0.001,0.03", "--tolerance", "1e-8")
    (found,) = document["results"]
    costs, images = [0.001, 0.03, 1.0], np.flatnonzero(train)
    scores = np.zeros(3)
    for trial in protocols.folds(labels, images, 5, 0):
        for place, cost in enumerate(costs):
            model = LogisticRegression(C=cost, tol=1e-6, max_iter=5000).fit(codes[trial.train], labels[trial.train])
            said = model.predict(codes[trial.test])
            scores[place] += peer.balanced_accuracy_score(labels[trial.test], said) / 5
    choice = found["choice_of_C"]
    assert [entry["score"] for entry in choice["scores"]] == pytest.approx(scores)
    assert found["C"] == costs[int(np.argmax(scores))]
    model = LogisticRegression(C=found["C"], tol=1e-6, max_iter=5000).fit(codes[train], labels[train])
    expected = peer.balanced_accuracy_score(labels[~train], model.predict(codes[~train]))
    assert found["mean_per_class_accuracy"] == pytest.approx(expected)
    assert found["converged"] and max(found["duality_gap"], choice["duality_gap"] / 1e4) <= 1e-8
    assert document["settings"]["tolerance"] == 1e-8 and document["settings"]["C"] == costs
    assert not {"solver", "relative_cost"} & set(document["settings"])


@pytest.mark.parametrize("how", [(), ("--solver", "liblinear"), LOGISTIC], ids=["svm", "liblinear", "logistic"])
@pytest.mark.parametrize("kind", [None, "standardized"])
def test_a_relative_cost_is_an_absolute_one_in_the_unit_of_the_rows(fne, task, tmp_path, how, kind):
    """Of several the same is chosen; the rows of folds have the unit of all training rows."""
    codes, labels, train, splits = task
    values = codes if kind is None else noisy(spread=0.3)[0].astype(np.float32)
    more = () if kind is None else ("--embedding", kind)
    path = write(tmp_path / "f.h5", {"x": values}, labels, splits, kind="codes" if kind is None else "activations")
    document = evaluated(fne, path, *how, *more, "-C", "0.1,3", "--relative-cost", "--model", tmp_path / "m.npz")
    (found,) = document["results"]
    unit = spread_of(codes[train]) if kind is None else 30.0
    assert document["settings"]["relative_cost"] is True
    assert document["settings"]["C"] == [0.1, 3.0] and found["C"] in (0.1, 3.0)
    assert found["mean_diagonal"] == pytest.approx(unit, rel=1e-5)
    assert found["absolute_C"] == found["C"] / found["mean_diagonal"]
    head, _ = load_model(tmp_path / "m.npz", arrays_of)
    assert head["C"] == found["absolute_C"]
    absolute = ",".join(str(one / found["mean_diagonal"]) for one in (0.1, 3.0))
    (other,) = evaluated(fne, path, *how, *more, "-C", absolute)["results"]
    assert other["mean_per_class_accuracy"] == found["mean_per_class_accuracy"]
    assert other["objective"] == pytest.approx(found["objective"], rel=1e-4)
    scores = [[one["score"] for one in entry["choice_of_C"]["scores"]] for entry in (found, other)]
    assert scores[0] == pytest.approx(scores[1])
    assert not {"mean_diagonal", "absolute_C"} & set(other)


def test_one_grid_serves_rows_of_any_size(fne, task, tmp_path):
    codes, labels, _, splits = task
    found = []
    for factor in (1, 64):
        path = write(tmp_path / f"{factor}.h5", {"x": factor * codes.astype(np.float32)}, labels, splits,
                     kind="activations")  # fmt: skip
        options = ("--embedding", "raw", "-C", "0.1,1,10", "--relative-cost", "--cv", "2")
        (entry,) = evaluated(fne, path, *LOGISTIC, *options)["results"]
        found.append((entry["C"], entry["mean_per_class_accuracy"], entry["choice_of_C"]["scores"]))
    assert found[0] == found[1]


def test_the_nearest_mean_is_that_of_the_smallest_angle(fne, task, tmp_path):
    codes, labels, train, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    document = evaluated(fne, path, *CENTROID)
    (found,) = document["results"]
    unit = normalize(codes[train].astype(float))
    means = np.stack([unit[labels[train] == label].mean(axis=0) for label in range(3)])
    said = cosine_similarity(codes[~train].astype(float), means).argmax(axis=1)
    assert found["mean_per_class_accuracy"] == pytest.approx(peer.balanced_accuracy_score(labels[~train], said))
    assert document["settings"]["classifier"] == found["path"] == "centroid"
    assert not {"C", "solver", "tolerance", "penalty"} & set(document["settings"])


@pytest.mark.parametrize(("name", "temperature"), [("knn", None), ("knn:3", "0.5"), ("knn:9", "inf")])
def test_the_nearest_rows_vote(fne, task, tmp_path, name, temperature):
    codes, labels, train, splits = task
    labels = np.where(labels == 1, 3, labels)  # nobody has the class in the middle
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits, classes=tuple("abcd"))
    options = () if temperature is None else ("--temperature", temperature)
    document = evaluated(fne, path, "--classifier", name, *options)
    (found,) = document["results"]
    spelled, told = {"knn": ("knn:20", 0.07), "knn:3": ("knn:3", 0.5), "knn:9": ("knn:9", "inf")}[name]
    assert (document["settings"]["classifier"], document["settings"]["temperature"]) == (spelled, told)
    kind = "uniform" if told == "inf" else lambda distances: np.exp((1 - distances) / told)
    neighbours = KNeighborsClassifier(int(spelled[4:]), metric="cosine", weights=kind, algorithm="brute")
    said = neighbours.fit(codes[train].astype(float), labels[train]).predict(codes[~train].astype(float))
    # where rows are equally similar, others than ours may vote there
    expected = peer.balanced_accuracy_score(labels[~train], said)
    assert found["mean_per_class_accuracy"] == pytest.approx(expected, abs=0.05)
    assert found["path"] == "neighbours"


@ALL
@pytest.mark.parametrize("kind", ["codes", "fne", "standardized"])
def test_a_saved_classifier_says_what_the_evaluation_said(fne, tmp_path, how, kind):
    found, head, members, lines = saved_and_applied(fne, tmp_path, how, kind)
    right = sum(line["truth"] == line["prediction"] for line in lines)
    assert right / len(lines) == pytest.approx(found["accuracy"])
    assert (head["version"], head["classifier"]) == (4, how[1])
    assert head.get("shrinkage") == found.get("shrinkage")
    if how is KNN:  # codes stay packed
        assert {"labels", *(("rows",) if kind == "standardized" else ("positive", "negative"))} <= members


@ALL
def test_crops_vote(fne, tmp_path, how):
    rows, labels, splits = noisy(48, features=70, spread=0.12)
    crops = (rows[:, None] + np.random.default_rng(5).normal(0, 0.1, (48, 3, 70))).reshape(-1, 70).astype(np.float32)
    path = write(tmp_path / "a.h5", {"x": crops}, labels, splits, kind="activations", crops=3)
    saved = tmp_path / "model.npz"
    (found,) = evaluated(fne, path, *how, "--embedding", "raw", "--model", saved, "--predictions", tmp_path / "p.csv")[
        "results"
    ]
    assert (found["training_rows"], found["test_rows"]) == (72, 72)
    decisions = decisions_of(saved, crops)
    test = np.repeat(np.array(splits) == "test", 3)
    votes = np.stack([np.bincount(one, minlength=3) for one in decisions[test].argmax(axis=1).reshape(-1, 3)])
    clear = votes.max(axis=1) > 1
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        said = np.array(["abc".index(line["prediction"]) for line in csv.DictReader(file)])
    assert clear.sum() > 10
    np.testing.assert_array_equal(said[clear], votes.argmax(axis=1)[clear])


def test_two_classes_one_of_a_single_image_cannot_choose(fne, task, tmp_path):
    codes, labels, train, splits = task
    labels = np.zeros(120, np.int32)
    labels[[np.flatnonzero(train)[0], np.flatnonzero(~train)[0]]] = 1
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits, classes=("a", "b"))
    (found,) = evaluated(fne, path, *LDA[:2])["results"]
    assert found["choice_of_shrinkage"]["by"].endswith("as a fold would leave training images of one class only")
    assert found["shrinkage"] == evaluated(fne, path, *LDA)["results"][0]["shrinkage"]
    refused = fne("evaluate", path, "-C", "0.1,1")
    assert refused.code == 1
    said = "c.h5: to choose C there should be validation images (split val), or training images of two classes outside"
    assert said in refused.err
    assert "Give one -C." in refused.err


@pytest.mark.parametrize("shown", [0, 1])
@pytest.mark.parametrize("options", [(), ("--shrinkage", "0.1"), LDA[2:]], ids=str)
def test_several_labels_that_a_fold_or_all_training_images_lack(fne, task, tmp_path, shown, options):
    codes, _, train, splits = task
    labels = np.zeros((120, 3), np.int8)
    labels[:, 0] = 1
    labels[np.flatnonzero(train)[:shown], 1:] = 1
    labels[np.flatnonzero(~train)[:5]] = 1
    path, saved = write(tmp_path / "c.h5", {"x": codes}, labels, splits), tmp_path / "m.npz"
    (found,) = evaluated(fne, path, *LDA[:2], *options, "--model", saved)["results"]
    assert found["shrinkage"] == 0.1 if "0.1" in options else 0 < found["shrinkage"] <= 1
    assert np.abs(decisions_of(saved, codes)[:, 1]).any() == bool(shown)


@ALL
def test_several_labels_are_a_problem_for_each_class(fne, task, tmp_path, how):
    codes, _, train, splits = task
    labels = np.random.default_rng(3).integers(0, 2, (120, 3)).astype(np.int8)
    labels[:, 0] = codes[:, 0] + codes[:, 1] > 0
    labels[np.arange(120) % 7 == 0, 1] = -1
    path, saved = write(tmp_path / "c.h5", {"x": codes}, labels, splits), tmp_path / "m.npz"
    (found,) = evaluated(fne, path, *how, "--model", saved)["results"]
    decisions = decisions_of(saved, codes[~train])
    for number, row in enumerate(found["per_class"]):
        asked = labels[~train, number] >= 0
        truth = labels[~train, number][asked]
        expected = peer.average_precision_score(truth, decisions[asked, number])
        assert row["average_precision"] == pytest.approx(expected)
        if how is KNN and number == 1:
            continue  # of the nearest rows those that count vote; they are not looked for alone
        alone = (labels[:, number] >= 0) & train
        own = write(
            tmp_path / f"{number}.h5",
            {"x": codes},
            labels[:, number],
            ["train" if one else "" if not other else "test" for one, other in zip(alone, ~train, strict=True)],
            classes=("without", "with"),
        )
        # the same class alone, against its absence, ranks images in the same way
        assert fne("evaluate", own, *how, "--predictions", tmp_path / f"{number}.csv").code == 0
        with open(tmp_path / f"{number}.csv", newline="", encoding="utf-8") as file:
            apart = [float(line["decision:with"]) - float(line["decision:without"]) for line in csv.DictReader(file)]
        shares = 0.5 if how in (KNN, LOGISTIC) else 1.0  # of two classes, both of which say the same with another sign
        np.testing.assert_allclose(shares * np.array(apart), decisions[asked, number], rtol=1e-4, atol=1e-5)


@ALL
@pytest.mark.parametrize("repeated", [False, True])
def test_workers_find_the_same(task, tmp_path, how, repeated):
    codes, labels, _, splits = task
    path = write(tmp_path / "a.h5", {"x": codes.astype(np.float32)}, labels, splits, kind="activations")
    protocol = Protocol(cv=3) if repeated else Protocol()
    options = {"classifier": how[1], "embedding": "standardized", "memory": 1 << 27}

    def made(name):
        beside = {} if repeated else {"model": tmp_path / f"{name}.npz"}
        return options | {"predictions": tmp_path / f"{name}.csv"} | beside

    evaluate(path, tmp_path / "1.json", protocol, **made("1"))
    evaluate(path, tmp_path / "2.json", protocol, cluster=cluster_of(Here()), **made("2"))
    for ending in ("json", "csv", *(() if repeated else ("npz",))):
        assert (tmp_path / f"1.{ending}").read_bytes() == (tmp_path / f"2.{ending}").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*LDA, "-C", "0.1"), "--cost goes with --classifier svm or logistic. Found: --classifier lda"),
        ((*CENTROID, "--relative-cost"), "--relative-cost goes with --classifier svm or logistic"),
        ((*LOGISTIC, "--solver", "liblinear"), "--solver goes with --classifier svm. Found: --classifier logistic"),
        ((*LDA, "--penalty", "1"), "--penalty goes with --classifier ridge. Found: --classifier lda"),
        ((*CENTROID, "--tolerance", "1e-3"), "--tolerance goes with --classifier svm"),
        ((*KNN, "--shrinkage", "0.5"), "--shrinkage goes with --classifier lda. Found: --classifier knn:5"),
        (("--temperature", "1"), "--temperature goes with --classifier knn. Found: --classifier svm"),
        ((*KNN, "--temperature", "0"), "0.0 is not in the range x>0"),
        ((*KNN, "--temperature", "nan"), "--temperature should be above 0, inf for equal votes. Found: nan"),
        (
            ("--classifier", "knn:0"),
            "should be svm, ridge, lda, logistic, centroid or knn:NUMBER, such as knn:20. Found: ",
        ),
        (("--shrinkage", "0.5"), "--shrinkage goes with --classifier lda. Found: --classifier svm"),
        ((*LDA, "--shrinkage", "1.5"), "should be auto, or numbers above 0 up to 1"),
        ((*LDA, "--shrinkage", "0"), "should be auto, or numbers above 0 up to 1"),
        ((*LDA, "--shrinkage", "none"), "should be auto, or numbers above 0 up to 1"),
    ],
)
def test_options_that_are_not_theirs_are_refused(fne, task, tmp_path, options, said):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    refused = fne("evaluate", path, tmp_path / "r.json", *options)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("shrinkage", ["much", (), (0.0,), (0.5, 2.0)])
def test_a_shrinkage_from_python_is_looked_at_too(shrinkage):
    with pytest.raises(WrongOptions, match=r"--shrinkage should be auto, or numbers .* Found: "):
        ClassifierOptions(classifier="lda", shrinkage=shrinkage).check()


@ALL
def test_what_does_not_fit_is_refused_before_it_begins(fne, tmp_path, how):
    rows, labels, splits = noisy(600, features=4000)
    path = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    refused = fne("evaluate", path, *how, "--memory", "1M")
    assert (refused.code, "1.0 MiB" in refused.err and "needs" in refused.err.replace("need ", "needs ")) == (
        1,
        True,
    ), refused.err
    assert fne("evaluate", path, *how, "--memory", "200M").code == 0


def test_pages_tell_them_apart(fne, task, tmp_path):
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    names = []
    some = {"svm": (), "lda": LDA, "some": (*LDA, "--shrinkage", "0.1,0.5"), "mean": CENTROID, "knn": KNN}
    some |= {"relative": (*LOGISTIC, "--relative-cost", "-C", "1,2")}
    for name, options in some.items():
        names.append(tmp_path / f"{name}.json")
        assert fne("evaluate", path, names[-1], *options).code == 0
    done = fne("report", *names, tmp_path / "page.html", "--latex", tmp_path / "table.tex")
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("svm", "lda, shrinkage auto", "lda, shrinkage 0.1, 0.5", "centroid", "knn:5", "logistic"):
        assert f"classifier {text}" in page
    assert page.count("shrinkage chosen</th>") == 1
    assert "<dt>shrinkage</dt><dd><bdi>0.1, 0.5</bdi></dd>" in page


@ALL
def test_every_key_of_the_results_is_described(fne, task, tmp_path, how):
    """And the shrinkages of the command, a text so that its help loads no solver, are those of the step."""
    option = next(option for option in command.params if option.name == "shrinkage")
    assert option.type_cast_value(None, option.default) == ClassifierOptions().shrinkage
    text = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    codes, labels, _, splits = task
    path = write(tmp_path / "c.h5", {"x": codes}, labels, splits)
    more = ("-C", "0.1,1", "--relative-cost") if how is LOGISTIC else ()
    (entry,) = evaluated(fne, path, *how[:2], *more, "--cv", "2")["results"]
    keys = {*entry, *entry["each_trial"][0], *entry.get("choice_of_shrinkage", ()), *entry.get("choice_of_C", ())}
    assert {key for key in keys if key.removesuffix("_std") not in set(re.findall(r"\w+", text))} == set()
