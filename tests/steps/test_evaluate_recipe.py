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

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.evaluation import protocols
from fne_cli.numerics.recipes import choice
from fne_cli.numerics.recipes.candidates import CANDIDATES, CAUTIOUS, LATE, PENALTIES, PRIOR_PENALTY, ROOTS
from fne_cli.steps.evaluate.classifiers import recipe
from fne_cli.transformer import FullNetworkEmbedding

WIDTHS = (6, 20, 9)
AUTO = ("--recipe", "auto")


def evaluated(fne, *arguments):
    result = fne("evaluate", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.fixture
def layers(tmp_path):
    """Only the second layer knows the classes."""
    rows, labels, splits = noisy(120, sum(WIDTHS), spread=0.6)
    rows[:, :6] = np.random.default_rng(1).normal(0, 1, (120, 6))
    rows[:, 26:] = np.random.default_rng(2).normal(1.5, 1, (120, 9))
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

    def tried(name: str, ahead: np.ndarray | float) -> choice.Tried:
        each = values + ahead
        return choice.Tried(name, 0.1, float(each.mean()), each)

    noise = np.random.default_rng(1).normal(0, 1, 40)
    noise -= noise.mean()
    first, second = tried("z,root,equal", 0.0), tried("z,root", -0.1)
    assert choice.best_of([second, first, tried("z", 0.5 / np.sqrt(40) + noise)]) is first
    other = tried("z", 1.5 / np.sqrt(40) + noise)
    assert choice.best_of([first, other, second]) is other


def test_few_images_get_a_prior(fne, layers):
    path, *_ = layers
    few, more = evaluated(fne, path, *AUTO, "--per-class", "16,17", "--draws", "2")["results"]
    assert (few["recipe"], few["penalty"]) == ([CAUTIOUS], [PRIOR_PENALTY])
    assert few["choice_of_recipe"]["by"] == (
        "the prior, as there are fewer than 50 training images, or one of every class"
    )
    assert few["choice_of_recipe"]["score"] is None and few["choice_of_recipe"]["scores"] == []
    assert set(more["recipe"]) <= set(CANDIDATES)
    assert len(more["choice_of_recipe"]["scores"]) == len(CANDIDATES)


def test_one_image_of_every_class_gets_a_prior_however_many_there_are(fne, tmp_path):
    rows = np.random.default_rng(0).normal(0, 1, (120, 9)).astype(np.float32)
    classes = tuple(map(str, range(60)))
    path = write(
        tmp_path / "m.h5", {"x": rows[:, :4], "y": rows[:, 4:]}, np.arange(120) % 60, ["train"] * 60 + ["test"] * 60,
        classes, kind="activations",
    )  # fmt: skip
    (found,) = evaluated(fne, path, *AUTO)["results"]
    assert (found["recipe"], found["penalty"]) == (LATE, PRIOR_PENALTY)


def test_several_labels_are_compared_by_precision(fne, layers, tmp_path):
    _, rows, _, splits = layers
    labels = np.random.default_rng(3).integers(0, 2, (120, 3)).astype(np.int8)
    labels[::7, 1] = -1
    path = write(tmp_path / "s.h5", {"x": rows[:, :6], "y": rows[:, 6:]}, labels, list(splits), kind="activations")
    (found,) = evaluated(fne, path, *AUTO)["results"]
    choice = found["choice_of_recipe"]
    assert choice["figure"] == "mean_average_precision"
    given = ("--classifier", "ridge", "--penalty", ",".join(map(str, PENALTIES)))
    (same,) = evaluated(fne, path, "--embedding", CANDIDATES[1], *given)["results"]
    assert choice["scores"][1]["score"] == pytest.approx(same["choice_of_penalty"]["score"])


def test_the_budget_ends_the_list_and_crops_go_together(layers, tmp_path, monkeypatch):
    path, rows, labels, splits = layers
    (found,) = evaluate(path, recipe="auto", budget=1e-9).results["results"]
    assert [entry["recipe"] for entry in found["choice_of_recipe"]["scores"]] == [CANDIDATES[0]] == [found["recipe"]]
    twice = rows.repeat(2, axis=0)
    parts = {"x": twice[:, :6], "y": twice[:, 6:26], "z": twice[:, 26:]}
    crops = write(tmp_path / "c.h5", parts, labels, list(splits), kind="activations", crops=2)
    scores = []
    for file, penalty in ((path, 0.1), (crops, 0.2)):  # twice as many rows make a penalty half as much
        monkeypatch.setattr(recipe, "PENALTIES", (penalty,))
        (found,) = evaluate(file, recipe="auto", budget=1e-9).results["results"]
        scores.append(found["choice_of_recipe"]["score"])
    assert found["training_rows"] == 120
    assert scores[1] == pytest.approx(scores[0], rel=1e-5)  # an image is left out with both of its rows


def test_a_short_budget_is_said(fne, layers):
    path, *_ = layers
    said = fne("evaluate", path, *AUTO, "--budget", "1e-9").err
    assert f"1 of {len(CANDIDATES)} candidates fit --budget and --memory" in said
    assert "candidates fit" not in fne("evaluate", path, *AUTO).err


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


@pytest.mark.parametrize("few", [False, True])
def test_the_estimator_chooses_what_the_command_does(fne, layers, few):
    path, rows, labels, splits = layers
    train = np.flatnonzero(splits == "train")
    if few:  # the prior
        train = train[:30]
        path = write(path.parent / "few.h5", {"x": rows[:, :6], "y": rows[:, 6:26], "z": rows[:, 26:]}, labels,
                     ["train" if n in train else "test" for n in range(120)], kind="activations")  # fmt: skip
    (found,) = evaluated(fne, path, *AUTO)["results"]
    own = FullNetworkEmbedding(recipe="auto", widths=WIDTHS).fit(rows[train], np.array(list("abc"))[labels[train]])
    assert own.embedding_ == found["recipe"]
    fitted = embedding(own.embedding_).fit([rows[train]], WIDTHS, labels=labels[train])
    assert np.array_equal(own.transform(rows), fitted.encode(rows))


@pytest.mark.parametrize(
    ("options", "labels", "said"),
    [
        ({"recipe": "best"}, None, "recipe should be published or auto. Found: 'best'"),
        ({"recipe": "auto", "widths": [4]}, None, "recipe auto chooses by labels"),
        ({"recipe": "auto"}, [0, 1] * 3, "The recipe auto should know the layers of a matrix"),
        ({"recipe": "published", "embedding": "l2"}, None, "recipe says which embedding there is"),
    ],
)
def test_what_a_recipe_of_the_estimator_needs(options, labels, said):
    with pytest.raises(BadInput, match=said):
        FullNetworkEmbedding(**options).fit(np.eye(6, 4, dtype=np.float32), labels)
