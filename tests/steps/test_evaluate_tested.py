"""Which test images fne evaluate has right, held against the predictions that it writes beside them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from evaluation_files import codes_of, evaluate, noisy, write

from fne_cli.steps.evaluate import Protocol
from fne_cli.store.other.results import read_results
from fne_cli.store.other.results.tested import same_images


def read(path):
    return read_results(path).entries


@pytest.mark.parametrize("protocol", [Protocol(), Protocol(cv=3), Protocol(per_class=(2, 5), draws=3)])
def test_they_are_those_of_the_predictions(tmp_path, protocol):
    rows, labels, splits = noisy()
    source = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    evaluate(source, tmp_path / "r.json", protocol, predictions=tmp_path / "p.csv")
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    found = read(tmp_path / "r.json")
    if protocol.cv is not None:
        said = {line["path"]: line["truth"] == line["prediction"] for line in lines}
        paths = sorted(said, key=lambda path: int(path.removesuffix(".png")))
        expected = [np.array([[said[path] for path in paths]])]
    else:
        each = np.array([line["truth"] == line["prediction"] for line in lines])
        expected = each.reshape(len(found), -1, (np.array(splits) == "test").sum())
    for entry, right in zip(found, expected, strict=True):
        assert entry.right.right.tolist() == right.tolist()
    images = sorted({line["path"]: line["truth"] for line in lines}.items(), key=lambda pair: int(pair[0][:-4]))
    assert ["abc"[label] for label in found[0].right.of.truth] == [truth for _, truth in images]


def test_files_of_the_same_images_agree_and_others_do_not(tmp_path):
    rows, labels, splits = noisy()
    codes = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    floats = write(tmp_path / "a.h5", {"conv": rows.astype(np.float32)}, labels, splits, kind="activations")
    other = write(tmp_path / "o.h5", {"x": codes_of(rows)}, labels, splits, bad=(0,))
    classes = write(tmp_path / "n.h5", {"x": codes_of(rows)}, labels, splits, classes=("a", "b", "d"))
    found = []
    for place, source in enumerate((codes, floats, other, classes)):
        evaluate(source, tmp_path / f"{place}.json")
        found.append(read(tmp_path / f"{place}.json")[0].right)
    assert [same_images(found[0], one) for one in found] == [True, True, False, False]
    evaluate(codes, tmp_path / "cv.json", Protocol(cv=3, rows="all"))
    evaluate(codes, tmp_path / "cv2.json", Protocol(cv=2, rows="all"))
    folds = [read(tmp_path / name)[0].right for name in ("cv.json", "cv2.json")]
    assert not same_images(*folds)


def test_several_labels_have_none(tmp_path):
    rows, _, splits = noisy()
    labels = (np.random.default_rng(1).random((120, 3)) < 0.4).astype(np.int8)
    source = write(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)
    evaluate(source, tmp_path / "r.json")
    assert read(tmp_path / "r.json")[0].right is None
    assert "tested" not in json.loads((tmp_path / "r.json").read_text())
