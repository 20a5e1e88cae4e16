"""fne search --duplicates: pairs that are made the same on purpose, and what is said of them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from activations import table
from activations import write as write_features
from PIL import Image

from fne_cli.errors import BadInput, DifferentOutput, DoesNotFit, WrongOptions
from fne_cli.options import taken
from fne_cli.steps.search import SearchOptions, VectorOptions, find_duplicates


def look(features, output=None, **options):
    vectors, chosen = taken(VectorOptions, options), taken(SearchOptions, options)
    return find_duplicates(features, output, vectors=vectors, options=chosen, **options)


@pytest.fixture
def codes(tmp_path):
    """40 images: 3 and 30 with equal bytes across splits, 4 and 6 within one, 5 and 31 near; all others far apart."""
    generator = np.random.default_rng(0)
    rows = generator.integers(-1, 2, (40, 200)).astype(np.int8)
    rows[30], rows[6], rows[31] = rows[3], rows[4], rows[5]
    rows[31, :15] = np.where(rows[31, :15] == 1, 0, rows[31, :15] + 1)
    images = table(40, split=["train"] * 20 + ["test"] * 20, label=np.arange(40, dtype=np.int32) // 10,
                   classes=("a", "b", "c", "=d"))  # fmt: skip
    images.sha256[30], images.sha256[6] = images.sha256[3], images.sha256[4]
    return write_features(tmp_path / "c.h5", {"one": rows}, images, kind="codes")


def test_pairs_across_splits_come_first_then_the_surest(codes, tmp_path):
    done = look(codes, tmp_path / "d.csv")
    assert (done.across, done.inside) == ({"bytes": 1, "near": 1}, {"bytes": 1})
    assert (done.across_images, done.relabelled, done.images, done.within, done.pixels) == (4, 2, 40, 20.0, False)
    with open(tmp_path / "d.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    pairs = [(line["kind"], line["across"], line["first"], line["second"]) for line in lines]
    assert pairs == [
        ("bytes", "yes", "class/é3.png", "class/é30.png"),
        ("near", "yes", "class/é5.png", "class/é31.png"),
        ("bytes", "no", "class/é4.png", "class/é6.png"),
    ]
    assert 15 <= float(lines[1]["distance"]) <= 20
    assert [line["second_label"] for line in lines] == ["'=d", "'=d", "a"]
    assert look(codes).lines[0]["distance"] == 0


def test_json_lines_and_a_page(codes, tmp_path):
    look(codes, tmp_path / "d.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert lines == look(codes).lines
    look(codes, tmp_path / "d.html", shown=2)
    page = (tmp_path / "d.html").read_text()
    assert page.count('<div class="two">') == 2
    for text in ("Across splits", "labels differ", "The first 2 of 3 pairs are shown", "Pixels were not compared"):
        assert text in page
    assert "Within a split" not in page


def test_equal_bytes_count_however_far_their_rows_are(tmp_path):
    images = table(4)
    images.sha256[3] = images.sha256[0]
    rows = np.eye(4, 64, dtype=np.int8) + np.eye(4, 64, 9, dtype=np.int8)
    path = write_features(tmp_path / "c.h5", {"one": rows}, images, kind="codes")
    done = look(path, within=0.0)
    assert done.inside == {"bytes": 1}
    assert done.lines[0]["distance"] is None


def test_boxes_of_one_picture_are_not_the_same(tmp_path):
    images = table(3, paths=["a.png#0,0,5,5", "a.png#5,5,9,9", "b.png#0,0,5,5"])
    images.sha256[:] = ["0" * 64] * 3
    rows = np.random.default_rng(0).integers(-1, 2, (3, 90)).astype(np.int8)
    done = look(write_features(tmp_path / "c.h5", {"one": rows}, images, kind="codes"))
    assert [(line["first"], line["second"]) for line in done.lines] == [("a.png#0,0,5,5", "b.png#0,0,5,5")]


def test_thresholds_are_those_that_were_measured(tmp_path):
    rows = np.random.default_rng(1).random((6, 30), np.float32)
    rows[5] = rows[0] * 2
    path = write_features(tmp_path / "a.h5", {"one": rows}, table(6))
    assert (look(path).within, look(path).inside) == (0.0015, {"near": 1})
    assert look(path, embedding="standardized").within == 0.02
    with pytest.raises(WrongOptions, match=r"for euclid of l2\. Found: nobody has measured it\. Give --within"):
        look(path, metric="euclid")
    assert look(path, metric="euclid", within=0.001).inside == {"near": 1}
    with pytest.raises(WrongOptions, match="--neighbours is not for --duplicates"):
        look(path, neighbours=3)
    with pytest.raises(DoesNotFit, match="At most 81 pairs have room"):
        look(write_features(tmp_path / "b.h5", {"one": np.ones((20, 30), np.float32)}, table(20)), memory=1 << 16)


def test_pixels_tell_a_copy_in_another_format(extract, photos, tmp_path):
    first, other = sorted(photos.rglob("*.png"))[:2]
    Image.open(first).save(photos / "train" / "a" / "copy.bmp")
    other.rename(other.with_name("noise.png"))
    assert extract(photos, tmp_path / "a.h5").code == 0
    found = look(tmp_path / "a.h5", images=str(photos), within=0.0)
    assert (found.across, found.pixels) == ({"pixels": 1}, True)
    assert look(tmp_path / "a.h5", within=0.0).across == {"near": 1}
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match=r"should have the images of the file\. Found: none of 2"):
        look(tmp_path / "a.h5", images=str(tmp_path / "none"), within=0.0)


def test_the_same_again_is_up_to_date(codes, tmp_path):
    assert not look(codes, tmp_path / "d.csv").up_to_date
    assert look(codes, tmp_path / "d.csv").up_to_date
    with pytest.raises(DifferentOutput, match=r"settings\.within"):
        look(codes, tmp_path / "d.csv", within=3.0)


def test_the_command_counts_by_kind_and_split(fne, codes):
    result = fne("search", codes, "--duplicates")
    assert result.code == 0
    assert result.out.splitlines()[1].split()[:2] == ["bytes", "yes"]
    assert "across splits: 1 equal in bytes, 1 near" in result.err
    assert "within a split: 1 equal in bytes, 0 near" in result.err
    assert "pixels were not compared: --images says where they are" in result.err
    assert len(json.loads(fne("search", codes, "--duplicates", "--json").out)["pairs"]) == 3
    assert "--duplicates compares the images of FEATURES" in fne("search", codes, "x.h5", "--duplicates").err


def test_pairs_of_images_with_crops_do_not_depend_on_their_order(tmp_path):
    """The mean over the crops of one image is another than that over the crops of the other: the shorter way counts."""
    one, other = [[1, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 1, 0]]
    for name, images in (("a", (one, other)), ("b", (other, one))):
        rows = np.array(images, np.float32).reshape(4, 3)
        path = write_features(tmp_path / f"{name}.h5", {"one": rows}, table(2), crops=2)
        assert look(path, within=0.1).inside == {"near": 1}, name  # 0 one way, 0.5 the other


def test_all_pairs_are_within_an_infinite_distance_and_those_of_no_distance_come_last(codes, tmp_path):
    done = look(codes, tmp_path / "d.csv", within=np.inf)
    assert sum(done.across.values()) + sum(done.inside.values()) == 40 * 39 // 2
    assert look(codes, tmp_path / "d.csv", within=np.inf).up_to_date
