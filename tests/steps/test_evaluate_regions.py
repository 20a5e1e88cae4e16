"""fne evaluate --regions: images measured by their regions, against what fne predict --regions says of them."""

import csv
import json

import numpy as np
import pytest
from activations import table, write
from sklearn.metrics import accuracy_score, average_precision_score


@pytest.fixture
def regions(tmp_path):
    """24 images of four regions, of which one shows the class and the others nothing; half are for testing."""
    rng = np.random.default_rng(5)
    truth = np.repeat(np.arange(24) % 3, 4)
    rows = rng.normal(0, 1, (96, 12))
    seen = np.arange(96) % 4 == np.repeat(rng.integers(0, 4, 24), 4)
    rows[np.flatnonzero(seen), truth[seen]] += 3
    paths = [f"{n // 4}.jpg#{n % 4},0,{n % 4 + 2},2" for n in range(96)]
    split, labels = ["train"] * 48 + ["test"] * 48, truth.astype(np.int32)
    images = table(96, paths=paths, split=split, label=labels, classes=("a", "b", "c"))
    images.sha256 = [f"{n // 4:064x}" for n in range(96)]
    write(tmp_path / "r.h5", {"fc": rows.astype(np.float32)}, images)
    shows = np.where(seen[:, None] & (truth[:, None] == np.arange(3)), 1, 0).astype(np.int8)
    shows[48:52][shows[48:52] == 1] = -1  # nobody can say what the first test image shows
    several = table(96, paths=paths, split=images.split, label=shows, classes=("a", "b", "c"))
    write(tmp_path / "s.h5", {"fc": rows.astype(np.float32)}, several)
    return tmp_path


@pytest.mark.parametrize("how", ["max", "sum"])
def test_images_are_as_right_as_what_is_predicted_of_them(fne, regions, how):
    done = fne("evaluate", regions / "r.h5", regions / "r.json", "--embedding", "raw", "--regions", how,
               "--predictions", regions / "p.csv", "--model", regions / "k.npz")  # fmt: skip
    assert (done.code, "48 regions are measured as 12 test images" in done.err) == (0, True), done.err
    document = json.loads((regions / "r.json").read_text())
    (entry,) = document["results"]
    lines = list(csv.DictReader(fne("predict", regions / "k.npz", regions / "r.h5", "--rows", "test", "--regions",
                                    how).out.splitlines()))  # fmt: skip
    assert [line["path"] for line in lines] == [f"{n}.jpg" for n in range(12, 24)]
    truth, said = [[line[key] for line in lines] for key in ("truth", "prediction")]
    assert entry["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert (entry["test_rows"], sum(row["test_images"] for row in entry["per_class"])) == (48, 12)
    assert document["tested"]["images"] == 12
    with open(regions / "p.csv", newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [(line["path"], line["prediction"]) for line in written] == list(
        zip([line["path"] for line in lines], said, strict=True)
    )
    plain = fne("evaluate", regions / "r.h5", regions / "r.json", "--embedding", "raw")
    assert (plain.code, f'settings.regions: "{how}" in the existing output' in plain.err) == (4, True), plain.err


def test_what_an_image_of_several_classes_shows(fne, regions):
    """The average precision is scikit-learn's of the largest decision values; whom nobody can say is left out."""
    done = fne("evaluate", regions / "s.h5", regions / "s.json", "--embedding", "raw", "--regions", "max",
               "--model", regions / "k.npz")  # fmt: skip
    assert done.code == 0, done.err
    (entry,) = json.loads((regions / "s.json").read_text())["results"]
    lines = list(csv.DictReader(fne("predict", regions / "k.npz", regions / "s.h5", "--rows", "test", "--regions",
                                    "max").out.splitlines()))  # fmt: skip
    for number, row in enumerate(entry["per_class"]):
        own = lines if number else lines[1:]  # image 12 is of class a
        scores = [float(line[f"decision:{row['class']}"]) for line in own]
        present = [row["class"] in line["truth"] for line in own]
        assert row["average_precision"] == pytest.approx(average_precision_score(present, scores))


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        ("r.h5", ("--cv", "3", "--rows", "all"), "should be trained on, or measured. Found: 0.jpg and"),
        ("plain.h5", (), "should have regions of images, path#x0,y0,x1,y1, for --regions max. Found: class/é0.png"),
    ],
)
def test_what_is_no_region_or_on_both_sides(fne, regions, file, options, said):
    images = table(20, split=["train"] * 10 + ["test"] * 10)
    write(regions / "plain.h5", {"fc": np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)}, images)
    done = fne("evaluate", regions / file, regions / "r.json", "--embedding", "raw", "--regions", "max", *options)
    assert (done.code, said in done.err) == (1, True), done.err
    assert not (regions / "r.json").exists()
