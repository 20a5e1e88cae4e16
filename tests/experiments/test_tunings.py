"""[tunings] of an experiment: rows beside the embeddings, of the same trainings, with what they cost."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fne_cli.steps.train import Course, Rule, Start, train
from fne_cli.store.other.results import Experiment, read_results

CONFIG = """
[datasets.shades]
images = "shades"
[networks.small]
model = "n.keras"
image_size = "16x16"
[poolings.avg]
[poolings.max]
pool = "max"
[embeddings.fne]
[tunings.lp-ft]
learn = "fc1"
learning_rate = 0.01
[tunings.scratch]
scratch = true
model = "vgg-mini:width=2,depth=1,units=4,image=16"
learning_rate = 0.02
[protocols.curve]
per_class = [2]
draws = 2
seed = 3
single_layers = false
[tune]
epochs = 1
batch_size = 4
C = 0.1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for number in range(16):
        pixels = np.random.default_rng(number).integers(0, 100, (16, 16, 3)) + 100 * (number % 2)
        place = tmp_path / "shades" / ("train", "test")[number // 2 % 2] / "ab"[number % 2] / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place)
    (tmp_path / "e.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_they_stand_in_the_table_with_seconds(fne, folder):
    train("shades", folder / "n.keras", Start("vgg-mini:width=2,depth=1,units=8,image=16"), Rule(), Course(1, 4))
    done = fne("run", "e.toml")
    assert done.code == 0, done.err
    assert "lp-ft, s" in done.out and "before, once" in done.out
    rows = list(csv.DictReader((folder / "e-results" / "results.csv").open()))
    assert [(row["pooling"], row["embedding"]) for row in rows] == [
        ("avg", "fne"), ("avg", "lp-ft"), ("avg", "scratch"), ("max", "fne"),
    ]  # fmt: skip
    for row in rows:
        assert float(row["seconds"]) > 0 and row["seconds_once"] and "joules" not in row
        assert row["training_images_per_class"] == row["trials"] == "2"
    assert [row["compared_with"] for row in rows] == ["", "fne", "fne", ""]
    assert rows[1]["head_mean_per_class_accuracy"] and not rows[2]["head_mean_per_class_accuracy"]
    own = json.loads((folder / "e-results/shades/small.avg/lp-ft.curve.json").read_text())["settings"]
    assert own["seed"] == 3 and own["learn"] == ["fc1"] and own["image_size"] == [16, 16]
    table = folder / "e-results" / "results.json"
    assert isinstance(read_results(table), Experiment)
    before = table.read_bytes()
    again = fne("run", "e.toml")
    assert "6 up to date" in again.err and table.read_bytes() == before
    shown = fne("report", table, "page.html")
    page = (folder / "page.html").read_text()
    assert shown.code == 0 and page.count("What it took") == 2
    assert page.count('href="#group-') == 2  # poolings: the tunings stand beside the embedding
    dry = fne("run", "e.toml", "--dry-run", "--set", "tune.epochs=2")
    assert dry.code == 4 and "changed" in dry.out


def test_the_configuration_as_it_is_shown_means_the_same(fne, folder):
    shown = fne("config", "show", "e.toml", "--set", 'tune.learn="fc*"')
    assert shown.code == 0, shown.err
    (folder / "shown.toml").write_text(shown.out)
    assert fne("config", "show", "shown.toml", "--json").code == 0
    own, other = (json.loads(fne("config", "show", name, "--json").out)["tunings.scratch"] for name in
                  ("e.toml", "shown.toml"))  # fmt: skip
    assert {key: one["value"] for key, one in own.items()} == {key: one["value"] for key, one in other.items()}
    assert own["model"]["value"].startswith("vgg-mini") and not {"weights", "image_size", "learn", "cost"} & set(own)


def test_what_cannot_be_is_told_before_the_work(fne, folder):
    def told(*overrides):
        done = fne("run", "e.toml", *(word for one in overrides for word in ("--set", one)))
        assert done.code == 1 and not (folder / "e-results").exists()
        return done.err

    assert "[tunings.lp-ft] network should be one of [networks.NAME]" in told('tunings.lp-ft.network="tiny"')
    assert "[tunings.fne] should have another name: an embedding is called so" in told("tunings={fne={}}")
    assert "[tunings.lp-ft]: --scratch has all layers learn" in told("tunings.lp-ft.scratch=true")
    assert "'learning_rat'" in told("tunings.lp-ft.learning_rat=1")
    assert "stands in the place of [tunings.NAME]" in told('factors={layers=["all"]}', "protocols={}", "poolings={}",
                                                           "embeddings={}")  # fmt: skip
