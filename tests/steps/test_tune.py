"""fne tune: the trials of fne evaluate, choices that see no test image, and the same bytes however often it stops."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from fne_cli.errors import DifferentOutput, Stopped
from fne_cli.progress import Progress
from fne_cli.steps.train import Course, Rule, Start, train
from fne_cli.steps.tune import LearningOptions, Protocol, Tuned, TuneOptions, tune
from fne_cli.store.other.results import read_results
from fne_cli.store.other.results.tested import same_images
from fne_cli.store.output import checkpoint
from fne_cli.trials.classification import ClassificationTask

SMALL = "vgg-mini:width=4,depth=2,units=12,dropout=0,image=16"
LEARNING = LearningOptions(epochs=2, batch_size=2, learning_rate=(0.01, 0.001), cost=(0.1,))
CURVE = Protocol(per_class=(1, 3), draws=2)


def shade(path, number, bright, spread=100):
    random = np.random.default_rng(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((random.integers(0, spread, (16, 16, 3)) + 100 * bright).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Dark and bright images in train/ and test/."""
    folder = tmp_path_factory.mktemp("shades")
    for number in range(24):
        shade(folder / ("train", "test")[number // 2 % 2] / ("dark", "bright")[number % 2] / f"{number:02d}.png",
              number, number % 2)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def network(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "n.keras"
    train(str(images), path, Start(SMALL), Rule(learning_rate=0.01), Course(2, 4))
    return path


class StopsAfter(Progress):
    """Asks for an end after so many questions whether there is one; notes what is said."""

    def __init__(self, questions: int) -> None:
        self.left, self.said = questions, []

    def note(self, text):
        self.said.append(text)

    detail = note

    @contextmanager
    def deferred(self):
        def asked():
            self.left -= 1
            return 143 if self.left < 0 else None

        yield asked


def trials_of(monkeypatch):
    """The ids of the images of every trial that is made from here on."""
    found, make = [], ClassificationTask.of.__func__

    def of(cls, source, protocol, seed, progress):
        task = make(cls, source, protocol, seed, progress)
        names = np.array(source.images.path)
        found.append([[names[part].tolist() for part in (one.train, one.test, one.validation)] for one in task.trials])
        return task

    monkeypatch.setattr(ClassificationTask, "of", classmethod(of))
    return found


@pytest.mark.parametrize(
    "words", [("--per-class", "1,3", "--draws", 2, "--seed", 3), pytest.param(("--cv", 2), marks=pytest.mark.slow)]
)
def test_it_trains_and_measures_what_evaluate_does(fne, images, network, tmp_path, monkeypatch, words):
    (tmp_path / "shades").symlink_to(images)
    monkeypatch.chdir(tmp_path)
    assert fne("extract", "shades", "a.h5", "--model", network).code == 0
    found = trials_of(monkeypatch)
    assert fne("evaluate", "a.h5", "e.json", "--embedding", "standardized", *words).code == 0
    own = ("--model", network, "--epochs", 1, "--batch-size", 2, "--learning-rate", 0.001, "-C", 0.1)
    done = fne("tune", "shades", "t.json", *own, *words)
    assert done.code == 0, done.err
    assert found[0] == found[1] and len(found[0]) in (2, 4)
    here, there = (read_results(tmp_path / name).entries for name in ("t.json", "e.json"))
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        assert same_images(one.right, other.right) and (one.per_class, one.trials) == (other.per_class, other.trials)
    again = fne("tune", "shades", "t.json", *own, *words)
    assert again.code == 0 and "t.json is up to date" in again.err and again.out == done.out


@pytest.mark.slow
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(images, network, tmp_path):
    curve = Protocol(per_class=(1, 3), draws=1)
    arguments = (Tuned(str(network), learn=("block2*", "fc*")), LEARNING, curve, TuneOptions())
    whole, own = tmp_path / "whole.json", tmp_path / "r.json"
    tune(str(images), whole, *arguments)
    for questions in (1, 6):
        with pytest.raises(Stopped) as stopped:
            tune(str(images), own, *arguments, progress=StopsAfter(questions))
        assert stopped.value.exit_code == 143 and not own.exists()
    head, _ = checkpoint.read(own)
    finished = set(head["finished"])
    assert finished
    last = StopsAfter(1000)
    tune(str(images), own, *arguments, progress=last)
    assert own.read_bytes() == whole.read_bytes()
    assert not finished & {line.rpartition(":")[0] for line in last.said}
    assert sorted(path.name for path in tmp_path.glob("r.*")) == ["r.json", "r.json.run.json"]


@pytest.mark.slow
def test_another_command_does_not_take_what_is_unfinished(images, network, tmp_path):
    tuned = Tuned(str(network))
    with pytest.raises(Stopped):
        tune(str(images), tmp_path / "r.json", tuned, LEARNING, CURVE, progress=StopsAfter(0))
    with pytest.raises(DifferentOutput, match=r"protocol.draws: 2 in the existing output, 1 asked for"):
        tune(str(images), tmp_path / "r.json", tuned, LEARNING, Protocol(per_class=(1, 3), draws=1))


@pytest.mark.slow
def test_frozen_layers_give_the_same_bytes_computed_once_or_in_every_epoch(images, network, tmp_path):
    arguments = (Tuned(str(network), learn=("fc1",)), LEARNING, Protocol())
    once, often = StopsAfter(1000), StopsAfter(1000)
    tune(str(images), tmp_path / "once.json", *arguments, progress=once)
    tune(str(images), tmp_path / "often.json", *arguments, TuneOptions(cache=10), progress=often)
    assert any("are computed once" in line for line in once.said)
    assert any("computed in every epoch" in line for line in often.said)
    assert (tmp_path / "once.json").read_bytes() == (tmp_path / "often.json").read_bytes()


def test_what_is_chosen_does_not_depend_on_test_images(images, network, tmp_path):
    """With other test images, and other labels of theirs, the choice and the weights are the same."""
    other = tmp_path / "other"
    for path in images.glob("train/*/*"):
        place = other / path.relative_to(images)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    for number in range(12):
        shade(other / "test" / ("bright", "dark")[number % 2] / f"{number}.png", 100 + number, number % 2, 30)
    arguments = (Tuned(str(network)), LearningOptions(epochs=1, batch_size=2, cost=(0.01, 1.0)))
    first, second = (
        tune(str(folder), tmp_path / f"{number}.json", *arguments).results["results"][0]
        for number, folder in enumerate((images, other))
    )
    assert first["choice"]["by"] == "a fifth of the training images of each class"
    assert len(first["choice"]["scores"]) == 3 and len(first["choice"]["heads"]) == 2
    keys = ("choice", "C", "learning_rate", "weight_decay", "training_loss")
    assert {key: first[key] for key in keys} == {key: second[key] for key in keys}
    assert first["accuracy"] != second["accuracy"]


@pytest.mark.slow
def test_a_rate_that_diverges_is_not_chosen(fne, images, network, tmp_path):
    words = ("--model", network, "--epochs", 1, "--batch-size", 2, "-C", 0.1)
    done = fne("tune", images, tmp_path / "r.json", *words, "--learning-rate", "1e30,0.001", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["results"][0]
    assert found["learning_rate"] == 0.001 and "the loss is not finite" in done.err
    assert [one["score"] is None for one in found["choice"]["scores"]] == [True, False]
    none = fne("tune", images, tmp_path / "n.json", *words, "--learning-rate", "1e30,1e31")
    assert none.code == 1 and "Give a lower --learning-rate" in none.err and not (tmp_path / "n.json").exists()


def test_from_scratch_and_with_one_image_of_a_class(fne, images, tmp_path):
    words = ("--scratch", "--model", SMALL, "--epochs", 1, "--batch-size", 4, "--per-class", 1, "--draws", 1)
    done = fne("tune", images, tmp_path / "r.json", *words, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    (trial,) = found["results"][0]["each_trial"]
    assert found["results"][0]["name"] == "network from scratch" and found["made_from"]["weights"] == "drawn"
    assert trial["learning_rate"] == 0.01 and trial["choice"]["by"].startswith("nothing: no image can be left out")
    shown = fne("report", tmp_path / "r.json", tmp_path / "page.html")
    assert shown.code == 0, shown.err


def test_options_that_do_not_go_together(fne, images, tmp_path):
    def told(*words):
        done = fne("tune", images, tmp_path / "r.json", *words)
        assert done.code in (1, 2) and not list(tmp_path.glob("r.*"))
        return done.err

    assert "--scratch has none" in told("--scratch", "--head", "svm", "--model", SMALL)
    assert "-C is the cost of --head svm. Found: --head random" in told("--head", "random", "-C", 1, "--model", "mini")
    assert "--cv makes its own splits" in told("--model", "mini", "--cv", 2, "--per-class", 1)
    assert "numbers of 0 or more, such as 0,0.0005" in told("--model", "mini", "--weight-decay", "-1")
    assert "has no weights to begin with. Give --scratch" in told("--model", "vgg-mini")
    assert "Give fewer with --per-class" in told("--model", "mini", "--per-class", 99)
