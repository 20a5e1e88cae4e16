"""fne evaluate --recipe: against scikit-learn's Ridge refitted without each image, and the same options given."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import evaluate, noisy, write
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss

from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation import protocols
from fne_cli.steps.evaluate import recipe
from fne_cli.steps.evaluate.candidates import CANDIDATES, PENALTIES, PRIOR, PRIOR_PENALTY, ROOTS

WIDTHS = (6, 20, 9)
AUTO = ("--recipe", "auto")


def evaluated(fne, *arguments):
    result = fne("evaluate", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.fixture
def layers(tmp_path):
    """Only the second layer knows the classes."""
    rows, labels, splits = noisy(90, sum(WIDTHS), spread=0.6)
    rows[:, :6], rows[:, 26:] = np.random.default_rng(1).normal(0, 1, (2, 90, 9))[0][:, :6], 1.5
    rows[:, 26:] += np.random.default_rng(2).normal(0, 1, (90, 9))
    rows = rows.astype(np.float32)
    parts = {"x": rows[:, :6], "y": rows[:, 6:26], "z": rows[:, 26:]}
    return write(tmp_path / "a.h5", parts, labels, splits, kind="activations"), rows, labels, np.array(splits)


def left_out(rows: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    """Decision values of every row by a fit that has not seen it."""
    rows = rows.astype(float)
    targets = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    scale = penalty * float(rows.var(axis=0).sum())
    found = np.empty(targets.shape)
    for row in range(len(rows)):
        out = np.arange(len(rows)) == row
        found[out] = Ridge(scale, solver="svd").fit(rows[~out], targets[~out]).predict(rows[out])
    return found


def test_scores_are_likelihoods_of_refits_without_each_image(fne, layers):
    path, rows, labels, splits = layers
    train = splits == "train"
    own, truth = rows[train], labels[train]
    (found,) = evaluated(fne, path, *AUTO)["results"]
    choice = found["choice_of_recipe"]
    assert (choice["by"], choice["figure"]) == ("leave-one-out of the training images", "log_likelihood")
    assert [entry["recipe"] for entry in choice["scores"]] == list(CANDIDATES)
    counts = np.bincount(truth)
    parts = protocols.folds(labels, np.flatnonzero(train), 3, 0)
    for entry in choice["scores"][:3]:
        best = -np.inf
        for penalty in PENALTIES:
            decisions = left_out(
                embedding(entry["recipe"]).fit([own], WIDTHS, labels=truth).encode(own), truth, penalty
            )
            for part in parts if "aligned" in entry["recipe"] else ():  # labels of other images weigh the layers
                known = np.isin(np.flatnonzero(train), part.train)
                fitted = embedding(entry["recipe"]).fit([own[known]], WIDTHS, labels=truth[known])
                decisions[~known] = left_out(fitted.encode(own), truth, penalty)[~known]
            for times in 2.0 ** np.arange(8):
                shares = np.exp(times * decisions - (times * decisions).max(axis=1, keepdims=True))
                shares /= shares.sum(axis=1, keepdims=True)
                best = max(best, -log_loss(truth, shares, sample_weight=1 / counts[truth]))
        assert entry["score"] == pytest.approx(best, rel=1e-6)


def test_what_is_chosen_is_what_these_options_give(fne, layers, tmp_path):
    """And its classifier classifies as they do."""
    path, *_ = layers
    document = evaluated(
        fne, path, tmp_path / "r.json", *AUTO, "--model", tmp_path / "m.npz", "--predictions", tmp_path / "p.csv"
    )
    (found,) = document["results"]
    assert document["settings"]["recipe"] == document["settings"]["embedding"] == "auto"
    assert not {"C", "classifier", "penalty"} & set(document["settings"])
    best = max(found["choice_of_recipe"]["scores"], key=lambda entry: entry["score"])
    assert found["recipe"].startswith(ROOTS) and best["score"] >= found["choice_of_recipe"]["score"]
    given = ("--embedding", found["recipe"], "--classifier", "ridge", "--penalty", found["penalty"])
    (same,) = evaluated(fne, path, *given)["results"]
    assert {key: found[key] for key in same if key != "choice_of_penalty"} == {
        key: value for key, value in same.items() if key != "choice_of_penalty"
    }
    assert fne("predict", tmp_path / "m.npz", path, tmp_path / "q.csv").code == 0
    said = {row["path"]: row["prediction"] for row in csv.DictReader((tmp_path / "q.csv").open())}
    measured = {row["path"]: row["prediction"] for row in csv.DictReader((tmp_path / "p.csv").open())}
    assert measured.items() <= said.items()
    assert "is up to date" in fne("evaluate", path, tmp_path / "r.json", *AUTO).err


def test_layers_that_know_nothing_are_weighed_down(fne, layers):
    path, *_ = layers
    plain = evaluated(fne, path, "--embedding", "z,root,equal", "--classifier", "ridge")["results"][0]
    (found,) = evaluated(fne, path, *AUTO)["results"]
    assert "aligned" in found["recipe"]
    assert found["mean_per_class_accuracy"] > plain["mean_per_class_accuracy"]


def test_another_family_has_to_be_better_by_more_than_chance():
    values = np.random.default_rng(0).normal(-1, 0.5, 40)

    def tried(name: str, ahead: np.ndarray | float) -> recipe._Tried:
        each = values + ahead
        return recipe._Tried(name, 0.1, float(each.mean()), each)

    noise = np.random.default_rng(1).normal(0, 1, 40)
    noise -= noise.mean()
    first, second = tried("z,root,equal", 0.0), tried("z,root", -0.1)
    assert recipe._best([second, first, tried("z", 0.5 / np.sqrt(40) + noise)]) is first
    other = tried("z", 1.5 / np.sqrt(40) + noise)
    assert recipe._best([first, other, second]) is other


def test_with_one_image_of_every_class_there_is_a_prior(fne, layers):
    path, *_ = layers
    one, two = evaluated(fne, path, *AUTO, "--per-class", "1,2", "--draws", "2")["results"]
    assert (one["recipe"], one["penalty"]) == ([PRIOR], [PRIOR_PENALTY])
    assert one["choice_of_recipe"]["by"] == "the prior, as no class has two training images"
    assert one["choice_of_recipe"]["score"] is None and one["choice_of_recipe"]["scores"] == []
    assert set(two["recipe"]) <= set(CANDIDATES)
    assert len(two["choice_of_recipe"]["scores"]) == len(CANDIDATES)


def test_several_labels_are_compared_by_precision(fne, layers, tmp_path):
    _, rows, _, splits = layers
    labels = np.random.default_rng(3).integers(0, 2, (90, 3)).astype(np.int8)
    labels[::7, 1] = -1
    path = write(tmp_path / "s.h5", {"x": rows[:, :6], "y": rows[:, 6:]}, labels, list(splits), kind="activations")
    (found,) = evaluated(fne, path, *AUTO)["results"]
    choice = found["choice_of_recipe"]
    assert choice["figure"] == "mean_average_precision"
    given = ("--classifier", "ridge", "--penalty", ",".join(map(str, PENALTIES)))
    (same,) = evaluated(fne, path, "--embedding", CANDIDATES[1], *given)["results"]
    assert choice["scores"][1]["score"] == pytest.approx(same["choice_of_penalty"]["score"])


def test_the_budget_ends_the_list_and_crops_count(layers, tmp_path):
    path, rows, labels, splits = layers
    (found,) = evaluate(path, recipe="auto", budget=1e-9).results["results"]
    assert [entry["recipe"] for entry in found["choice_of_recipe"]["scores"]] == [CANDIDATES[0]] == [found["recipe"]]
    crops = write(
        tmp_path / "c.h5", {"x": rows[:, :6], "y": rows[:, 6:]}, labels[::3], list(splits[::3]), kind="activations",
        crops=3,
    )  # fmt: skip
    (found,) = evaluate(crops, recipe="auto").results["results"]
    assert found["training_rows"] == 3 * int((splits[::3] == "train").sum())


def test_workers_choose_the_same(layers, tmp_path):
    path, *_ = layers
    alone = evaluate(path, tmp_path / "1.json", recipe="auto", model=tmp_path / "1.npz", memory=1 << 30)
    shared = evaluate(
        path, tmp_path / "2.json", recipe="auto", model=tmp_path / "2.npz", memory=1 << 30, cluster=cluster_of(Here())
    )
    assert alone.results == shared.results
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_the_published_recipe_is_what_it_stands_for(fne, layers, tmp_path):
    path, *_ = layers
    assert fne("evaluate", path, tmp_path / "1.json", "--recipe", "published").code == 0
    assert fne("evaluate", path, tmp_path / "2.json", "--embedding", "fne", "-C", "1").code == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "auto", "--embedding", "z"), "--recipe says which embedding there is"),
        (("--recipe", "published", "-C", "0.1"), "--recipe says which classifier there is. Leave it out, or --cost."),
        (("--recipe", "auto", "--each-layer"), "--recipe auto is for all layers together"),
        (("--recipe", "published", "--budget", "5"), "--budget goes with --recipe auto"),
        (("--budget", "5"), "--budget goes with --recipe auto"),
    ],
)
def test_what_does_not_go_together(fne, layers, arguments, message):
    result = fne("evaluate", layers[0], *arguments)
    assert result.code == 2
    assert message in result.err


def test_codes_are_an_embedding_already(fne, layers, tmp_path):
    _, rows, labels, splits = layers
    codes = write(tmp_path / "k.h5", {"x": np.sign(rows).astype(np.int8)}, labels, list(splits))
    result = fne("evaluate", codes, *AUTO)
    assert result.code == 1
    assert "should be an activations file for --recipe auto" in result.err
    plain, published = (evaluated(fne, codes, *more)["results"] for more in ((), ("--recipe", "published")))
    assert plain == published
