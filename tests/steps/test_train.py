"""fne train: images -> a network, whole or interrupted, to the same bytes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import contextmanager

import numpy as np
import pytest
from commands import carry_out
from pictures import write_image
from PIL import Image
from places import ROOT

from fne_cli.errors import Stopped
from fne_cli.images.decoded import DecodedImages
from fne_cli.images.lists.source import list_images
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.saved.lineage import lineage_of
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.train import Course, Rule, Selection, Start, TrainOptions, train
from fne_cli.steps.train.chosen import choose
from fne_cli.store.output import checkpoint
from fne_cli.training import loop

SMALL = "vgg-mini:width=4,depth=2,units=8,image=16"
WORDS = ("--model", SMALL, "--epochs", 2, "--batch-size", 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """shades/, dark and bright images in train/ and val/, and others in test/ that nobody should look at; m.keras."""
    folder = tmp_path_factory.mktemp("trained")
    for number in range(36):
        random = np.random.default_rng(number)
        bright = number % 2
        pixels = random.integers(0, 100, (16, 16, 3)) + 150 * bright
        split = ("train", "train", "val")[number // 2 % 3]
        place = folder / "shades" / split / ("dark", "bright")[bright] / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place)
    (folder / "shades" / "test" / "dark").mkdir(parents=True)
    (folder / "shades" / "test" / "dark" / "broken.png").write_bytes(b"nothing")
    carry_out("train", folder / "shades", folder / "m.keras", *WORDS)
    return folder


@pytest.fixture
def shades(trained, tmp_path):
    """A copy of the images."""
    shutil.copytree(trained / "shades", tmp_path / "shades")
    return tmp_path / "shades"


@pytest.fixture
def m_keras(trained, tmp_path):
    """A copy of the network, which WORDS have made of the images."""
    for name in ("m.keras", "m.keras.run.json"):
        shutil.copy2(trained / name, tmp_path)
    return tmp_path / "m.keras"


class StopsAfter(Progress):
    """Asks for an end after so many questions whether there is one."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    @contextmanager
    def deferred(self):
        def asked():
            self.left -= 1
            return 143 if self.left < 0 else None

        yield asked


def test_it_learns_and_its_network_is_taken(fne, shades, tmp_path):
    words = ("--model", SMALL.replace("units=8", "units=32,dropout=0"), "--epochs", 12, "--batch-size", 8)
    done = fne("train", shades, tmp_path / "m.keras", *words, "--learning-rate", 0.02, "--history", tmp_path / "h.csv")
    assert done.code == 0, done.err
    assert "24 images, 2 classes, 12 epochs" in done.err and "the weights of epoch 12 are kept" in done.err
    lines = list(csv.DictReader((tmp_path / "h.csv").open()))
    assert len(lines) == 12 and float(lines[-1]["val_accuracy"]) == 1 and float(lines[0]["learning_rate"]) == 0.02
    again = fne("train", shades, tmp_path / "m.keras", *words, "--learning-rate", 0.02)
    assert "is up to date: 12 epochs" in again.err
    again = json.loads(fne("train", shades, tmp_path / "m.keras", *words, "--learning-rate", 0.02, "--json").out)
    assert (again["up_to_date"], again["epochs"], again["kept"], again["bad"]) == (True, 12, 12, [])
    assert fne("extract", shades, tmp_path / "x.h5", "--model", tmp_path / "m.keras", "--max-bad", 1).code == 0
    told = json.loads(fne("info", tmp_path / "x.h5", "--json").out)["settings"]
    said = lineage_of(str(tmp_path / "m.keras"))
    assert told["weights_sha256"] == said["weights_sha256"] and told["preprocess"] == "tf"
    verified = fne("verify", tmp_path / "m.keras")
    assert (verified.code, "m.keras is good: network, " in verified.err) == (0, True)
    shown = fne("info", tmp_path / "m.keras").out
    assert said["weights_sha256"] in shown and 'classes      ["bright", "dark"]' in shown


def test_another_command_and_another_file_are_not_replaced(fne, shades, m_keras, tmp_path):
    (tmp_path / "other.keras").write_bytes(b"somebody's")
    for words in (WORDS, (*WORDS, "--overwrite")):
        assert fne("train", shades, tmp_path / "other.keras", *words).code == 4
    output = m_keras
    before = output.read_bytes()
    other = fne("train", shades, output, *WORDS, "--seed", 1)
    assert other.code == 4 and "settings.seed: 0 in the existing output, 1 asked for" in other.err
    assert output.read_bytes() == before
    assert fne("train", shades, output, *WORDS, "--seed", 1, "--overwrite").code == 0
    assert output.read_bytes() != before


def test_a_history_is_written_for_a_network_that_is_there(fne, shades, m_keras, tmp_path):
    before = m_keras.read_bytes()
    done = fne("train", shades, tmp_path / "m.keras", *WORDS, "--history", tmp_path / "h.csv")
    assert done.code == 0 and "up to date" in done.err and (tmp_path / "m.keras").read_bytes() == before
    assert len((tmp_path / "h.csv").read_text().splitlines()) == 3


@pytest.fixture(scope="module")
def whole(trained):
    """A training with all that changes from epoch to epoch, and the bytes of its network."""
    arguments = {
        "start": Start(SMALL),
        "rule": Rule("adamw", learning_rate=0.003, schedule="step"),
        "course": Course(epochs=4, batch_size=8, augment=("flip", "crop"), patience=2),
        "options": TrainOptions(),
    }
    train(str(trained / "shades"), trained / "whole.keras", **arguments)
    return arguments, (trained / "whole.keras").read_bytes()


@pytest.mark.parametrize(
    "questions", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow), 9]
)
def test_stopped_at_any_step_it_goes_on_to_the_same_bytes(shades, whole, tmp_path, questions):
    arguments, expected = whole
    with pytest.raises(Stopped) as stopped:
        train(str(shades), tmp_path / "m.keras", **arguments, progress=StopsAfter(questions))
    assert stopped.value.exit_code == 143
    assert checkpoint.place_of(tmp_path / "m.keras").exists() and not (tmp_path / "m.keras").exists()
    train(str(shades), tmp_path / "m.keras", **arguments)
    assert (tmp_path / "m.keras").read_bytes() == expected
    assert sorted(path.name for path in tmp_path.glob("m.*")) == ["m.keras", "m.keras.run.json"]


@pytest.mark.slow
def test_unfinished_work_of_another_command_is_kept(fne, shades, tmp_path):
    with pytest.raises(Stopped):
        train(str(shades), tmp_path / "m.keras", Start(SMALL), course=Course(2, 8), progress=StopsAfter(1))
    other = fne("train", shades, tmp_path / "m.keras", *WORDS, "--momentum", 0.5)
    assert other.code == 4 and "momentum: 0.9 in the existing output, 0.5 asked for" in other.err
    assert fne("train", shades, tmp_path / "m.keras", *WORDS).code == 0
    assert not checkpoint.place_of(tmp_path / "m.keras").exists()


@pytest.mark.slow
def test_killed_again_and_again_it_comes_to_the_same_bytes():
    """scripts/torture_train.py, in short."""
    program = [sys.executable, ROOT / "scripts" / "torture_train.py", "--kills", "3", "--epochs", "8"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["same"]


def test_frozen_layers_give_the_same_bytes_computed_once_or_in_every_epoch(fne, shades, m_keras, tmp_path):
    words = ("--from", m_keras, "--copy", 2, "--freeze", "--epochs", 2, "--batch-size", 8)
    once = fne("train", shades, tmp_path / "once.keras", *words, "-v")
    often = fne("train", shades, tmp_path / "often.keras", *words, "--cache", "1K")
    assert "the frozen layers are computed once" in once.err
    assert "would take 36.9 KB, more than --cache 1.0 KB" in often.err
    assert (tmp_path / "once.keras").read_bytes() == (tmp_path / "often.keras").read_bytes()
    said = lineage_of(str(tmp_path / "once.keras"))
    assert said["parent"]["weights_sha256"] == lineage_of(str(tmp_path / "m.keras"))["weights_sha256"]
    assert said["frozen"] == said["parent"]["copied"] == 2
    augmented = fne("train", shades, tmp_path / "a.keras", *words, "--augment", "flip")
    assert "computed in every epoch: --augment changes the images" in augmented.err


@pytest.mark.slow
def test_images_that_do_not_fit_are_decoded_again_to_the_same_bytes(fne, shades, tmp_path):
    assert fne("train", shades, tmp_path / "a.keras", *WORDS).code == 0
    done = fne("train", shades, tmp_path / "b.keras", *WORDS, "--memory", "1K")
    assert "decoded in every epoch" in done.err
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_patience_keeps_the_best_epoch(shades, tmp_path):
    rule, course = Rule(learning_rate=1e-9), Course(20, 8, patience=3)  # nothing gets better
    done = train(str(shades), tmp_path / "m.keras", Start(SMALL), rule, course)
    history = lineage_of(str(tmp_path / "m.keras"))["history"]
    ranked = [(one["val_accuracy"], -one["val_loss"]) for one in history]
    assert ranked[done.kept - 1] == max(ranked)
    assert done.epochs < 20 and done.epochs == done.kept + 3


def test_bad_images_are_left_out_as_they_are_allowed(fne, shades, tmp_path):
    (shades / "train" / "dark" / "99.png").write_bytes(b"no image")
    refused = fne("train", shades, tmp_path / "m.keras", *WORDS)
    assert refused.code == 3 and "1 of 37 images is bad" in refused.err and "--max-bad 1" in refused.err
    done = fne("train", shades, tmp_path / "m.keras", *WORDS, "--max-bad", 1)
    assert done.code == 0 and "24 images" in done.err and "train/dark/99.png" in done.err


def test_a_loss_that_is_not_finite_is_told_and_leaves_nothing(fne, shades, tmp_path):
    done = fne("train", shades, tmp_path / "m.keras", *WORDS, "--learning-rate", 1e30, "--optimizer", "sgd")
    assert done.code == 1 and "The loss should be finite. Found: it is not, in epoch" in done.err
    assert "Give a lower --learning-rate than 1e+30" in done.err
    assert list(tmp_path.glob("m.*")) == []


def test_lists_that_cannot_be_trained_on(fne, tmp_path):
    def told(*words):
        done = fne("train", tmp_path / "images", tmp_path / "m.keras", "--model", SMALL, *words)
        assert done.code == 1 and list(tmp_path.glob("m.*")) == []
        return done.err

    write_image(tmp_path / "images" / "1.png", 1)
    assert "should have training images with labels. Found: none" in told()
    write_image(tmp_path / "images" / "a" / "1.png", 1)
    assert "at least two classes among its training images. Found: 'a' alone" in told()
    (tmp_path / "images" / "1.png").unlink()
    (tmp_path / "images" / "a").rename(tmp_path / "a")
    for name in "ab":
        write_image(tmp_path / "images" / "test" / name / "1.png", 1)
    assert "should have a split train. Found: test" in told()
    for name in "ab":
        write_image(tmp_path / "images" / "train" / name / "1.png", 1)
    assert "--patience looks at validation images" in told("--patience", 1)
    done = fne("train", tmp_path / "images", tmp_path / "m.h5")
    assert done.code == 2 and "should end in .keras. Found: .h5" in done.err


def test_too_little_memory_is_told_before_the_work(fne, shades, tmp_path, monkeypatch):
    monkeypatch.setattr("fne_cli.steps.train.free_memory", lambda: 1000)
    done = fne("train", shades, tmp_path / "m.keras", *WORDS)
    assert done.code == 1 and "Training with batches of 8 images takes about" in done.err
    assert list(tmp_path.glob("m.*")) == []


def test_checkpoints_come_within_epochs(shades, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "WITHIN_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_SHARE", 0)
    seen = []
    monkeypatch.setattr(
        loop.checkpoint, "write", lambda output, head, arrays: seen.append((head["epoch"], head["step"]))
    )
    train(str(shades), tmp_path / "m.keras", Start(SMALL), course=Course(2, 8))
    assert {(0, 1), (0, 2), (1, 1), (1, 2)} <= set(seen)


def test_it_is_judged_by_test_images_that_choose_nothing(fne, shades, tmp_path):
    os.remove(shades / "test" / "dark" / "broken.png")
    for number in range(5):
        image = shades / "val" / ("dark", "bright")[number % 2]
        (shades / "test" / image.name).mkdir(exist_ok=True)
        next(iter(sorted(image.iterdir()))).rename(shades / "test" / image.name / f"{number}.png")
    plain, judged, told = tmp_path / "plain.keras", tmp_path / "judged.keras", tmp_path / "h.csv"
    assert fne("train", shades, plain, *WORDS).code == 0
    done = fne("train", shades, judged, *WORDS, "--judge", shades, "--history", told)
    assert done.code == 0 and "test accuracy" in done.err, done.err
    one, other = lineage_of(str(plain)), lineage_of(str(judged))
    assert one["weights_sha256"] == other["weights_sha256"] and other["images"]["test"] == 5
    line = list(csv.DictReader(told.open()))[-1]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(other["right"]), np.uint8))[:5]
    assert float(line["test_accuracy"]) == bits.mean()
    assert "should have images of split test" in fne("train", shades, tmp_path / "x.keras", *WORDS, "--judge",
                                                     shades / "train").err  # fmt: skip


def test_images_are_drawn_class_by_class(fne, shades, tmp_path):
    def images(*words):
        output = tmp_path / f"{len(list(tmp_path.iterdir()))}.keras"
        done = fne("train", shades / "train", output, *WORDS, "--batch-size", 4, *words)
        return lineage_of(str(output))["images"] if done.code == 0 else done.err

    assert images("--val", "25%", "--per-class", 5) == {"train": 10, "val": 6}
    assert images("--val", "25%") == {"train": 18, "val": 6}
    assert "should have 12 images to learn from" in images("--val", "25%", "--per-class", 12)
    assert "Did you mean dark?" in images("--classes", "darc,bright")
    assert "at least two classes" in images("--classes", "dark")
    assert "has one" in fne("train", shades, tmp_path / "x.keras", *WORDS, "--val", "25%").err


def test_a_class_draws_the_same_images_whatever_the_others(shades, tmp_path):
    def learned(per_class, *classes):
        listing = list_images(str(shades / "train"))
        selection = Selection(classes=classes, per_class=per_class, val=0.25, draw=3)
        chosen = choose(listing, "x", False, SILENT, selection)
        return {name for name, role in zip(chosen.listing.ids, chosen.roles, strict=True) if role == 0}

    (shades / "train" / "grey").mkdir()
    for number in range(9):
        write_image(shades / "train" / "grey" / f"{number}.png", number)
    few, more = learned(3, "dark", "bright"), learned(5, "dark", "grey")
    assert {name for name in few if "dark" in name} < {name for name in more if "dark" in name}


@pytest.mark.slow
def test_it_ends_before_its_schedule_does(fne, shades, tmp_path):
    words = ("--model", SMALL, "--batch-size", 8, "--epochs", 4)
    assert fne("train", shades, tmp_path / "whole.keras", *words).code == 0
    assert fne("train", shades, tmp_path / "part.keras", *words, "--max-epochs", 2).code == 0
    whole, part = (lineage_of(str(tmp_path / name)) for name in ("whole.keras", "part.keras"))
    assert part["epochs"] == 2 and part["history"] == whole["history"][:2]


def test_lists_of_two_kinds_go_together(shades, tmp_path):
    with tarfile.open(tmp_path / "test.tar", "w") as archive:
        archive.add(shades / "val", "test")
    listing = list_images(str(shades)).joined(list_images(str(tmp_path / "test.tar")), "both")
    decoded = DecodedImages(listing, Geometry(8, 8), 1)
    assert decoded.good.all() or [name for name, _ in decoded.bad] == ["test/dark/broken.png"]
    assert len(set(decoded.sha256)) < len(listing)  # those of val are there twice
