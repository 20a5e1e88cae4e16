"""Predictions as CSV: what is written is read, and what is not of ours is said to be so."""

from __future__ import annotations

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
