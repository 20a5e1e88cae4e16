"""Embeddings of pieces against scikit-learn and NumPy, and from the fit to the command and the saved classifier."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import evaluate, noisy, write
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler, normalize

from fne_cli import FullNetworkEmbedding
from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import arrays_of, embedding, names, spelled
from fne_cli.steps.evaluate import Protocol
from fne_cli.store.other.classifiers import load_model

WIDTHS = (3, 1, 5)
ROWS = np.maximum(np.random.default_rng(0).normal(0.5, 1, (60, 9)) * np.arange(1, 10), 0).astype(np.float32)
ROWS[:, 4] = 2.0  # a constant feature
TRAIN = ROWS[:40].astype(np.float64)


def fitted(text: str):
    """On the first 40 rows, in batches."""
    return embedding(text).fit([ROWS[:7], ROWS[7:40]], WIDTHS)


def layers(values: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(WIDTHS)[:-1], axis=1)


def scores() -> np.ndarray:
    return StandardScaler().fit(TRAIN).transform(ROWS.astype(np.float64))


def roots(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values))


def energies(values: np.ndarray) -> list[float]:
    """Of each layer, over the training rows: the mean squared distance from the mean."""
    return [float(((part[:40] - part[:40].mean(axis=0)) ** 2).sum(axis=1).mean()) for part in layers(values)]


def weighed(values: np.ndarray, weights: list[float]) -> np.ndarray:
    return np.hstack([part * weight for part, weight in zip(layers(values), weights, strict=True)])


def test_values_change_as_numpy_and_scikit_learn_say():
    z = scores()
    units = np.hstack([normalize(part) for part in layers(ROWS.astype(np.float64))])
    for text, expected in {
        "z": z,
        "z,root": roots(z),
        "z,clip:1.5": z.clip(-1.5, 1.5),
        "z,clip:1.5,root": roots(z.clip(-1.5, 1.5)),
        "unit": units,
        "length": normalize(ROWS.astype(np.float64)),
        "root,power:3": np.abs(ROWS.astype(np.float64)) ** 1.5,
        "root,unit": np.hstack([normalize(part) for part in layers(roots(ROWS.astype(np.float64)))]),
        "unit,clip:0.5": units.clip(-0.5, 0.5),
    }.items():
        found = fitted(text).encode(ROWS)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=text)


@pytest.mark.parametrize("text", ["z,root,equal", "unit,equal", "equal", "z,equal"])
def test_layers_of_equal_energy_have_it_on_the_training_rows(text):
    plain = fitted(text.removesuffix(",equal")).encode(ROWS) if "," in text else ROWS
    found = fitted(text).encode(ROWS)
    np.testing.assert_allclose(energies(found.astype(np.float64)), [1.0, 1.0, 1.0], rtol=1e-5)
    expected = weighed(plain.astype(np.float64), [energy**-0.5 for energy in energies(plain.astype(np.float64))])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_layers_are_weighted_by_depth():
    z = scores()
    third = [(1 / 3) ** 3, (2 / 3) ** 3, 1.0]
    np.testing.assert_allclose(fitted("z,depth:3").encode(ROWS), weighed(z, third), rtol=1e-5, atol=1e-6)
    both = fitted("z,root,equal,depth:0.5").encode(ROWS).astype(np.float64)
    np.testing.assert_allclose(energies(both), [1 / 3, 2 / 3, 1.0], rtol=1e-5)


def test_a_layer_without_energy_stays_as_it_is():
    rows = np.hstack([np.full((20, 3), 7.0), np.random.default_rng(1).normal(size=(20, 2))]).astype(np.float32)
    found = embedding("z,equal").fit([rows], (3, 2)).encode(rows)
    assert not found[:, :3].any()
    assert np.isfinite(found).all()


def test_the_length_of_the_whole_row_is_l2():
    assert (fitted("length").encode(ROWS) == fitted("l2").encode(ROWS)).all()


def test_balanced_is_the_name_of_pieces():
    assert (fitted("balanced").encode(ROWS) == fitted("z,root,equal,depth:1").encode(ROWS)).all()
    assert embedding("balanced").title == "signed roots of z, layers at equal energy and by depth"
    assert embedding("z,root,equal").title == "z,root,equal"


def test_pieces_are_written_in_one_way():
    assert spelled(" z , root,depth:3.0") == "z,root,depth:3"
    assert spelled("z,clip:2.50") == "z,clip:2.5"
    assert [spelled(name) for name in names()] == list(names())
    assert arrays_of("z,root,equal") == ("mean", "std", "scale")
    assert arrays_of("unit") == ()
    assert arrays_of("z,depth:3.0") is None  # nobody writes it so
    assert arrays_of("forest") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "z,rot",
            "depth:POWER, length, pca:COUNT, whiten[:EXPONENT], within, lda:COUNT. Found: 'z,rot'",
        ),
        ("fne,root", "Found: 'fne,root'"),
        ("", "Found: ''"),
        ("z,", "Found: 'z,'"),
        (
            "root,z",
            "clip and length again behind pca. Found: 'root,z'",
        ),
        ("z,equal,root", "z first, equal, aligned and depth behind other pieces"),
        ("root,root", "should be there once"),
        ("z,depth", "should be depth:POWER, with a number above 0 and up to 1000. Found: 'depth' in 'z,depth'"),
        ("z,depth:", "should be depth:POWER"),
        ("z,depth:nan", "should be depth:POWER"),
        ("z,depth:-1", "should be depth:POWER"),
        ("z,clip:1e9", "should be clip:LIMIT"),
        ("z:2", "should be z alone. Found: 'z:2'"),
        ("z," * 200, "Found: 400 characters"),
    ],
)
def test_pieces_that_make_no_sense_are_named(fne, tmp_path, text, said):
    with pytest.raises(BadInput) as caught:
        embedding(text)
    assert said in str(caught.value)
    if text:
        refused = fne("evaluate", tmp_path / "a.h5", "--embedding", text)
        assert (refused.code, said in refused.err) == (2, True), refused.err


@pytest.fixture
def task(tmp_path):
    rows, labels, splits = noisy(spread=0.4)
    rows = np.abs(rows).astype(np.float32)
    layers = {"x": rows[:, :4], "y": 9 * rows[:, 4:]}
    return (
        write(tmp_path / "a.h5", layers, labels, splits, kind="activations"),
        rows,
        labels,
        np.array(splits) == "train",
    )


@pytest.mark.parametrize("text", ["balanced", "z,root,depth:3", "unit"])
def test_a_whole_evaluation_and_its_classifier(fne, tmp_path, task, text):
    source, rows, labels, train = task
    saved = tmp_path / "m.npz"
    options = ("--embedding", text, "--classifier", "ridge", "--penalty", "0.1")
    done = fne("evaluate", source, tmp_path / "r.json", *options, "--model", saved, "--predictions", tmp_path / "p.csv")
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "r.json").read_text())
    (found,) = document["results"]
    assert document["settings"]["embedding"] == text
    rows[:, 4:] *= 9
    if text == "unit":
        made = np.hstack([normalize(rows[:, :4].astype(float)), normalize(rows[:, 4:].astype(float))])
    else:
        made = roots(StandardScaler().fit(rows[train].astype(float)).transform(rows.astype(float)))
        first, last = 0.125 * made[:, :4], made[:, 4:]
        if text == "balanced":
            first, last = (part / part[train].var(axis=0).sum() ** 0.5 for part in (first, last))
            first = 0.5 * first
        made = np.hstack([first, last])
    peer = RidgeClassifier(0.1 * made[train].var(axis=0).sum()).fit(made[train], labels[train])
    assert found["mean_per_class_accuracy"] == balanced_accuracy_score(labels[~train], peer.predict(made[~train]))
    assert found["mean_diagonal"] == pytest.approx(made[train].var(axis=0).sum(), rel=1e-5)
    assert fne("predict", saved, source, tmp_path / "q.csv", "--rows", "test").code == 0
    measured, given = ((tmp_path / name).read_text().splitlines()[1:] for name in ("p.csv", "q.csv"))
    assert [line.removeprefix("embedding,") for line in measured] == given
    again = fne(
        "evaluate", source, tmp_path / "r.json", *options, "--model", saved, "--predictions", tmp_path / "p.csv"
    )
    assert "up to date" in again.err
    other = fne("evaluate", source, tmp_path / "r.json", "--embedding", "z,root,depth:2", *options[2:])
    assert (other.code, "settings.embedding" in other.err) == (4, True)


def test_an_svm_on_pieces_has_the_newer_version_of_the_file(fne, tmp_path, task):
    saved = tmp_path / "m.npz"
    assert fne("evaluate", task[0], "--embedding", "z,root", "--model", saved).code == 0
    with np.load(saved, allow_pickle=False) as archive:
        head = json.loads(archive["head"].tobytes())
        assert set(archive.files) == {"head", "weights", "intercepts", "mean", "std"}
    assert (head["version"], head["embedding"]) == (3, "z,root")
    assert fne("predict", saved, task[0], tmp_path / "p.csv").code == 0


def test_workers_find_the_same_and_layers_are_weighed_in_each_fold(tmp_path, task):
    options = {"embedding": "z,root,equal,depth:2", "memory": 1 << 27, "each_layer": True}
    for name, more in (("1", {}), ("2", {"cluster": cluster_of(Here())})):
        path = tmp_path / f"{name}.json"
        evaluate(task[0], path, Protocol(cv=3), predictions=tmp_path / f"{name}.csv", **options, **more)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_the_step_writes_pieces_in_one_way(tmp_path, task):
    done = evaluate(task[0], tmp_path / "r.json", embedding="z, root, depth:3.0", model=tmp_path / "m.npz")
    assert done.results["settings"]["embedding"] == "z,root,depth:3"
    assert load_model(tmp_path / "m.npz", arrays_of)[0]["embedding"] == "z,root,depth:3"


def test_thresholds_are_not_for_pieces(fne, task):
    refused = fne("evaluate", task[0], "--embedding", "z,root", "--thresholds", "-1,1")
    assert (refused.code, "--thresholds goes with --embedding fne" in refused.err) == (2, True)


def test_an_experiment_takes_them(fne, tmp_path):
    text = "[datasets.d]\nimages = 'x'\n[networks.n]\nmodel = 'mini'\n[embeddings.b]\nembedding = '{}'\n"
    (tmp_path / "e.toml").write_text(text.format("z, root,depth:3.0"))
    shown = fne("config", "show", tmp_path / "e.toml")
    assert 'embedding = "z,root,depth:3"' in shown.out
    (tmp_path / "e.toml").write_text(text.format("z,depth"))
    refused = fne("config", "show", tmp_path / "e.toml")
    assert (refused.code, "[embeddings.b] embedding:" in refused.err) == (1, True)


def test_the_transformer_weighs_the_layers_of_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
    ours = FullNetworkEmbedding("mini", embedding="balanced", layers=("block1*", "fc1")).fit(images)
    rows = ours.activations(images)
    names = [name.split(":")[0] for name in ours.get_feature_names_out()]
    widths = [names.count(name) for name in dict.fromkeys(names)]
    np.testing.assert_array_equal(ours.transform(images), embedding("balanced").fit([rows], widths).encode(rows))


def test_the_transformer_weighs_the_layers_of_a_matrix_if_it_knows_them():
    with pytest.raises(BadInput, match="The embedding balanced should know the layers of a matrix"):
        FullNetworkEmbedding("mini", embedding="balanced").fit(ROWS[:40])
    with pytest.raises(BadInput, match=r"widths should be those of layers with 9 features\. Found: \[3, 1\]"):
        FullNetworkEmbedding("mini", embedding="balanced", widths=(3, 1)).fit(ROWS[:40])
    ours = FullNetworkEmbedding("mini", embedding="z,root,equal,depth:3", widths=WIDTHS).fit(ROWS[:40])
    np.testing.assert_array_equal(ours.transform(ROWS), fitted("z,root,equal,depth:3").encode(ROWS))
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.transform(ROWS), ours.transform(ROWS))
    np.testing.assert_array_equal(copy.deepcopy(ours).transform(ROWS), ours.transform(ROWS))
    whole = FullNetworkEmbedding("mini", embedding="z,root").fit(ROWS[:40])
    np.testing.assert_array_equal(whole.transform(ROWS), fitted("z,root").encode(ROWS))
