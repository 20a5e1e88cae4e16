"""Principal components as pieces against scikit-learn, and from the fit to the command and the saved classifier."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from engines import Here, cluster_of
from evaluation_files import evaluate, noisy, write
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler, normalize

from fne_cli import FullNetworkEmbedding
from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.numerics.embedding import arrays_of, embedding, spelled
from fne_cli.numerics.embedding.pieces import principal
from fne_cli.numerics.embedding.pieces.kept import keeping
from fne_cli.steps.evaluate import Protocol


def rows_of(count: int, features: int, rank: int = 10**6) -> np.ndarray:
    """Of unlike variances, in directions that are no feature's."""
    values, rank = np.random.default_rng(count), min(rank, features)
    turned = values.normal(size=(count, rank)) * np.geomspace(1, 30, rank)
    return (turned @ values.normal(size=(rank, features)) + 3).astype(np.float32)


def roots(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values))


@pytest.mark.parametrize("shape", [(70, 300), (300, 40), (40, 40)])
def test_components_are_those_of_scikit_learn_signs_and_all(monkeypatch, shape):
    monkeypatch.setattr(principal, "BLOCK", 32)  # several of them
    monkeypatch.setattr(principal, "HELD", 4 * 32 * shape[1])
    rows = rows_of(*shape)
    train, exact = rows[:-9], rows.astype(np.float64)
    for text, made in {
        "pca:20": exact,
        "z,pca:20,whiten": StandardScaler().fit(exact[:-9]).transform(exact),
        "length,pca:5,whiten,length": normalize(exact),
        "pca:7,root": exact,
        "pca:7,power:0.3,clip:1": exact,
    }.items():
        peer = PCA(int(text.split("pca:")[1].split(",")[0]), whiten="whiten" in text, svd_solver="full")
        expected = peer.fit(made[:-9]).transform(made)
        if text.endswith("length"):
            expected = normalize(expected)
        elif text.endswith("root"):
            expected = roots(expected)
        elif text.endswith("clip:1"):
            expected = (np.sign(expected) * np.abs(expected) ** 0.3).clip(-1, 1)
        fitted = embedding(text).fit([train[:5], train[5:]], [shape[1]])
        found = fitted.encode(rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), err_msg=text)
        np.testing.assert_array_equal(fitted.encode(rows[3:4]), found[3:4])
        np.testing.assert_array_equal(embedding(text).fit([train], [shape[1]]).encode(rows), found)
        columns = embedding(text).columns(shape[1])
        assert found.shape == (len(rows), columns)
        shapes = {"axes": (columns, shape[1]), "deviations": (columns,)}
        assert {name: part.shape for name, part in fitted.state().items()} == {
            name: shapes.get(name, (shape[1],)) for name in embedding(text).arrays
        }
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).encode(rows), found)


def test_fewer_components_are_the_first_of_more():
    rows = rows_of(50, 80)
    few, many = (embedding(f"pca:{count},whiten").fit([rows], [80]).encode(rows) for count in (3, 20))
    np.testing.assert_allclose(few, many[:, :3], atol=1e-6)


def test_a_decomposition_that_is_kept_changes_nothing(monkeypatch, task):
    """In it, other numbers of axes of the same rows decompose nothing; rows of other images do."""
    calls, own = [], principal.decomposed
    monkeypatch.setattr(principal, "decomposed", lambda *given: calls.append(1) or own(*given))
    wanted = [("z,pca:4", {}), ("z,pca:6,whiten", {}), ("z,pca:4", {"layers": ["y"]}), ("z,length,pca:4", {})]
    plain = [evaluate(task[0], embedding=text, **more).results["results"] for text, more in wanted]
    assert len(calls) == 4
    with keeping():
        kept = [evaluate(task[0], embedding=text, **more).results["results"] for text, more in wanted]
    assert len(calls) == 4 + 3
    assert kept == plain


def test_a_row_that_dwarfs_the_others_is_projected_as_well():
    """Products of whole numbers are exact whatever the sizes are: against float64's own, a row at a time."""
    rows = rows_of(30, 17) * np.geomspace(1e-20, 1e20, 30)[:, None].astype(np.float32)
    rows[4] = 0
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(17, 17)))[0]
    found, expected = principal.projected(rows, np.zeros(17), axes), rows.astype(np.float64) @ axes.T
    size = np.linalg.norm(expected, axis=1, keepdims=True)
    assert (np.abs(found - expected) <= 1e-6 * size).all()


@pytest.mark.parametrize(("shape", "rank", "most"), [((20, 50), 50, 19), ((40, 12), 12, 12), ((40, 12), 4, 4)])
def test_more_components_than_there_are_name_the_largest_possible(shape, rank, most):
    rows = rows_of(*shape, rank)
    embedding(f"pca:{most}").fit([rows], [shape[1]])
    with pytest.raises(BadInput, match=rf"pca:{most + 1} should be at most pca:{most}\. Found: {shape[0]} training"):
        embedding(f"pca:{most + 1}").fit([rows], [shape[1]])


def test_how_they_are_written():
    assert spelled("unit, pca:256.0,whiten,unit") == "unit,pca:256,whiten,length"
    assert spelled("z,root,pca:3,root") == "z,root,pca:3,root"
    assert arrays_of("z,depth:1,pca:4,whiten") == ("mean", "std", "scale", "centre", "axes", "deviations")
    for text, said in {
        "whiten": "whiten should stand behind pca:COUNT. Found: 'whiten'",
        "pca:3,z": "z first",
        "pca:3,length,whiten": "then length, pca, and one of whiten, within and lda",
        "pca:3,pca:2": "should be there once",
        "pca:3,equal": "equal, aligned and depth behind other pieces",
        "pca:2.5": "pca:COUNT, with a whole number above 0 and up to 1000000. Found: 'pca:2.5'",
        "pca": "pca:COUNT",
        "pca:nan": "pca:COUNT",
    }.items():
        with pytest.raises(BadInput) as caught:
            embedding(text)
        assert said in str(caught.value), text


@pytest.fixture
def task(tmp_path):
    rows, labels, splits = noisy(spread=0.5)
    rows = rows.astype(np.float32)
    source = write(tmp_path / "a.h5", {"x": rows[:, :4], "y": 9 * rows[:, 4:]}, labels, splits, kind="activations")
    rows[:, 4:] *= 9
    return source, rows.astype(np.float64), labels, np.array(splits) == "train"


def test_a_whole_evaluation_and_its_classifier(fne, tmp_path, task):
    source, rows, labels, train = task
    saved, text = tmp_path / "m.npz", "z,pca:6,whiten,length"
    options = ("--embedding", text, "--classifier", "ridge", "--penalty", "0.1")
    done = fne("evaluate", source, tmp_path / "r.json", *options, "--model", saved, "--predictions", tmp_path / "p.csv")
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "r.json").read_text())
    (found,) = document["results"]
    assert (document["settings"]["embedding"], found["features"]) == (text, 6)
    scores = StandardScaler().fit(rows[train]).transform(rows)
    made = normalize(PCA(6, whiten=True, svd_solver="full").fit(scores[train]).transform(scores))
    peer = RidgeClassifier(0.1 * made[train].var(axis=0).sum()).fit(made[train], labels[train])
    assert found["mean_per_class_accuracy"] == balanced_accuracy_score(labels[~train], peer.predict(made[~train]))
    with np.load(saved, allow_pickle=False) as archive:
        assert json.loads(archive["head"].tobytes())["version"] == 4
        assert (archive["weights"].shape, archive["axes"].shape) == ((3, 6), (6, 30))
    assert fne("predict", saved, source, tmp_path / "q.csv", "--rows", "test").code == 0
    measured, given = ((tmp_path / name).read_text().splitlines()[1:] for name in ("p.csv", "q.csv"))
    assert [line.removeprefix("embedding,") for line in measured] == given


def test_workers_find_the_same_and_axes_are_those_of_each_fold(tmp_path, task):
    options = {"embedding": "unit,pca:9,whiten", "memory": 1 << 27, "cost": (0.1, 1.0)}
    for name, more in (("1", {}), ("2", {"cluster": cluster_of(Here())})):
        path = tmp_path / f"{name}.json"
        evaluate(task[0], path, Protocol(cv=3), predictions=tmp_path / f"{name}.csv", **options, **more)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_too_many_and_too_little_memory_are_said_before_the_work(fne, tmp_path, task):
    refused = fne("evaluate", task[0], tmp_path / "r.json", "--embedding", "pca:31")
    assert (refused.code, "pca:31 should be at most pca:30. Found: 60 training rows of 30" in refused.err) == (1, True)
    refused = fne("evaluate", task[0], "--embedding", "pca:9", "--each-layer")
    assert "pca:9 should be at most pca:4. Found: 60 training rows of 4 features" in refused.err
    with pytest.raises(DoesNotFit, match=r"embedding to 60 rows of 30 features should take at most 0\.1 MiB"):
        evaluate(task[0], embedding="pca:9", memory=1 << 17)
    assert not (tmp_path / "r.json").exists()


def test_the_transformer_has_fewer_columns(task):
    rows = task[1]
    ours = FullNetworkEmbedding("mini", embedding="z,pca:5,whiten").fit(rows)
    expected = PCA(5, whiten=True, svd_solver="full").fit_transform(StandardScaler().fit_transform(rows))
    np.testing.assert_allclose(ours.transform(rows), expected, atol=1e-5)
    assert list(ours.get_feature_names_out()) == ["pca0", "pca1", "pca2", "pca3", "pca4"]
    assert clone(ours).set_output(transform="pandas").fit_transform(rows).shape == (len(rows), 5)


def test_one_training_row_has_no_components():
    with pytest.raises(BadInput, match=r"pca:1 should have training rows that differ\. Found: 1 training rows"):
        embedding("length,pca:1").fit([np.ones((1, 5), np.float32)], [5])
