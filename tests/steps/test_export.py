import csv
import sys

import numpy as np
import pytest
from activations import command, damage, relu, table, write
from pyarrow import parquet
from sklearn.datasets import load_svmlight_file

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput
from fne_cli.steps.discretize import discretize
from fne_cli.steps.export import export
from fne_cli.steps.normalize import normalize
from fne_cli.store.other.cells import name_in

ENDINGS = ("npy", "npz", "csv", "svm", "parquet")


@pytest.fixture
def photos(tmp_path):
    """31 images, 2 crops each, one bad, one without label, one with an evil name; 3 + 5 features."""
    rng = np.random.default_rng(1)
    paths = [f"é/{n}, x.png" for n in range(31)]
    paths[8] = "evil\n1 1:1 # .png"
    label = np.arange(31, dtype=np.int32) % 2
    label[3] = -1
    images = table(31, paths=paths, split=["train", *["test"] * 30], label=label, bad=(5,))
    layers = {"conv": relu(rng, 62, 3), "fc": relu(rng, 62, 5)}
    return write(tmp_path / "photos.h5", layers, images, crops=2), layers, images


@pytest.fixture
def matrix(photos):
    """What every form should hold: the good rows, and their images."""
    _, layers, images = photos
    good = np.flatnonzero(np.repeat(images.good, 2))
    return np.hstack(list(layers.values()))[good], good // 2


def named(images, number):
    return images.classes[images.label[number]] if images.label[number] >= 0 else ""


@pytest.mark.parametrize("batch_size", [1, 7, 32768])
def test_npy(photos, matrix, tmp_path, batch_size):
    source, _, images = photos
    done = export(source, tmp_path / "a.npy", batch_size=batch_size)
    assert (done.rows, done.features, done.bad) == (60, 8, 1)
    found = np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False)
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float32
    assert np.array_equal(found, matrix[0])
    with open(tmp_path / "a.npy.images.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["path", "crop", "split", "label"]
    assert [[name_in(text) for text in line] for line in lines[1:]] == [
        [images.path[n], str(row % 2), images.split[n], named(images, n)] for row, n in enumerate(matrix[1])
    ]


@pytest.mark.parametrize("batch_size", [1, 7, 32768])
def test_npz(photos, matrix, tmp_path, batch_size):
    source, _, images = photos
    export(source, tmp_path / "a.npz", batch_size=batch_size)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert np.array_equal(found["features"], matrix[0])
        assert found["path"].tolist() == [images.path[n] for n in matrix[1]]
        assert found["split"].tolist() == [images.split[n] for n in matrix[1]]
        assert found["label"].tolist() == [images.label[n] for n in matrix[1]]
        assert found["crop"].tolist() == [0, 1] * 30
        assert found["classes"].tolist() == ["a", "b"]
        assert (found["layers"].tolist(), found["layer_features"].tolist()) == (["conv", "fc"], [3, 5])


def test_csv(photos, matrix, tmp_path):
    source, _, images = photos
    export(source, tmp_path / "a.csv", batch_size=7)
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[0][4:] == ["conv:0", "conv:1", "conv:2", "fc:0", "fc:1", "fc:2", "fc:3", "fc:4"]
    assert np.array_equal(np.array([line[4:] for line in lines[1:]], np.float32), matrix[0])
    assert [name_in(line[0]) for line in lines[1:]] == [images.path[n] for n in matrix[1]]
    assert [line[3] for line in lines[1:]] == [named(images, n) for n in matrix[1]]


@pytest.mark.parametrize("ending", ["csv", "npy"])
def test_names_in_csv_files_are_no_formulas_and_negative_numbers_stay(tmp_path, ending):
    classes = ["=HYPERLINK(1)", "-1"]
    images = table(
        2,
        paths=["@x/1.png", "a\x1b[2J.png"],
        split=["+train", "test"],
        label=np.array([0, 1], np.int32),
        classes=classes,
    )
    values = np.array([[-1.5, 2.0], [0.0, -3.0]], np.float32)
    source = write(tmp_path / "x.h5", {"=layer": values}, images)
    export(source, tmp_path / f"a.{ending}")
    with open(tmp_path / ("a.csv" if ending == "csv" else "a.npy.images.csv"), newline="", encoding="utf-8") as file:
        header, first, second = csv.reader(file)
    assert first[:4] == ["'@x/1.png", "0", "'+train", "'=HYPERLINK(1)"]
    assert second[:4] == ["'a\\x1b[2J.png", "0", "test", "-1"]
    if ending == "csv":
        assert header[4:] == ["'=layer:0", "'=layer:1"]
        assert [first[4:], second[4:]] == [["-1.5", "2.0"], ["0.0", "-3.0"]]
    else:
        assert np.load(tmp_path / "a.npy").tolist() == values.tolist()


def test_svm_as_scikit_learn_reads_it(photos, matrix, tmp_path):
    source, _, images = photos
    export(source, tmp_path / "a.svm", batch_size=7)
    rows, labels = load_svmlight_file(tmp_path / "a.svm", n_features=8, dtype=np.float32, zero_based=False)
    assert np.array_equal(rows.toarray(), matrix[0])
    assert labels.tolist() == [images.label[n] for n in matrix[1]]
    lines = (tmp_path / "a.svm").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 60
    assert lines[0].endswith(" # é/0, x.png")
    assert r" # evil\n1 1:1 # .png" in lines[14]


def test_parquet(photos, matrix, tmp_path):
    source, _, images = photos
    export(source, tmp_path / "a.parquet", batch_size=7)
    found = parquet.read_table(tmp_path / "a.parquet")
    assert found.column_names == ["path", "crop", "split", "label", "conv", "fc"]
    both = [np.array(found[name].to_pylist(), np.float32) for name in ("conv", "fc")]
    assert np.array_equal(np.hstack(both), matrix[0])
    assert found["path"].to_pylist() == [images.path[n] for n in matrix[1]]
    assert found["label"].to_pylist() == [named(images, n) or None for n in matrix[1]]


def test_an_output_that_is_an_input_or_unfinished_work(photos, tmp_path):
    source, *_ = photos
    (tmp_path / "a.npy").hardlink_to(source)
    with pytest.raises(BadInput, match="is an input of this command"):
        export(source, tmp_path / "a.npy", overwrite=True)
    (tmp_path / "b.csv.partial").write_text("hours of work")
    (tmp_path / "b.csv.partial.json").write_text("{}")
    with pytest.raises(DifferentOutput, match="the unfinished work of fne extract"):
        export(source, tmp_path / "b.csv")


def test_parquet_without_pyarrow(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput) as error:
        export(photos[0], tmp_path / "a.parquet")
    assert str(error.value) == (
        f"{tmp_path / 'a.parquet'} needs pyarrow, which is not installed. pip install 'fne-cli[parquet]'"
    )


@pytest.mark.parametrize("packed", [False, True])
def test_codes_are_small_integers(photos, tmp_path, packed):
    source, _layers, _ = photos
    normalize(source, tmp_path / "m.h5")
    discretize(source, tmp_path / "m.h5", tmp_path / "c.h5", packed=packed)
    export(tmp_path / "c.h5", tmp_path / "c.npy", layers=("fc",))
    found = np.load(tmp_path / "c.npy")
    assert (found.dtype, found.shape) == (np.int8, (60, 5))
    export(tmp_path / "c.h5", tmp_path / "c.svm", layers=("f*",))
    rows, _ = load_svmlight_file(tmp_path / "c.svm", n_features=5, zero_based=False)
    assert np.array_equal(rows.toarray(), found)


def test_several_labels(tmp_path):
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, -1, 1]], np.int8)
    images = table(3, label=labels, classes=("a", "b", "c"))
    source = write(tmp_path / "s.h5", {"fc": np.eye(3, dtype=np.float32)}, images)
    export(source, tmp_path / "s.csv")
    assert [line.split(",")[3] for line in (tmp_path / "s.csv").read_text().splitlines()] == ["label", "a;c", "", "c"]
    export(source, tmp_path / "s.svm")
    _, found = load_svmlight_file(tmp_path / "s.svm", multilabel=True)
    assert found == [(0, 2), (), (2,)]
    export(source, tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["label"].tolist() == labels.tolist()


@pytest.mark.parametrize("ending", ENDINGS)
def test_up_to_date_and_nothing_left_after_damage(photos, tmp_path, ending):
    source, *_ = photos
    output = tmp_path / f"a.{ending}"
    export(source, output)
    content = output.read_bytes()
    assert export(source, output).up_to_date
    with pytest.raises(DifferentOutput) as error:
        export(source, output, layers=("fc",))
    assert str(error.value) == (
        f"{output} exists and was made with other inputs or settings:\n"
        '  settings.layers: ["conv","fc"] in the existing output, ["fc"] asked for\n'
        "Write to another output, or give --overwrite to replace it."
    )
    export(source, output, overwrite=True)
    assert output.read_bytes() == content
    damage(source, "fc", 3)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DamagedFile, match="layer fc, rows 0-61 are damaged"):
        export(source, output, overwrite=True)
    assert sorted(tmp_path.iterdir()) == before
    assert output.read_bytes() == content


def test_an_ending_that_means_nothing(photos, tmp_path, capfd):
    code, _, err = command(capfd, "export", photos[0], tmp_path / "a.xlsx")
    assert (code, err) == (
        2,
        f"fne: {tmp_path / 'a.xlsx'} should end in .npz, .npy, .parquet, .csv, .svm, .projector, .faiss, .usearch, "
        ".copy. Found: .xlsx.\n",
    )
    code, _, err = command(capfd, "export", photos[0], tmp_path / "a.npy")
    assert (code, err) == (
        0,
        "1 bad images are left out\n"
        f"{tmp_path / 'a.npy'}: 60 rows x 8 features; paths and labels in {tmp_path / 'a.npy.images.csv'}\n",
    )
