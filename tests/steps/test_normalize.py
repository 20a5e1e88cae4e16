import os
import subprocess
import sys

import numpy as np
import pytest
from activations import command, damage, relu, shards, table, write
from edited_files import edited
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import ROOT
from sklearn.preprocessing import StandardScaler

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, WrongFile
from fne_cli.steps.merge import merge
from fne_cli.steps.normalize import normalize
from fne_cli.steps.verify import verify
from fne_cli.store.format.reader import open_file


def moments(path):
    with open_file(path, "moments") as file:
        return file.moments()


@pytest.fixture
def photos(tmp_path):
    """61 images, 2 crops each, two bad ones; layers of many and of few rows a chunk."""
    rng = np.random.default_rng(1)
    images = table(61, split=["test" if n % 3 == 0 else "train" for n in range(61)], bad=(4, 30))
    layers = {"conv": relu(rng, 122, 7), "fc": relu(rng, 122, 20000, dtype=np.float16)}
    return write(tmp_path / "photos.h5", layers, images, crops=2), layers, images


def test_by_hand(tmp_path):
    rows = np.array([[1, 0], [3, 0], [5, 0], [100, 50]], np.float32)
    source = write(tmp_path / "a.h5", {"fc": rows}, table(4, split=["train"] * 3 + ["test"]))
    done = normalize(source, tmp_path / "m.h5")
    assert (done.rows, done.count, done.features, done.constant) == ("train", 3, 2, {"fc": [1]})
    found = moments(tmp_path / "m.h5")["fc"]
    assert found["mean"].tolist() == [3, 0]
    assert found["std"] == pytest.approx([np.sqrt(8 / 3), 0])
    assert (found["minimum"].tolist(), found["maximum"].tolist(), found["zeros"].tolist()) == ([1, 0], [5, 0], [0, 3])


@pytest.mark.parametrize("rows", ["train", "test", "all"])
def test_agrees_with_scikit_learn_and_leaves_bad_images_out(photos, tmp_path, rows):
    source, layers, images = photos
    done = normalize(source, tmp_path / "m.h5", rows=rows)
    chosen = images.good & ((np.array(images.split) == rows) | (rows == "all"))
    assert done.count == 2 * chosen.sum()
    for name, values in layers.items():
        scaler = StandardScaler().fit(values[np.repeat(chosen, 2)].astype(np.float64))
        found = moments(tmp_path / "m.h5")[name]
        assert found["mean"] == pytest.approx(scaler.mean_, rel=1e-12)
        assert found["std"] == pytest.approx(np.sqrt(scaler.var_), rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_size=st.integers(1, 200))
def test_the_same_bytes_for_any_batch_size(photos, tmp_path, batch_size):
    normalize(photos[0], tmp_path / "m.h5", overwrite=True)
    normalize(photos[0], tmp_path / "other.h5", batch_size=batch_size, overwrite=True)
    assert (tmp_path / "m.h5").read_bytes() == (tmp_path / "other.h5").read_bytes()


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 7), seed=st.integers(0, 99))
def test_shards_in_any_order_are_the_merged_file(photos, tmp_path, count, seed):
    _, layers, images = photos
    parts = shards(tmp_path, layers, images, count, crops=2)
    merge(parts, tmp_path / "merged.h5", overwrite=True)
    normalize(tmp_path / "merged.h5", tmp_path / "m.h5", overwrite=True)
    shuffled = [parts[number] for number in np.random.default_rng(seed).permutation(count)]
    if count > 1:
        normalize(shuffled, tmp_path / "s.h5", overwrite=True)
        assert (tmp_path / "m.h5").read_bytes() == (tmp_path / "s.h5").read_bytes()
        assert normalize(tmp_path / "merged.h5", tmp_path / "s.h5").up_to_date


def test_different_files_in_any_order_are_the_same_moments(photos, tmp_path):
    source, layers, images = photos
    rng = np.random.default_rng(2)
    others = table(5, paths=[f"other/{n}.png" for n in range(5)], split=["train"] * 5, classes=("b", "z"))
    more = {"conv": relu(rng, 10, 7), "fc": relu(rng, 10, 20000, dtype=np.float16)}
    second = write(tmp_path / "second.h5", more, others, crops=2)
    normalize([source, second], tmp_path / "m.h5")
    normalize([second, source], tmp_path / "n.h5")
    assert (tmp_path / "m.h5").read_bytes() == (tmp_path / "n.h5").read_bytes()
    train = np.repeat(images.good & (np.array(images.split) == "train"), 2)
    both = np.concatenate([layers["conv"][train], more["conv"]]).astype(np.float64)
    assert moments(tmp_path / "m.h5")["conv"]["mean"] == pytest.approx(both.mean(axis=0), rel=1e-12)


def test_one_training_row(tmp_path):
    rows = np.array([[1, 0.5], [3, 2]], np.float32)
    source = write(tmp_path / "a.h5", {"fc": rows}, table(2, split=["train", "test"]))
    assert normalize(source, tmp_path / "m.h5").constant == {"fc": [0, 1]}
    assert moments(tmp_path / "m.h5")["fc"]["std"].tolist() == [0, 0]


def test_near_constant_features_are_listed(tmp_path, capfd):
    rows = np.ones((2000, 12), np.float32)
    rows[:, 1] = np.random.default_rng(0).normal(size=2000)
    # the next float32 above 1 in one row of 2,000, on a mean of 1: that is a variance, and not lost
    rows[5, 2] = np.nextafter(np.float32(1), np.float32(2))
    source = write(tmp_path / "a.h5", {"fc": rows}, table(2000))
    code, _, err = command(capfd, "normalize", source, tmp_path / "m.h5")
    assert code == 0
    assert f"{source} has no splits: the moments are those of all 2,000 rows" in err
    assert "moments of 2,000 rows (all), 12 features, 10 of them constant" in err
    assert "constant in fc: 0, 3, 4, 5, 6, 7, 8, 9 and 2 more (-v lists all)" in err


def test_standardized(photos, tmp_path):
    source, layers, images = photos
    done = normalize(source, tmp_path / "m.h5", standardized=tmp_path / "z.h5")
    assert done.standardized
    train = np.repeat(images.good & (np.array(images.split) == "train"), 2)
    scaler = StandardScaler().fit(layers["conv"][train].astype(np.float64))
    with open_file(tmp_path / "z.h5", "standardized") as file:
        scores = file.layers["conv"].read(0, 122)
        assert file.images.path == images.path
        assert file.settings["moments_rows"] == "train"
    good = np.repeat(images.good, 2)
    assert scores.dtype == np.float32
    assert scores[good] == pytest.approx(scaler.transform(layers["conv"][good].astype(np.float64)), rel=1e-6, abs=1e-6)
    assert np.isnan(scores[~good]).all()
    assert verify(tmp_path / "z.h5").problems == []
    assert not normalize(source, tmp_path / "m.h5", standardized=tmp_path / "z.h5").standardized
    # the moments are there; only the scores are missing
    (tmp_path / "z.h5").unlink()
    again = normalize(source, tmp_path / "m.h5", standardized=tmp_path / "z.h5")
    assert again.up_to_date
    assert again.standardized


def test_a_damaged_chunk_is_named(photos, tmp_path):
    source, *_ = photos
    damage(source, "fc", 60)
    with open_file(source) as file:
        step = file.layers["fc"].chunk_rows
    first = 60 // step * step
    with pytest.raises(DamagedFile) as error:
        normalize(source, tmp_path / "m.h5")
    assert str(error.value) == (
        f"{source}: layer fc, rows {first}-{first + step - 1} are damaged (a wrong checksum).\n"
        "Make the file again with fne extract --overwrite, or fetch a good copy."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos.h5"]


def test_a_value_that_is_not_finite_is_named(tmp_path):
    rows = np.ones((9, 3), np.float16)
    rows[6, 2] = np.inf
    source = write(tmp_path / "a.h5", {"conv": np.ones((9, 2), np.float32), "fc": rows}, table(9))
    with pytest.raises(DamagedFile) as error:
        normalize(source, tmp_path / "m.h5")
    assert str(error.value) == (
        f"{source}: layer fc, row 6 (class/é6.png) should have finite activations. Found: infinity or not a number.\n"
        "float16 ends at 65,504: extract with --dtype float32. fne verify lists all such rows."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5"]


def test_files_that_do_not_belong_together(photos, tmp_path):
    source, layers, images = photos
    with pytest.raises(BadInput) as error:
        normalize([source, source], tmp_path / "m.h5")
    assert str(error.value) == (
        f"Every image should be in one of the files. Found: class/é0.png in {source} and in {source}."
    )
    other = write(tmp_path / "other.h5", layers, images, crops=2, settings={"model": "vgg16"})
    with pytest.raises(WrongFile) as error:
        normalize([source, other], tmp_path / "m.h5")
    assert str(error.value) == (
        f"{other} (there) should be made like {source} (here). Found:\n"
        '  model: "vgg16" there, "by hand" here\n'
        "Files that are read as one need the same network, layers and preprocessing."
    )


def test_another_choice_of_rows_is_another_output(photos, tmp_path):
    source, *_ = photos
    normalize(source, tmp_path / "m.h5")
    assert normalize(source, tmp_path / "m.h5").up_to_date
    with pytest.raises(DifferentOutput, match='rows: "train" in the existing output, "all" asked for'):
        normalize(source, tmp_path / "m.h5", rows="all")
    with pytest.raises(BadInput, match="--rows val should choose at least one good image"):
        normalize(source, tmp_path / "n.h5", rows="val")
    with pytest.raises(BadInput, match="cannot be its output"):
        normalize(source, source)


def test_the_installed_command_loads_neither_tensorflow_nor_scikit_learn(photos, tmp_path):
    program = (
        "import sys\nfrom fne_cli.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code, end\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn') if name in sys.modules])"
    )
    output = tmp_path / "m.h5"
    run = subprocess.run(
        [sys.executable, "-c", program, "normalize", photos[0], output, "--standardized", tmp_path / "z.h5"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr
    assert output.exists()


def test_a_standardized_file_is_doubted_like_any_other(photos, tmp_path):
    source, *_ = photos
    scores = tmp_path / "scores.h5"
    normalize(source, tmp_path / "m.h5", standardized=scores)
    assert verify(scores).problems == []
    with edited(scores) as file:
        name = next(iter(file["layers"]))
        attributes, values = dict(file["layers"][name].attrs), file["layers"][name][:]
        del file["layers"][name]
        file["layers"].create_dataset(name, data=values.astype(np.float16)).attrs.update(attributes)
    with pytest.raises(DamagedFile, match=f"layers/{name} should be of type f4"):
        verify(scores)


def test_the_z_scores_are_another_file(photos, tmp_path):
    source, *_ = photos
    with pytest.raises(BadInput, match="should be a file of their own"):
        normalize(source, tmp_path / "m.h5", standardized=tmp_path / "." / "m.h5")
    assert not (tmp_path / "m.h5").exists()


def test_a_read_error_past_hdf5_is_left_to_hdf5(photos, tmp_path, monkeypatch):
    def preadv(*_):
        raise OSError(5, "Input/output error")

    source, layers, _ = photos
    monkeypatch.setattr(os, "preadv", preadv)
    normalize(source, tmp_path / "m.h5", rows="all")
    assert np.array_equal(
        moments(tmp_path / "m.h5")["conv"]["maximum"], np.delete(layers["conv"], [8, 9, 60, 61], 0).max(0)
    )
