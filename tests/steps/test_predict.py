"""fne predict: the same classes as evaluate, and nothing but features like those of the training."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from evaluation_files import codes_of, noisy, write

from fne_cli.errors import DamagedFile, FneError
from fne_cli.numerics.embedding import arrays_of
from fne_cli.store.other.classifiers import load_model, save_model

EMBEDDINGS = {"fne": ("mean", "std"), "l2": ()}.get


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def pipeline(fne, tmp_path):
    """Activations, their moments and codes, of 120 images of three classes in two layers."""
    rows, labels, splits = noisy(spread=0.4)
    layers = {"x": rows[:, :13].astype(np.float32), "y": rows[:, 13:].astype(np.float32)}
    write(tmp_path / "a.h5", layers, labels, splits, kind="activations")
    assert fne("normalize", tmp_path / "a.h5", tmp_path / "m.h5").code == 0
    assert fne("discretize", tmp_path / "a.h5", tmp_path / "m.h5", tmp_path / "c.h5", "--packed").code == 0
    return tmp_path


@pytest.mark.parametrize(
    ("features", "options"),
    [
        ("c.h5", ()),
        ("c.h5", ("--layers", "y")),
        *(("a.h5", ("--embedding", kind)) for kind in ("fne", "standardized", "l2", "raw")),
    ],
)
def test_predictions_are_those_of_the_evaluation(fne, pipeline, features, options):
    path, saved = pipeline / features, pipeline / "model.npz"
    assert fne("evaluate", path, *options, "--model", saved, "--predictions", pipeline / "p.csv").code == 0
    result = fne("predict", saved, path, "--rows", "test")
    assert result.code == 0, result.err
    measured = [{k: v for k, v in line.items() if k != "embedding"} for line in lines((pipeline / "p.csv").read_text())]
    given = lines(result.out)
    assert [line["prediction"] for line in given] == [line["prediction"] for line in measured]
    assert [(line["path"], line["truth"]) for line in given] == [(line["path"], line["truth"]) for line in measured]
    right = sum(line["truth"] == line["prediction"] for line in given)
    assert f"{right} of the 60 with a known label are right" in result.err


@pytest.mark.parametrize("how", ["max", "sum"])
def test_regions_of_a_picture_together(fne, tmp_path, how, monkeypatch):
    """Also where they do not stand together, and blocks are small."""
    monkeypatch.setattr("fne_cli.steps.predict.BLOCK", 7)
    rows, labels, splits = noisy(spread=0.4)
    paths = [f"{number % 12}.png#{number},0,{number + 9},9" for number in range(len(labels))]
    write(tmp_path / "a.h5", {"x": rows.astype(np.float32)}, labels, splits, kind="activations", paths=paths)
    saved = tmp_path / "k.npz"
    assert fne("evaluate", tmp_path / "a.h5", "--embedding", "raw", "--layers", "x", "--model", saved).code == 0
    alone = lines(fne("predict", saved, tmp_path / "a.h5").out)
    done = fne("predict", saved, tmp_path / "a.h5", tmp_path / "p.csv", "--regions", how)
    assert (done.code, "12 images classified" in done.err) == (0, True), done.err
    together = lines((tmp_path / "p.csv").read_text())
    names = [name for name in alone[0] if name.startswith("decision:")]
    for line in together:
        own = np.array([[float(one[n]) for n in names] for one in alone if one["path"].split("#")[0] == line["path"]])
        expected = own.max(axis=0) if how == "max" else own.sum(axis=0)
        np.testing.assert_allclose([float(line[name]) for name in names], expected)
        assert line["prediction"] == names[int(expected.argmax())].removeprefix("decision:")
        known = {one["truth"] for one in alone if one["path"].split("#")[0] == line["path"]}
        assert line["truth"] == (known.pop() if len(known) == 1 else "")
    assert fne("predict", saved, tmp_path / "a.h5", tmp_path / "p.csv").code == 4


def test_images_without_labels_and_splits(fne, pipeline):
    saved, path = pipeline / "model.npz", pipeline / "new.h5"
    assert fne("evaluate", pipeline / "a.h5", "--embedding", "fne", "--model", saved).code == 0
    rows, _, _ = noisy(spread=0.4)
    layers = {"x": rows[:9, :13].astype(np.float32), "y": rows[:9, 13:].astype(np.float32)}
    write(path, layers, [-1] * 9, [""] * 9, kind="activations", classes=(), bad=(4,))
    result = fne("predict", saved, path)
    assert result.code == 0, result.err
    assert [line["path"] for line in lines(result.out)] == [f"{number}.png" for number in range(9) if number != 4]
    assert {line["truth"] for line in lines(result.out)} == {""}
    assert "known label" not in result.err


def test_new_images_may_have_come_in_other_batches_and_classes_have_any_name(fne, tmp_path):
    rows, labels, splits = noisy(spread=0.4)
    values = {"x": rows.astype(np.float32)}
    names = ("é", "b", "日本")
    for name, size in (("a", 16), ("b", 4)):
        settings = {"batch_rows": size, "network": "n"}
        write(tmp_path / f"{name}.h5", values, labels, splits, names, kind="activations", settings=settings)
    write(tmp_path / "z.h5", values, labels, splits, names, kind="activations", settings={"network": "z"})
    saved = tmp_path / "model.npz"
    assert fne("evaluate", tmp_path / "a.h5", "--embedding", "fne", "--model", saved).code == 0
    one, two = (fne("predict", saved, tmp_path / f"{name}.h5") for name in "ab")
    assert one.code == 0, one.err
    assert one.out == two.out
    assert "日本" in one.out
    other = fne("predict", saved, tmp_path / "z.h5")
    assert (other.code, "network" in other.err) == (1, True)


def test_an_output_file_appears_whole_and_is_up_to_date_the_second_time(fne, pipeline):
    saved = pipeline / "model.npz"
    fne("evaluate", pipeline / "c.h5", "--model", saved)
    command = ("predict", saved, pipeline / "c.h5", pipeline / "out.csv")
    assert fne(*command).code == 0
    content = (pipeline / "out.csv").read_text()
    assert len(lines(content)) == 120
    assert "up to date" in fne(*command).err
    other = fne(*command, "--rows", "test")
    assert (other.code, 'settings.rows: "all" in the existing output, "test" asked for' in other.err) == (4, True)
    assert (pipeline / "out.csv").read_text() == content


def test_codes_of_other_moments_and_other_layers_are_refused(fne, pipeline):
    saved = pipeline / "model.npz"
    fne("evaluate", pipeline / "c.h5", "--model", saved)
    fne("normalize", pipeline / "a.h5", pipeline / "all.h5", "--rows", "all")
    fne("discretize", pipeline / "a.h5", pipeline / "all.h5", pipeline / "other.h5")
    other = fne("predict", saved, pipeline / "other.h5")
    assert other.code == 1
    assert "should have features made like those" in other.err
    assert other.out == ""
    wrong = fne("predict", saved, pipeline / "a.h5")
    assert (wrong.code, "should be an fne codes file. Found: kind=activations" in wrong.err) == (1, True)
    rows, labels, splits = noisy()
    write(pipeline / "z.h5", {"z": codes_of(rows)}, labels, splits)
    assert "Found: no layer x." in fne("predict", saved, pipeline / "z.h5").err


def test_several_labels(fne, tmp_path):
    values = np.random.default_rng(2)
    present = (values.random((160, 3)) < 0.4).astype(np.int8)
    codes = codes_of(present @ values.normal(0, 2, (3, 25)) + values.normal(0, 1, (160, 25)))
    splits = ["train" if number % 2 else "test" for number in range(160)]
    path = write(tmp_path / "c.h5", {"x": codes}, present, splits)
    assert fne("evaluate", path, "--model", tmp_path / "m.npz").code == 0
    given = lines(fne("predict", tmp_path / "m.npz", path).out)
    for line in given[:20]:
        positive = [name for name in "abc" if float(line[f"decision:{name}"]) > 0]
        assert line["prediction"] == ";".join(positive)
    assert np.mean([line["truth"] == line["prediction"] for line in given]) > 0.5


HEAD = {
    "classes": ["a", "b"], "several_labels": False, "layers": ["x"], "layer_features": [3], "embedding": "codes",
    "thresholds": [-0.25, 0.15], "aggregate": "vote", "made_from": {}, "sources": [], "C": 1.0,
}  # fmt: skip
ARRAYS = {"weights": np.ones((2, 3)), "intercepts": np.zeros(2)}


def test_a_saved_classifier_comes_back_and_is_written_the_same_way_twice(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_model(tmp_path / name, HEAD, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    head, arrays = load_model(tmp_path / "a.npz", EMBEDDINGS)
    assert head["classes"] == ["a", "b"]
    np.testing.assert_array_equal(arrays["weights"], ARRAYS["weights"])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as peer:
        assert json.loads(peer["head"].tobytes())["layers"] == ["x"]


KNN = HEAD | {"classifier": "knn:2", "temperature": "inf"}
ROWS = {"rows": np.ones((5, 3), np.float32), "labels": np.array([0, 1, 1, 0, 1], np.int32)}
PLANES = {"positive": np.ones((5, 1), np.uint8), "negative": np.zeros((5, 1), np.uint8), "labels": ROWS["labels"]}


@pytest.mark.parametrize("arrays", [ROWS, PLANES])
def test_training_rows_come_back_as_they_were(tmp_path, arrays):
    save_model(tmp_path / "a.npz", KNN, arrays)
    head, found = load_model(tmp_path / "a.npz", EMBEDDINGS)
    assert (head["version"], head["temperature"]) == (4, "inf")
    assert {name: (values.dtype, values.tolist()) for name, values in found.items()} == {
        name: (values.dtype, values.tolist()) for name, values in arrays.items()
    }


def pickled(path):
    np.savez(path, head=np.array([{"a": 1}], object))


def compressed(path):
    np.savez_compressed(path, head=np.zeros(10_000_000, np.uint8))


def header_of_a_terabyte(path):
    save_model(path, HEAD, ARRAYS)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 17)})
    members["weights.npy"] = header.getvalue() + b"1234"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


REDUCED = HEAD | {"embedding": "pca:2,whiten"}
AXES = {
    "weights": np.ones((2, 2)),
    "intercepts": np.zeros(2),
    "centre": np.zeros(3),
    "axes": np.eye(3)[:2],
    "deviations": np.ones(2),
}


@pytest.mark.parametrize(
    ("head", "arrays", "said"),
    [
        (REDUCED | {"embedding": "pca:3,whiten"}, AXES, "axes should be 3, as its embedding says. Found: 2"),
        (REDUCED, AXES | {"deviations": np.array([1.0, 0.0])}, "deviations should be above 0. Found: 0"),
        (REDUCED, AXES | {"deviations": np.array([1.0, -2.0])}, "deviations should be above 0. Found: -2"),
        (
            REDUCED,
            AXES | {"axes": np.zeros((0, 3)), "deviations": np.zeros(0), "weights": np.zeros((2, 0))},
            "Found: 0",
        ),
    ],
)
def test_axes_that_cannot_be_are_refused(tmp_path, head, arrays, said):
    save_model(tmp_path / "good.npz", REDUCED, AXES)
    np.testing.assert_array_equal(load_model(tmp_path / "good.npz", arrays_of)[1]["axes"], AXES["axes"])
    save_model(tmp_path / "bad.npz", head, arrays)
    with pytest.raises(DamagedFile, match=said):
        load_model(tmp_path / "bad.npz", arrays_of)


def with_header(text):
    """A saved classifier whose weights have this for a header."""

    def make(path):
        save_model(path, HEAD, ARRAYS)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        header = text.encode()
        members["weights.npy"] = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(48)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return make


@pytest.mark.parametrize(
    "make",
    [
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 30"),
        with_header("{" + 3 * "'"),
        with_header("{'descr': ('<f8',), 'fortran_order': False, 'shape': (2, 3), }"),
        with_header("{'descr': '<f8,,', 'fortran_order': False, 'shape': (2, 3), }"),
        with_header("-" * 9000 + "1"),
        with_header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }"),
        lambda path: save_model(path, HEAD | {"thresholds": [10**400, 1]}, ARRAYS),
        lambda path: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
        lambda path: np.savez(path, x=np.ones(3)),
        pickled,
        compressed,
        header_of_a_terabyte,
        lambda path: save_model(path, HEAD | {"version": 9}, ARRAYS),
        lambda path: save_model(path, HEAD | {"layer_features": [4]}, ARRAYS),
        lambda path: save_model(path, HEAD | {"layer_features": [-3]}, ARRAYS),
        lambda path: save_model(path, HEAD | {"classes": "ab"}, ARRAYS),
        lambda path: save_model(path, HEAD | {"thresholds": ["low", 1]}, ARRAYS),
        lambda path: save_model(path, HEAD | {"embedding": "fne"}, ARRAYS),
        lambda path: save_model(path, HEAD, ARRAYS | {"weights": np.full((2, 3), np.nan)}),
        lambda path: save_model(path, HEAD, ARRAYS | {"weights": np.ones((2, 3), np.float32)}),
        lambda path: save_model(path, HEAD, {"weights": np.ones((2, 3))}),
        lambda path: save_model(path, KNN, {}),
        lambda path: save_model(path, KNN, ARRAYS),
        lambda path: save_model(path, KNN | {"temperature": 0}, ROWS),
        lambda path: save_model(path, HEAD | {"classifier": "knn:2"}, ROWS),
        lambda path: save_model(path, KNN | {"classifier": "knn:0"}, ROWS),
        lambda path: save_model(path, KNN, ROWS | {"rows": np.ones((4, 3), np.float32)}),
        lambda path: save_model(path, KNN, ROWS | {"rows": np.full((5, 3), np.inf, np.float32)}),
        lambda path: save_model(path, KNN, ROWS | {"labels": np.array([0, 1, 2, 0, 1], np.int32)}),
        lambda path: save_model(path, KNN, ROWS | {"labels": np.array([0, 1, -1, 0, 1], np.int32)}),
        lambda path: save_model(path, KNN, ROWS | {"labels": np.zeros((5, 2), np.int8)}),
        lambda path: save_model(path, KNN | {"several_labels": True}, ROWS | {"labels": np.full((5, 2), 7, np.int8)}),
        lambda path: save_model(path, KNN, {name: values[:0] for name, values in ROWS.items()}),
        lambda path: save_model(path, KNN, PLANES | {"negative": np.zeros((5, 2), np.uint8)}),
        lambda path: save_model(path, KNN, {name: PLANES[name] for name in ("positive", "labels")}),
    ],
)
def test_a_file_that_is_no_classifier_is_refused_by_name(tmp_path, make):
    path = tmp_path / "model.npz"
    make(path)
    with pytest.raises(FneError, match=r"model\.npz"):
        load_model(path, EMBEDDINGS)


def test_every_damaged_byte_is_an_error_or_harmless(tmp_path):
    path = tmp_path / "model.npz"
    save_model(path, HEAD, ARRAYS)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            load_model(path, EMBEDDINGS)
        except FneError:
            refused += 1
    assert refused > len(content) // 2
