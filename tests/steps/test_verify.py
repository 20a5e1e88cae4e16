"""fne info and fne verify on sound and on damaged files."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from edited_files import edited


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
