"""fne info and fne verify on sound and on damaged files."""

from __future__ import annotations

import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest
from edited_files import edited
from real_files import write_all

from fne_cli.errors import DamagedFile, OldVersion
from fne_cli.networks.saved.lineage import MEMBER
from fne_cli.steps.analyze import analyze
from fne_cli.steps.discretize import discretize
from fne_cli.steps.evaluate import evaluate
from fne_cli.steps.verify import verify
from fne_cli.store.format.seal import unseal
from fne_cli.store.output.sealed import with_digest


@pytest.fixture
def files(fne, extract, photos, tmp_path):
    """An activations, a moments and a codes file."""
    (photos / "train" / "a" / "zz.png").write_bytes(b"")
    a, m, c = (tmp_path / name for name in ("a.h5", "m.h5", "c.h5"))
    assert extract(photos, a, "--max-bad", 1).code == 0
    assert fne("normalize", a, m).code == 0
    assert fne("discretize", a, m, c).code == 0
    return {"activations": a, "moments": m, "codes": c}


@pytest.mark.parametrize("kind", ["activations", "moments", "codes"])
def test_a_sound_file_is_good(fne, files, kind):
    result = fne("verify", files[kind])
    assert (result.code, f"is good: {kind}" in result.err) == (0, True)


@pytest.mark.parametrize("kind", ["activations", "codes"])
def test_a_bit_flip_in_a_chunk_is_found_and_named(fne, files, kind):
    with h5py.File(files[kind]) as file:
        chunk = file["layers/conv2"].id.get_chunk_info(0)
    content = bytearray(files[kind].read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 4
    files[kind].write_bytes(content)
    result = fne("verify", files[kind])
    assert result.code == 1
    assert "layer conv2, rows 0-26 are damaged (a wrong checksum)" in result.err
    later = fne("evaluate", files[kind])
    assert (later.code, "layer conv2, rows 0-26 are damaged" in later.err) == (1, True)


def test_a_changed_label_is_found_by_the_fingerprint(fne, files):
    with edited(files["activations"]) as file:
        labels = file["images/label"][:]
        labels[0] = 1 - labels[0]
        file["images/label"][:] = labels
    result = fne("verify", files["activations"])
    assert (result.code, "the fingerprint should be" in result.err) == (1, True)


def test_values_out_of_range_are_found(fne, files):
    with edited(files["codes"]) as file:
        rows = file["layers/dense"][:]
        rows[3, 3] = 2
        file["layers/dense"][:] = rows
    assert "have codes other than -1, 0 and 1" in fne("verify", files["codes"]).err
    with edited(files["activations"]) as file:
        rows = file["layers/dense"][:]
        rows[3, 3] = np.inf
        file["layers/dense"][:] = rows
    assert "values of good images that are not finite" in fne("verify", files["activations"]).err


def test_info_says_who_shows_results(fne, tmp_path):
    (tmp_path / "r.json").write_text("{}")
    result = fne("info", tmp_path / "r.json")
    assert (result.code, "r.json should be an HDF5 file of fne. Found: JSON" in result.err) == (1, True)
    assert "fne report shows them" in result.err
    assert "no such file" in fne("info", tmp_path / "other.json").err


def test_info_says_what_the_file_is(fne, files):
    found = json.loads(fne("info", files["activations"], "--json").out)
    assert found["kind"] == "activations"
    assert found["images"]["count"] == 27
    assert found["images"]["splits"] == {"test": 9, "train": 18}
    assert [bad["path"] for bad in found["images"]["bad"]] == ["train/a/zz.png"]
    assert [layer["layer"] for layer in found["layers"]] == ["conv1", "conv2", "dense"]
    assert found["settings"]["preprocess"] == "tf"
    assert found["run"]["runs"][0]["images"] == 27
    text = fne("info", files["activations"]).out
    assert "27 (test 9, train 18)" in text
    assert "train/a/zz.png: 0 bytes" in text
    codes = json.loads(fne("info", files["codes"], "--json").out)
    assert codes["settings"]["moments_rows"] == "train"
    assert [source["kind"] for source in codes["sources"]] == ["activations", "moments"]
    moments = json.loads(fne("info", files["moments"], "--json").out)
    assert moments["images"] is None
    assert {layer["rows"] for layer in moments["layers"]} == {17}


def test_the_smallest_int8_is_no_code(fne, files):
    with edited(files["codes"]) as file:
        file["layers/dense"][:] = np.full(file["layers/dense"].shape, -128, np.int8)
    assert "have codes other than -1, 0 and 1" in fne("verify", files["codes"]).err


def version_1(path):
    """The file as the first version of the format had it: no seal."""
    unseal(path)
    with h5py.File(path, "r+", locking=False) as file:
        file.attrs["version"] = np.int64(1)


def spoilt(path, change, old):
    """What verify says of a file that was changed, and whose seal was made again, or that has none."""
    copy = path.with_name("spoilt.h5")
    shutil.copy(path, copy)
    with edited(copy) as file:
        change(file)
    if not old:
        return verify(copy).problems
    version_1(copy)
    with pytest.warns(OldVersion):
        return verify(copy).problems


def put(name, place, value):
    """A change of one number of a dataset."""

    def change(file):
        values = file[name][:]
        values[place] = value
        file[name][:] = values

    return change


def rename(group, old, new):
    return lambda file: file[group].move(old, new)


def describe(name, key, value):
    return lambda file: file[name].attrs.modify(key, value)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Files of all kinds, without a network: conv with 3, fc with 5 features, 12 images."""
    folder = tmp_path_factory.mktemp("made")
    activations, moments, _ = write_all(folder, 12, bad=[4])
    analyze(activations, folder / "behavior.h5", random_classes=20)
    discretize(activations, moments, folder / "packed.h5", packed=True)
    return folder


@pytest.mark.parametrize("old", [False, True], ids=["version 2", "version 1"])
@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("moments.h5", put("layers/fc/mean", 2, 9), "layer fc has a mean that is not between minimum and maximum"),
        ("moments.h5", put("layers/fc/maximum", 2, -1), "layer fc has a mean that is not between minimum and maximum"),
        ("moments.h5", put("layers/fc/std", 0, 7), "layer fc has a deviation above half of maximum - minimum"),
        ("moments.h5", put("layers/fc/zeros", 0, 99), "layer fc has zeros that are no number of 0 ... 7 rows"),
        ("moments.h5", put("layers/fc/zeros", 0, 0.5), "layer fc has zeros that are no number of 0 ... 7 rows"),
        ("moments.h5", put("layers/fc/zeros", 1, 7), "a number of zeros that does not go with minimum and maximum"),
        ("moments.h5", describe("layers/fc", "rows", np.int64(1000)), "rows should be the same of all layers"),
        ("moments.h5", rename("layers", "fc", "fd"), "the layers should be those of the settings"),
        ("activations.h5", rename("layers", "fc", "fd"), "the layers should be those of the settings"),
        ("activations.h5", describe("layers/fc", "pooling", np.bytes_(b"max")), "layer fc should have pooling avg"),
        ("codes.h5", describe("layers/fc", "thresholds", np.array([-0.5, 0.15])), "should have thresholds"),
        ("behavior.h5", describe("thresholds", "low", np.float64(-9)), "low should be "),
        ("behavior.h5", describe("thresholds", "high", np.float64(9)), "high should be "),
        ("behavior.h5", put("thresholds/uncharacteristic", 3, 1000), "histograms of z should be those of the pairs"),
        ("behavior.h5", put("null/threshold", 1, 0.9), "should have one threshold"),
        ("behavior.h5", put("counts", 1, 2), "the counts of images should be those"),
        ("behavior.h5", put("classes", 1, b"class a"), "the classes should have different names"),
    ],
)  # fmt: skip
def test_what_can_be_computed_again_is(made, file, change, said, old):
    assert verify(made / file).problems == []
    problems = spoilt(made / file, change, old)
    assert any(said in problem for problem in problems), problems


def test_two_layers_that_changed_places_are_found(made):
    def change(file):
        for name, order in (("conv", 1), ("fc", 0)):
            file["layers"][name].attrs.modify("order", np.int64(order))

    assert "the layers should be those of the settings, in their order" in spoilt(made / "behavior.h5", change, True)


@pytest.mark.parametrize("file", ["activations.h5", "codes.h5", "packed.h5"])
def test_two_classes_of_one_name_are_refused(made, file):
    with pytest.raises(DamagedFile, match=r"should have classes of different names\. Found: 'class a' twice"):
        spoilt(made / file, put("classes", 1, b"class a"), True)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Results, predictions, and a saved classifier."""
    folder = tmp_path_factory.mktemp("others")
    codes = write_all(folder, 12)[2]
    names = {"results": "r.json", "predictions": "p.csv", "model": "k.npz"}
    outputs = {name: folder / value for name, value in names.items()}
    evaluate([codes], outputs.pop("results"), **outputs)
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "old", "new", "said"),
    [
        ("r.json", "results", b'"accuracy"', b'"accurate"', "text that has changed since"),
        ("p.csv", "predictions", b"class a", b"class b", "its bytes have changed since fne wrote it"),
        ("k.npz", "classifier", b'"aggregate"', b'"aggregato"', "should be a classifier"),
    ],
)
def test_files_that_are_not_hdf5_are_verified_too(fne, others, tmp_path, name, kind, old, new, said):
    good = fne("verify", others / name)
    assert (good.code, f"is good: {kind}, " in good.err) == (0, True)
    content = (others / name).read_bytes()
    assert old in content
    (tmp_path / name).write_bytes(content.replace(old, new, 1))
    if name == "p.csv":
        shutil.copy(others / f"{name}.run.json", tmp_path)
    spoilt = fne("verify", tmp_path / name)
    assert (spoilt.code, said in spoilt.err) == (1, True)


def test_a_network_with_other_weights_than_it_says_is_found(network, tmp_path):
    spoilt = tmp_path / "trained.keras"
    shutil.copy(network, spoilt)
    said = with_digest({"format": "fne", "kind": "network", "version": 1, "weights_sha256": "0" * 64})
    with zipfile.ZipFile(spoilt, "a") as archive:
        archive.writestr(MEMBER, json.dumps(said))
    (problem,) = verify(spoilt).problems
    assert "the weights should have the SHA-256 that it says of them" in problem
    with zipfile.ZipFile(spoilt, "w") as archive, zipfile.ZipFile(network) as own:
        for member in own.namelist():
            archive.writestr(member, own.read(member))
        archive.writestr(MEMBER, json.dumps({**said, "epochs": 3}))
    assert "text that has changed since" in verify(spoilt).problems[0]


def test_what_fne_has_not_made_is_called_what_it_is(fne, network, tmp_path):
    (tmp_path / "t.txt").write_text("hello")
    np.savez(tmp_path / "n.npz", a=np.arange(3))
    for path, said in (
        (tmp_path / "t.txt", "Found: text, without a run record (t.txt.run.json)"),
        (tmp_path / "n.npz", "Found: arrays of NumPy without a run record"),
        (network, "Found: a network of Keras that fne train has not made"),
    ):
        result = fne("verify", path)
        assert (result.code, said in result.err) == (1, True)
