from __future__ import annotations

import json
import zipfile

import pytest

from fne_cli.networks.saved.lineage import lineage_of, preprocess_of

SAID = {"format": "fne", "kind": "network", "preprocess": "unit"}


def archive(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("lineage.json", content)
    return str(path)


def test_what_a_network_says_of_itself(tmp_path):
    path = archive(tmp_path / "a.keras", json.dumps(SAID))
    assert lineage_of(path) == SAID and preprocess_of(path) == "unit"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", "{}", json.dumps({**SAID, "kind": "codes"}), " " * (17 << 20), "[" * 100_000, b"\xff\xfe\x00"],
)
def test_what_is_no_lineage_is_none(tmp_path, content):
    assert lineage_of(archive(tmp_path / "a.keras", content)) is None


@pytest.mark.parametrize("value", [None, 5, "caffee", "mean=a"])
def test_a_preprocessing_that_is_none_is_not_believed(tmp_path, value):
    assert preprocess_of(archive(tmp_path / "a.keras", json.dumps({**SAID, "preprocess": value}))) is None


def test_other_files_have_none(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"PK\x03\x04 something else")
    assert lineage_of(str(tmp_path / "a.keras")) is None and lineage_of(str(tmp_path / "none.keras")) is None
