"""fne try: from a folder to a number, again after changes, and what is wrong said with the command that mends it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from pictures import write_image

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """18 images of three classes, without splits, in the current folder."""
    for number in range(18):
        write_image(tmp_path / "own" / "abc"[number % 3] / f"{number:02d}.png", number)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own"


@pytest.fixture
def attempt(fne, network):
    """fne try with the small network."""
    return lambda *words: fne("try", "own", "--model", network, "--preprocess", "tf", *words)


def test_a_folder_without_splits_gives_what_its_commands_give(fne, attempt, own):
    first = attempt("--json")
    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert (found["folds"], [result["features"] for result in found["results"]][::2]) == (5, [38, 38])
    for line, result in zip(found["commands"][-3:], found["results"], strict=True):
        assert shlex.split(line)[:2] == ["fne", "evaluate"]
        words = [word for word in shlex.split(line)[1:] if not word.endswith(".json")]
        by_hand = json.loads(fne(*words, "--json").out)["results"]
        best = max(by_hand, key=lambda entry: entry["mean_per_class_accuracy"])
        assert {key: result[key] for key in best} == best
    again = attempt()
    assert (again.code, again.err) == (0, "own-fne/small is up to date\n")
    assert all(line in again.out for line in found["commands"])
    assert "by 5 stratified folds; the best of 3 layers was found by these same images" in again.out


def test_what_is_added_and_renamed_is_all_that_is_done(attempt, own):
    assert attempt().code == 0
    for number in range(18, 21):
        write_image(own / "abc"[number % 3] / f"{number}.png", number)
    added = attempt()
    assert added.code == 0, added.err
    assert "18 of them are known, 3 are computed" in added.err
    (own / "c").rename(own / "d")
    renamed = attempt("--json")
    assert "1 class renamed: c -> d" in renamed.err and "21 of them are known, 0 are computed" in renamed.err
    assert {result["test_rows"] for result in json.loads(renamed.out)["results"]} == {21}


def test_splits_that_are_there_are_used(attempt, own):
    for split, numbers in (("train", range(12)), ("test", range(12, 18))):
        for number in numbers:
            path = own / "abc"[number % 3] / f"{number:02d}.png"
            (own / split / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(own / split / path.parent.name / path.name)
    done = attempt("--json")
    found = json.loads(done.out)
    assert found["folds"] is None
    assert {(one["training_rows"], one["test_rows"]) for one in found["results"]} == {(12, 6)}


def test_the_advice_after_bad_images_is_a_command_that_works(fne, attempt, own):
    for number in range(2):
        (own / "a" / f"bad{number}.png").write_text("no image")
    refused = attempt()
    assert refused.code == 3
    advice = next(line for line in refused.err.splitlines() if line.startswith("Accept them: fne try "))
    words = shlex.split(advice.removeprefix("Accept them: fne "))
    accepted = fne(*words)
    assert accepted.code == 0 and "without 2 bad" in accepted.out
    for number in range(2):
        write_image(own / "a" / f"bad{number}.png", number + 50)
    assert "18 of them are known, 2 are computed" in attempt().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("own", "own/work"), 2, "WORK should not lie in the folder of the images. Found: own/work/vgg16"),
        (("own/a",), 1, "own/a should have images of two classes or more, a folder for each. Found: none."),
        (("own", "--model", "vgg61"), 1, "Did you mean vgg19?"),
        (("-",), 2, "Found: standard input."),
        (("own", "--cv", "1"), 2, "--cv"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(fne, own, words, code, said):
    result = fne("try", *words)
    assert result.code == code and said in result.err
    assert list(own.parent.iterdir()) == [own]
