"""fne transfer: which networks are trained, what is taken from what, and the whole of it in small."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image
from places import ROOT

from fne_cli.cli.run import known_options
from fne_cli.errors import BadInput
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.stamps import Sources
from fne_cli.experiments.transfer.differences import Measured, differences, means
from fne_cli.experiments.transfer.plan import Run, plan
from fne_cli.experiments.transfer.reading import read_transfer
from fne_cli.networks.saved.lineage import lineage_of

CONFIG = """
[datasets.shades]
images = "shades"
[networks.small]
model = "vgg-mini:width=2,depth=1,convs=1,units=4,image=8"
[train]
epochs = 2
batch_size = 4
val = "25%"
workers = 1
[transfer]
copied = [1, 2]
halves = 1
both_ways = false
[divisions.kind]
a = ["a", "c"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(48):
        split = ("train", "train", "test")[number // 4 % 3]
        write_image(tmp_path / "shades" / split / "abcd"[number % 4] / f"{number:02d}.png", number, (8, 8))
    (tmp_path / "t.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str = CONFIG, *overrides: str):
    Path("t.toml").write_text(text)
    return read_transfer(Path("t.toml"), overrides, known_options())


def test_every_network_begins_where_its_name_says(folder):
    made = plan(read(), Sources())
    jobs = {job.output.relative_to("t-results/shades.small").with_suffix("").as_posix(): job for job in made.jobs}
    assert len(jobs) == len(made.runs) == 2 * (2 + 5 * 2)
    kept, learning, own = (jobs[f"kind/{name}"].options for name in ("A2B", "A1B+", "B1B"))
    assert kept["source"].endswith("kind/baseA.keras") and kept["freeze"] and kept["copy"] == 2
    assert "freeze" not in learning and own["source"].endswith("kind/baseB.keras")
    assert all(options["classes"] == ("b", "d") for options in (kept, learning, own))
    drawn = jobs["kind/random1B"].options
    assert "source" not in drawn and drawn["freeze"] and drawn["copy"] == 1
    # what is drawn anew is another draw than that of the network that was copied, and one for all treatments
    seeds = {name: jobs[f"kind/{name}"].options["seed"] for name in ("baseA", "baseB", "B1B", "A1B", "A2B+")}
    assert len({seeds["baseA"], seeds["baseB"], seeds["B1B"]}) == 3
    assert seeds["B1B"] == seeds["A1B"] == seeds["A2B+"]
    places = {job.output: place for place, job in enumerate(made.jobs)}
    assert all(places[path] < place for place, job in enumerate(made.jobs) for path in job.inputs if path in places)


def test_divisions_are_of_all_classes(folder):
    (kind, half) = plan(read(), Sources()).divisions["shades"]
    assert (kind.a, kind.b) == (("a", "c"), ("b", "d"))
    assert sorted(half.a + half.b) == ["a", "b", "c", "d"] and len(half.a) == 2
    assert plan(read(), Sources()).divisions["shades"][1] == half


def test_seeds_few_images_and_other_sources_are_more_networks(folder):
    more = CONFIG.replace("both_ways = false", "both_ways = true\nseeds = [0, 1]\nfew = [2]\nfew_copied = [1]")
    more += (
        '[sources.early]\nmax_epochs = 1\n[sources.wide]\nmodel = "vgg-mini:width=4,depth=1,convs=1,units=4,image=8"\n'
    )
    made = plan(read(more), Sources())
    names = {job.output.relative_to("t-results/shades.small").as_posix() for job in made.jobs}
    assert len(names) == len(made.jobs)
    own = sorted(name.removeprefix("kind.seed1/") for name in names if name.startswith("kind.seed1/"))
    assert {"baseA.keras", "A2B+.keras", "B1A.keras", "random2A.keras"} < set(own)
    assert {"baseB.2.keras", "A1B.2.keras", "A1B+.2.keras", "A1A.2.keras"} & set(own) == {
        "baseB.2.keras", "A1B.2.keras", "A1B+.2.keras"
    }  # fmt: skip
    assert {"sourceA.early.keras", "A2B.early.keras", "baseB.wide.keras"} < set(own) and "baseB.early.keras" not in own


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("copied = [1, 2]", "copied = [3]", "copied should be at most 2"),
        ("copied = [1, 2]", "", "should have copied"),
        ("copied = [1, 2]", "copied = [0]", "whole numbers of at least 1"),
        ("halves = 1", "halfs = 1", "Did you mean 'halves'"),
        ("halves = 1", 'treatments = ["AnC"]', "some of BnB"),
        ('a = ["a", "c"]', 'a = ["a", "x"]', "'x', which is none"),
        ('a = ["a", "c"]', 'a = ["a"]', "1 in a"),
        ('a = ["a", "c"]', 'a = ["a", "b"]\nb = ["b", "c"]', "a class in both"),
        ("[divisions.kind]", "[divisions.half1]", "another name"),
        ('images = "shades"', 'images = "nowhere"', "no such file"),
        ("[train]", "[trian]", "Did you mean 'train'"),
        ("epochs = 2", "epochs = 2\nlearning_rate = -1", "learning_rate"),
        ("[transfer]", "[other]", "are for fne run"),
        ("halves = 1", "halves = 1\nfew_epochs = 3", "goes with few"),
    ],
)
def test_a_wrong_word_is_named(folder, old, new, said):
    with pytest.raises(BadInput, match=r"t\.toml") as error:
        plan(read(CONFIG.replace(old, new)), Sources())
    assert said in str(error.value)


def _measured(treatment, copied, right, division="half1", target="B", seed=0, **more):
    run = Run("d", "n", division, target, seed, treatment, copied, more.pop("source", ""), more.pop("per_class", None),
              Job("train", (), {}, (), (Path("x"),)))  # fmt: skip
    right = np.array(right, bool)
    return Measured(run, right.mean(), right.mean(), right.mean(), 1, 0.0, 1, 1, {}, "", right)


def test_differences_are_of_the_same_half_and_intervals_over_the_pairs():
    runs = []
    for number, (base, own, other) in enumerate([(8, 7, 5), (6, 6, 3), (9, 6, 6)], 1):
        for treatment, copied, count in (("base", 0, base), ("BnB", 2, own), ("AnB", 2, other)):
            runs.append(_measured(treatment, copied, [1] * count + [0] * (10 - count), f"half{number}"))
    runs.append(_measured("base", 0, [1] * 10, "kind"))  # alone: it is compared with nothing
    found = {one.measure: one for one in differences(runs)}
    assert set(found) == {"co-adaptation", "specificity", "frozen against scratch"}
    adapted = found["co-adaptation"]
    values = [0.1, 0.0, 0.3]
    assert [round(pair.difference, 9) for pair in adapted.pairs] == values
    # Student's interval of three numbers by the table: 4.3027 standard errors
    half = 4.30265 * np.std(values, ddof=1) / np.sqrt(3)
    assert adapted.high == pytest.approx(np.mean(values) + half, abs=1e-5) and adapted.group == "random halves"
    assert adapted.pairs[0].p == 1.0 and adapted.pairs[0].low < 0 < adapted.pairs[0].high
    assert [one.count for one in means(runs) if one.treatment == "base"] == [3, 1]


def test_another_source_is_held_against_the_usual_one_and_its_own_base():
    runs = [_measured("base", 0, [1, 1, 0, 0]), _measured("AnB", 1, [1, 0, 0, 0])]
    runs += [_measured("base", 0, [1, 1, 1, 1], source="wide"), _measured("AnB", 1, [1, 1, 1, 0], source="wide")]
    found = {(one.measure, one.source): one.difference for one in differences(runs)}
    assert found[("source, AnB", "wide")] == 0.5
    assert found[("frozen against scratch", "wide")] == -0.25 and found[("frozen against scratch", "")] == -0.25


@pytest.mark.slow
def test_the_whole_of_it_killed_resumed_and_reported(fne, folder):
    Path("t.toml").write_text(CONFIG.replace("[1, 2]", "[2]"))
    words = [sys.executable, "-m", "fne_cli", "transfer", "t.toml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(folder.rglob("*.keras"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    done = fne("transfer", "t.toml")
    assert done.code == 0 and "14 networks" in done.err and "up to date" in done.err, done.err
    assert "specificity" in done.out and "2 copied" in done.out
    results = (folder / "t-results" / "results.json").read_bytes()
    again = fne("transfer", "t.toml", "--json")
    assert "14 networks: 14 up to date" in again.err and json.loads(again.out)["kind"] == "transfer"
    assert (folder / "t-results" / "results.json").read_bytes() == results
    whole = fne("transfer", "t.toml", "--set", "experiment.output=whole")
    assert whole.code == 0
    one, other = (json.loads((folder / name / "results.json").read_text()) for name in ("t-results", "whole"))
    assert one["runs"] == other["runs"]
    for row in csv.DictReader((folder / "t-results" / "results.csv").open()):
        said = lineage_of(str(folder / "t-results" / row["file"]))
        assert float(row["accuracy"]) == said["history"][said["kept_epoch"] - 1]["test_accuracy"]
    page = fne("report", "t-results", "page.html", "--figures", "figures")
    assert page.code == 0, page.err
    assert {path.name for path in (folder / "figures").iterdir()} >= {
        "transfer.accuracies.png", "transfer.accuracies.svg", "transfer.decomposition.png"
    }  # fmt: skip
    assert "Transfer" in (folder / "page.html").read_text()
    dry = fne("transfer", "t.toml", "--dry-run", "--set", "train.epochs=3")
    assert dry.code == 4 and "14 changed" in dry.out
    assert fne("transfer", "t.toml", "--set", "train.epochs=3").code == 4


@pytest.mark.slow
def test_workers_train_the_same_networks(fne, folder):
    Path("t.toml").write_text(CONFIG.replace("copied = [1, 2]", 'copied = [1]\ntreatments = ["BnB", "AnB+"]'))
    alone, shared = fne("transfer", "t.toml"), fne("transfer", "t.toml", "--cluster", "local:2", "--set",
                                                   "experiment.output=shared")  # fmt: skip
    assert alone.code == shared.code == 0, shared.err
    for path in (folder / "t-results").rglob("*.keras"):
        other = folder / "shared" / path.relative_to(folder / "t-results")
        one, same = lineage_of(str(path)), lineage_of(str(other))
        assert one["images"] == same["images"] and one["settings"] == same["settings"]
    (folder / "shades" / "train" / "a" / "broken.png").write_bytes(b"none")
    failed = fne("transfer", "t.toml", "--cluster", "local:2", "--set", "experiment.output=bad")
    assert failed.code == 3 and "max-bad" in failed.err and "not tried" in failed.err
