"""--json of the commands that say what they did: one object on standard output, the same numbers as the words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pictures import write_image
from real_files import write_all

from fne_cli.cli.main import COMMANDS
from fne_cli.cli.main import fne as group


@pytest.fixture
def files(tmp_path, monkeypatch):
    """a.h5, m.h5 and c.h5 of 24 images in the current folder."""
    monkeypatch.chdir(tmp_path)
    for old, new in zip(write_all(tmp_path, 24), ("a.h5", "m.h5", "c.h5"), strict=True):
        old.rename(tmp_path / new)
    return tmp_path


def test_extract_counts_what_it_computed_and_what_there_is(fne, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(7):
        write_image(tmp_path / "own" / "ab"[number % 2] / f"{number}.png", number)
    (tmp_path / "own" / "a" / "bad.png").write_text("no image")
    words = ("extract", "own", "x.h5", "--model", network, "--preprocess", "tf", "--max-bad", 1, "--json")
    found = json.loads(fne(*words).out)
    assert found["classes"] == {"a": 5, "b": 3} and found["splits"] == {"": 8}
    assert (found["images"], found["computed"], [bad["path"] for bad in found["bad"]]) == (8, 8, ["a/bad.png"])
    again = json.loads(fne(*words).out)
    assert (again["up_to_date"], again["computed"]) == (True, 0)


def test_an_extraction_that_finds_all_rows_says_that_nothing_was_computed(fne, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        write_image(tmp_path / "own" / "ab"[number % 2] / f"{number}.png", number)
    words = ("extract", "own", "x.h5", "--model", network, "--preprocess", "tf")
    assert fne(*words).err.splitlines()[-1].startswith("x.h5: 4 images in ")
    (tmp_path / "own" / "b").rename(tmp_path / "own" / "c")
    assert fne(*words).err.splitlines()[-1] == "x.h5: 4 images; nothing had to be computed"
    write_image(tmp_path / "own" / "a" / "9.png", 9)
    assert "x.h5: 5 images; 1 of them computed in " in fne(*words).err


def test_normalize_and_discretize(fne, files):
    made = json.loads(fne("normalize", "a.h5", "new.h5", "--rows", "all", "--json").out)
    assert (made["path"], made["rows"], made["up_to_date"]) == ("new.h5", "all", False)
    assert fne("export", "a.h5", "a.npy").code == 0
    assert made["features"] == np.load("a.npy").shape[1]
    again = json.loads(fne("normalize", "a.h5", "new.h5", "--rows", "all", "--json").out)
    assert again["up_to_date"] and again["features"] is None
    codes = json.loads(fne("discretize", "a.h5", "new.h5", "n.h5", "--json").out)
    assert fne("export", "n.h5", "n.npy", "--json").code == 0
    values = np.load("n.npy")
    assert codes["counts"] == [int((values == code).sum()) for code in (-1, 0, 1)]


def test_predict_says_how_many_are_right_and_needs_a_file_for_the_rest(fne, files):
    assert fne("evaluate", "c.h5", "-C", "1", "--save-classifier", "k.npz", "-q").code == 0
    refused = fne("predict", "k.npz", "c.h5", "--json")
    assert refused.code == 2 and "Name an OUTPUT." in refused.err
    found = json.loads(fne("predict", "k.npz", "c.h5", "p.csv", "--json").out)
    lines = [line.split(",") for line in (files / "p.csv").read_text().splitlines()[1:]]
    assert found["images"] == len(lines)
    assert found["right"] == sum(line[1] == line[2] for line in lines)


def test_verify_lists_what_is_wrong_and_still_ends_with_1(fne, files):
    assert json.loads(fne("verify", "a.h5", "--json").out)["problems"] == []
    content = bytearray((files / "c.h5").read_bytes())
    content[-200] ^= 1
    (files / "c.h5").write_bytes(content)
    broken = fne("verify", "c.h5", "--json")
    assert broken.code == 1


@pytest.mark.parametrize(
    "words", ["extract photos x.csv", "normalize a.h5 m.json", "discretize a.h5 m.h5 c.npy", "reduce a.h5 p.csv"]
)
def test_a_name_that_speaks_of_another_kind_of_file_is_refused_at_once(fne, words):
    result = fne(*words.split())
    assert result.code == 2
    assert "should have a name that ends in .h5, as it will be HDF5" in result.err


def test_the_option_of_before_is_taken_and_not_shown(fne, files, monkeypatch):
    assert fne("evaluate", "c.h5", "--model", "old.npz", "-q").code == 0
    monkeypatch.setenv("FNE_EVALUATE_SAVE_CLASSIFIER", "variable.npz")
    assert fne("evaluate", "c.h5", "-q").code == 0
    monkeypatch.delenv("FNE_EVALUATE_SAVE_CLASSIFIER")
    (files / "c.toml").write_text('[evaluate]\nsave-classifier = "table.npz"\n')
    assert fne("evaluate", "c.h5", "-q", "--config", "c.toml").code == 0
    contents = {(files / f"{name}.npz").read_bytes() for name in ("old", "variable", "table")}
    assert len(contents) == 1
    assert "--model" not in fne("evaluate", "--help").out


def test_every_command_with_a_result_has_it():
    """Completion is a script, and a cluster runs until it is stopped."""
    without = {
        name
        for name in COMMANDS
        if "--json" not in [word for param in group.get_command(None, name).params for word in param.opts]
    }
    assert without == {"cluster", "completion"}


def test_report_says_what_it_wrote(fne, files):
    assert fne("evaluate", "c.h5", "r.json", "-C", "1", "-q").code == 0
    made, again = (json.loads(fne("report", "r.json", "page.html", "--json").out) for _ in range(2))
    assert (made["page"], made["up_to_date"], again["up_to_date"]) == ("page.html", False, True)
