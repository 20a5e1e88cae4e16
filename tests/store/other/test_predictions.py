"""Predictions as CSV: what is written is read, and what is not of ours is said to be so."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from fne_cli.errors import BadInput, DamagedFile
from fne_cli.store.other.predictions import Predicted, read_predictions, write_predictions

CLASSES = ["a", 'b,"\n', "é;"]


def written(path, columns=("embedding",), values=("embedding",), **changes):
    part = {"path": ["x\ny.png", "z.png"], "truth": ["a", ""], "prediction": ['b,"\n', "é;"],
            "decisions": np.array([[0.1, -np.inf, 1e-300], [1, 2, 3]])}  # fmt: skip
    with open(path, "w", newline="", encoding="utf-8") as file:
        write_predictions(file, CLASSES, [Predicted(**part | changes, columns=values)], columns)
    return path


@pytest.mark.parametrize("trial", [(), ("trial",)])
def test_what_is_written_is_read(tmp_path, trial):
    path = written(tmp_path / "p.csv", ("embedding", *trial), ("conv1", *trial))
    first, second = read_predictions(path, CLASSES)
    assert (first.embedding, first.path, first.truth, first.prediction) == ("conv1", "x\ny.png", "a", 'b,"\n')
    assert first.decisions.tolist() == [0.1, -np.inf, 1e-300]
    assert (second.truth, second.decisions.tolist()) == ("", [1.0, 2.0, 3.0])
    assert csv.field_size_limit() == 131_072  # Python's own, for whoever reads CSV next


EVIL = ["=1+1", "-2+3", "@SUM(1)", "\ttab", "\r", "\x1b]0;t\x07", "\u202ea", "a;=b", "'", "\\x3d", "-1", "a\u2028b"]


def test_names_that_are_formulas_come_back_and_are_none_in_the_file(tmp_path):
    path, many = tmp_path / "p.csv", len(EVIL)
    with open(path, "w", newline="", encoding="utf-8") as file:
        part = Predicted(
            EVIL, EVIL[1:] + EVIL[:1], EVIL, -np.arange(many * many).reshape(many, many) / 3, ("=fne", "-x")
        )
        write_predictions(file, EVIL, [part], ("embedding", "trial"))
    with open(path, newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert all("\x1b" not in text and "\r" not in text for line in (header, *lines) for text in line)
    for line in lines:
        assert [text[:1] for text in line[:2]] == ["'", "'"]
        assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in line[2:5] if text != "-1")
        assert all(float(text) <= 0 for text in line[5:]), "decisions are numbers as before"
    found = list(read_predictions(path, EVIL))
    assert [(one.embedding, one.path, one.truth, one.prediction) for one in found] == [
        ("=fne", name, truth, name) for name, truth in zip(EVIL, EVIL[1:] + EVIL[:1], strict=True)
    ]
    assert found[1].decisions.tolist() == (-np.arange(many, 2 * many) / 3).tolist()


def test_files_of_before_with_names_as_they_are_are_read(tmp_path):
    """What earlier versions wrote: an apostrophe, or a formula, as it stood in the name."""
    path = tmp_path / "p.csv"
    path.write_text("embedding,path,truth,prediction,decision:'tis,decision:=a\nfne,x.png,'tis,=a,1.0,-2.0\n")
    (found,) = read_predictions(path, ["'tis", "=a"])
    assert (found.truth, found.prediction, found.decisions.tolist()) == ("'tis", "=a", [1.0, -2.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("decision:a", "decision:c"), "decision for each of 3 classes. Found: other columns"),
        (lambda text: text.replace("0.1", "nan"), "no numbers"),
        (lambda text: text.replace("0.1", "inf"), "no numbers"),
        (lambda text: text.replace("0.1", "one"), "could not convert"),
        (lambda text: text + "embedding,short\n", "has 2 columns"),
        (lambda text: text + '"' + "x" * (1 << 21), "field larger than"),
        (lambda text: "", "other columns"),
    ],
)
def test_other_files(tmp_path, change, message):
    path = written(tmp_path / "p.csv")
    path.write_text(change(path.read_text()))
    with pytest.raises(DamagedFile, match=message):
        list(read_predictions(path, CLASSES))


def test_bytes_that_are_no_text_and_no_file(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedFile):
        list(read_predictions(tmp_path / "p.csv", CLASSES))
    with pytest.raises(BadInput, match="can be read"):
        list(read_predictions(tmp_path / "none.csv", CLASSES))
