"""fne reduce: against scikit-learn, and the file in all that takes it."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from activations import shards, table
from activations import write as write_features
from edited_files import edited
from engines import Here, cluster_of
from evaluation_files import evaluate, noisy, write
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler, normalize

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, DoesNotFit, WrongFile, WrongOptions
from fne_cli.steps.evaluate import Protocol
from fne_cli.steps.reduce import ReductionOptions, reduce
from fne_cli.steps.verify import verify
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.vectors.options import VectorOptions
from fne_cli.vectors.projections import read_projection
from fne_cli.vectors.vectors import Vectors

SETTINGS = {"network": "toy", "layers": {"x": "avg", "y": "avg"}}


@pytest.fixture
def task(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """A file of two layers, its rows, labels, and which images are of the split train."""
    return made(tmp_path / "a.h5")


def made(path: Path, seed: int = 0, **settings: object) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    rows, labels, splits = noisy(seed=seed)
    rows = rows.astype(np.float32)
    layers = {"x": rows[:, :12], "y": rows[:, 12:]}
    write(path, layers, labels, splits, kind="activations", settings=SETTINGS | settings)
    return path, rows, labels, np.array(splits) == "train"


@pytest.mark.parametrize("whiten", [False, True])
def test_it_is_scikit_learns_of_the_training_rows_alone(tmp_path, task, whiten):
    source, rows, _, train = task
    done = reduce(source, tmp_path / "p.h5", ReductionOptions(7, "z", whiten=whiten))
    text = f"z,pca:7{',whiten' * whiten},length"
    assert (done.embedding, done.columns, done.rows, done.count) == (text, 7, "train", train.sum())
    scores = StandardScaler().fit(rows[train].astype(np.float64)).transform(rows.astype(np.float64))
    peer = PCA(7, whiten=whiten, svd_solver="full").fit(scores[train])
    np.testing.assert_allclose(done.explained, peer.explained_variance_ratio_, rtol=1e-6)
    fitted = read_projection(tmp_path / "p.h5").fitted
    np.testing.assert_allclose(fitted.encode(rows), normalize(peer.transform(scores)), atol=1e-5)


def test_the_same_again_is_up_to_date_and_another_is_refused(tmp_path, task):
    source, out = task[0], tmp_path / "p.h5"
    assert not reduce(source, out, ReductionOptions(5)).up_to_date
    content = out.read_bytes()
    assert reduce(source, out, ReductionOptions(5)).up_to_date
    with pytest.raises(DifferentOutput, match='embedding: "length,pca:5,length" in the existing output'):
        reduce(source, out, ReductionOptions(6))
    assert reduce(source, out, ReductionOptions(6), overwrite=True).components == 6
    reduce(source, out, ReductionOptions(5), overwrite=True, memory=1 << 24)
    assert out.read_bytes() == content
    made(source, seed=1)  # other images
    assert not reduce(source, out, ReductionOptions(5)).up_to_date


def test_words_of_the_command(fne, tmp_path, task):
    source, out = task[0], tmp_path / "p.h5"
    words = ("--components", 9, "--embedding", "balanced", "--lda", 2, "--power", 0.5, "--json")
    done = fne("reduce", source, out, *words)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["embedding"] == "z,root,equal,depth:1,pca:9,lda:2,power:0.5,length"
    assert (found["columns"], found["components"], len(found["explained"])) == (2, 9, 9)
    told = fne("info", out)
    assert "2 columns of 9 components" in told.out
    assert fne("verify", out).code == 0
    again = fne("reduce", source, out, *words)
    assert "is up to date" in again.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ReductionOptions(5, whiten=True, within=True), "--whiten stands in the place of --within. Found: both."),
        (ReductionOptions(5, exponent=0.5), "--exponent goes with --whiten"),
        (ReductionOptions(5, "fne"), "before a reduction should be made of pieces. Found: fne"),
        (ReductionOptions(5, "z,pca:3"), "before a reduction should have no pca. Found: 'z,pca:3'"),
        (ReductionOptions(5, lda=6), "lda:6 should have at most the components"),
        (ReductionOptions(31), "pca:31 should be at most pca:30. Found: 60 training rows of 30 features"),
        (ReductionOptions(5, lda=3), "lda:3 of an embedding should have training rows of at least 4 classes. Found: 3"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_left(tmp_path, task, options, said):
    with pytest.raises((BadInput, WrongOptions)) as caught:
        reduce(task[0], tmp_path / "p.h5", options)
    assert said in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_too_little_memory_is_said_before_the_work(tmp_path, task):
    with pytest.raises(DoesNotFit, match=r"to 60 rows of 30 features should take at most 0\.1 MiB"):
        reduce(task[0], tmp_path / "p.h5", ReductionOptions(5), memory=1 << 17)
    assert not (tmp_path / "p.h5").exists()


def test_test_images_among_those_that_it_is_learned_on_are_told(fne, tmp_path, task):
    done = fne("reduce", task[0], tmp_path / "p.h5", "--components", 5, "--rows", "all")
    assert "the projection is learned on the rows 'all', 60 test images among them" in done.err


def test_evaluate_takes_it_as_it_takes_the_embedding(tmp_path, task):
    source, out = task[0], tmp_path / "p.h5"
    reduce(source, out, ReductionOptions(6, "z", within=True))
    ours = evaluate(source, tmp_path / "r.json", projection=out)
    theirs = evaluate(source, embedding="z,pca:6,within,length")
    assert ours.results["results"] == theirs.results["results"]
    assert ours.results["settings"]["projection_rows"] == "train"
    assert [each["kind"] for each in ours.results["sources"]] == ["activations", "projection"]
    assert evaluate(source, tmp_path / "r.json", projection=out).up_to_date


def test_a_classifier_on_it_classifies_other_images_of_the_network(fne, tmp_path, task):
    reduce(task[0], tmp_path / "p.h5", ReductionOptions(6, "z,equal", lda=2))
    other = made(tmp_path / "b.h5", seed=1)[0]
    evaluate(task[0], projection=tmp_path / "p.h5", model=tmp_path / "m.npz", predictions=tmp_path / "p.csv")
    assert fne("predict", tmp_path / "m.npz", task[0], tmp_path / "q.csv", "--rows", "test").code == 0
    ours, theirs = ((tmp_path / name).read_text().splitlines()[1:] for name in ("p.csv", "q.csv"))
    assert [line.removeprefix("embedding,") for line in ours] == theirs
    assert fne("predict", tmp_path / "m.npz", other).code == 0


def test_workers_read_it_and_find_the_same(tmp_path, task):
    reduce(task[0], tmp_path / "p.h5", ReductionOptions(6, whiten=True))
    for name, more in (("1", {}), ("2", {"cluster": cluster_of(Here())})):
        evaluate(task[0], tmp_path / f"{name}.json", projection=tmp_path / "p.h5", memory=1 << 27, **more)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_images_that_it_was_learned_on_are_not_measured_unsaid(fne, tmp_path, task):
    source, plain, seeing = task[0], tmp_path / "p.h5", tmp_path / "s.h5"
    reduce(source, plain, ReductionOptions(6))
    reduce(source, seeing, ReductionOptions(6, within=True))
    told = fne("evaluate", source, "--projection", plain, "--cv", 3)
    assert (told.code, "60 of the 60 images that are measured are among those" in told.err) == (0, True)
    assert "among those" not in fne("evaluate", source, "--projection", plain).err
    refused = fne("evaluate", source, "--projection", seeing, "--cv", 3)
    assert (refused.code, "as it looks at labels. Found: 60 of the 60" in refused.err) == (1, True)
    assert "Give --embedding length,pca:6,within,length, which is learned anew" in refused.err
    other = made(tmp_path / "b.h5", seed=1)[0]
    assert evaluate(other, None, Protocol(cv=3), projection=seeing).results["results"]


def test_what_does_not_go_with_it_is_told(fne, tmp_path, task):
    source, out = task[0], tmp_path / "p.h5"
    reduce(source, out, ReductionOptions(6))
    with pytest.raises(WrongOptions, match="Leave it out, or --embedding, --layers"):
        evaluate(source, projection=out, embedding="l2", layers=("x",))
    with pytest.raises(WrongOptions, match="--recipe says which embedding"):
        evaluate(source, projection=out, recipe="auto")
    with pytest.raises(WrongFile, match=r"should be an fne projection file\. Found: kind=activations\. Run fne reduce"):
        evaluate(source, projection=source)
    other = made(tmp_path / "b.h5", network="another")[0]
    with pytest.raises(WrongFile) as caught:
        evaluate(other, projection=out)
    assert 'network: "toy" there, "another" here' in str(caught.value)


def test_other_layers_beside_those_that_it_takes_change_nothing(tmp_path, task):
    source, rows, labels, train = task
    reduce(source, tmp_path / "p.h5", ReductionOptions(6), layers=["y"])
    splits = ["train" if each else "test" for each in train]
    layers = {"w": rows[:, :5], "y": rows[:, 12:]}
    more = write(
        tmp_path / "b.h5", layers, labels, splits, kind="activations",
        settings=SETTINGS | {"layers": {"w": "avg", "y": "avg"}},
    )  # fmt: skip
    ours, theirs = (evaluate(each, projection=tmp_path / "p.h5").results["results"] for each in (source, more))
    assert ours == theirs
    gone = write(
        tmp_path / "c.h5", {"w": rows[:, :5]}, labels, splits, kind="activations",
        settings=SETTINGS | {"layers": {"w": "avg"}},
    )  # fmt: skip
    with pytest.raises(WrongFile, match="layers: 1 of 1 are not here, y first"):
        evaluate(gone, projection=tmp_path / "p.h5")


def test_vectors_and_exports_are_its_rows(fne, tmp_path, task):
    source, rows, *_ = task
    reduce(source, tmp_path / "p.h5", ReductionOptions(6, whiten=True))
    projection = read_projection(tmp_path / "p.h5")
    expected = projection.fitted.encode(rows)
    with JoinedFiles(source) as files:
        vectors = Vectors(files, VectorOptions(projection=tmp_path / "p.h5"), 1 << 28)
        np.testing.assert_array_equal(vectors.rows(np.arange(len(rows))), expected)
        assert vectors.described()["embedding"] == "length,pca:6,whiten,length"
        assert vectors.sources()[-1] == projection.source
        assert vectors.learned_on().sum() == 60
        with pytest.raises(WrongOptions, match="--projection says layers, embedding and pooling"):
            Vectors(files, VectorOptions(projection=tmp_path / "p.h5", layers=("x",)), 1 << 28)
    words = ("export", source, tmp_path / "e.npz", "--projection", tmp_path / "p.h5")
    assert fne(*words).code == 0
    with np.load(tmp_path / "e.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["features"], expected)
        assert archive["layers"].tolist() == ["projection"]
    assert "is up to date" in fne(*words).err
    assert "Leave it out, or --layers" in fne(*words, "--layers", "x").err


def test_bad_images_are_left_out_of_an_export(fne, tmp_path):
    rows, labels, splits = noisy()
    rows[3] = np.nan
    source = write(tmp_path / "a.h5", {"x": rows.astype(np.float32)}, labels, splits, kind="activations", bad=(3,))
    reduce(source, tmp_path / "p.h5", ReductionOptions(4))
    assert fne("export", source, tmp_path / "e.npy", "--projection", tmp_path / "p.h5").code == 0
    found = np.load(tmp_path / "e.npy")
    assert found.shape == (119, 4) and np.isfinite(found).all()


def test_shards_count_as_the_whole(tmp_path):
    rows = {"x": np.random.default_rng(0).normal(size=(24, 9)).astype(np.float32)}
    whole = write_features(tmp_path / "whole.h5", rows, table(24))
    parts = shards(tmp_path, rows, table(24), 3)
    reduce(whole, tmp_path / "1.h5", ReductionOptions(3, "z", whiten=True))
    reduce([parts[2], parts[0], parts[1]], tmp_path / "2.h5", ReductionOptions(3, "z", whiten=True))
    one, other = (read_projection(tmp_path / f"{number}.h5").fitted.state() for number in (1, 2))
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def spoilt(task: tuple, tmp_path: Path, change) -> Path:
    path = tmp_path / "p.h5"
    reduce(task[0], path, ReductionOptions(5, "z,equal", whiten=True), overwrite=True)
    with edited(path) as file:
        change(file)
    return path


def replaced(file: h5py.File, name: str, values: np.ndarray) -> None:
    del file[name]
    file.create_dataset(name, data=values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: replaced(file, "layers/x/axes", np.ones((5, 11))), "arrays of different lengths"),
        (lambda file: replaced(file, "layers/x/axes", np.ones((4, 12))), "arrays of different lengths"),
        (lambda file: replaced(file, "layers/x/axes", np.full((5, 12), np.nan)), "should have finite numbers"),
        (lambda file: replaced(file, "deviations", np.zeros(5)), "deviations that are not above 0"),
        (lambda file: replaced(file, "deviations", np.ones(4)), "arrays of different lengths"),
        (lambda file: replaced(file, "explained", np.ones(5)), "shares of the variance outside 0 ... 1"),
        (lambda file: replaced(file, "explained", np.full(4, 0.1)), "should have 5 components and 5 axes"),
        (lambda file: replaced(file, "layers/x/std", -np.ones(12)), "negative deviations"),
        (lambda file: file.__delitem__("layers/x/mean"), "should have layers/x/mean|arrays of its embedding"),
        (lambda file: file["layers/x"].attrs.__setitem__("rows", 7), "different numbers of rows"),
        (lambda file: file.__delitem__("layers/y"), "layers that are not those of its settings"),
        (lambda file: renamed(file, "embedding", "z,equal,pca:6,whiten,length"), "6 components and 6 axes"),
        (lambda file: renamed(file, "embedding", "z,pca:5,whiten"), "should have the arrays of its embedding"),
        (lambda file: renamed(file, "embedding", "forest"), "should have the arrays of its embedding, 'forest'"),
        (lambda file: renamed(file, "embedding", 7), "should say how a projection file was made"),
        (lambda file: renamed(file, "layers", []), "should say how a projection file was made"),
        (lambda file: renamed(file, "pool", "max"), "should say how a projection file was made"),
    ],
)
def test_what_contradicts_itself_is_not_used(tmp_path, task, change, said):
    path = spoilt(task, tmp_path, change)
    with pytest.raises(DamagedFile, match=said):
        read_projection(path)


def renamed(file: h5py.File, key: str, value: object) -> None:
    settings = json.loads(file.attrs["settings"]) | {key: value}
    file.attrs["settings"] = np.bytes_(json.dumps(settings, sort_keys=True, separators=(",", ":")))


def test_verify_computes_the_lengths_of_axes_again(tmp_path, task):
    path = spoilt(task, tmp_path, lambda file: replaced(file, "layers/x/axes", 2 * file["layers/x/axes"][:]))
    assert "the axes should have length 1" in verify(path).problems
