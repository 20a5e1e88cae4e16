"""Derived files follow their inputs, as make expects: remade and said so; other settings or other files are refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import activations
import numpy as np
import pytest
from commands import Result
from pictures import write_image

from fne_cli.store.output import partial

LAYERS = {"conv": 6, "fc": 4}


def write_photos(path: Path, count: int = 24, seed: int = 1, classes: str = "abc", **settings: Any) -> Path:
    """Activations of so many images; those of a smaller count are among those of a larger one."""
    rng = np.random.default_rng(seed)
    rows = {name: activations.relu(rng, 60, width)[:count] for name, width in LAYERS.items()}
    table = activations.table(
        count,
        paths=[f"{number:02d}.png" for number in range(count)],
        split=["test" if number % 4 == 3 else "train" for number in range(count)],
        label=np.arange(count, dtype=np.int32) % 3,
        classes=list(classes),
        bad=[5],
    )
    path.unlink(missing_ok=True)
    return activations.write(path, rows, table, settings=settings)


# What is made, in this order: the output, and the words of the command.
STEPS: dict[str, list[str]] = {
    "moments.h5": ["normalize", "photos.h5", "moments.h5"],
    "scores.h5": ["normalize", "photos.h5", "other-moments.h5", "--standardized", "scores.h5"],
    "codes.h5": ["discretize", "photos.h5", "moments.h5", "codes.h5"],
    "behavior.h5": ["analyze", "photos.h5", "behavior.h5", "--random-classes", "3"],
    "cut.h5": ["discretize", "photos.h5", "moments.h5", "cut.h5", "--thresholds", "behavior.h5"],
    "results.json": ["evaluate", "codes.h5", "results.json", "--predictions", "p.csv", "--model", "model.npz"],
    "layers.json": ["evaluate", "photos.h5", "layers.json", "--embedding", "fne", "--thresholds", "behavior.h5"],
    "only.csv": ["evaluate", "codes.h5", "--predictions", "only.csv"],
    "only.npz": ["evaluate", "codes.h5", "--model", "only.npz"],
    "new.csv": ["predict", "model.npz", "codes.h5", "new.csv"],
    "codes.npz": ["export", "codes.h5", "codes.npz"],
    "codes.npy": ["export", "codes.h5", "codes.npy"],
    "codes.csv": ["export", "codes.h5", "codes.csv"],
    "codes.svm": ["export", "codes.h5", "codes.svm"],
    "codes.parquet": ["export", "codes.h5", "codes.parquet"],
    "figures": ["plot", "behavior.h5", "figures"],
    "page.html": ["report", "results.json", "page.html", "--predictions", "p.csv", "--figures", "charts"],
}
# What is drawn takes a while; pyarrow may be absent.
DRAWN = ("figures", "page.html")
QUICKEST = ("moments.h5", "cut.h5", "codes.csv", "p.csv")  # of tests of each output; the others are slow
OTHER_SETTINGS: dict[str, list[str]] = {
    "moments.h5": ["--rows", "all"],
    "scores.h5": ["--rows", "all"],
    "codes.h5": ["--thresholds", "-1,1"],
    "behavior.h5": ["--random-classes", "4"],
    "cut.h5": ["--packed"],
    "results.json": ["-C", "2"],
    "layers.json": ["--layers", "fc"],
    "only.csv": ["-C", "2"],
    "only.npz": ["-C", "2"],
    "new.csv": ["--rows", "train"],
    "codes.npz": ["--layers", "fc"],
    "codes.csv": ["--layers", "fc"],
    "codes.parquet": ["--layers", "fc"],
    "page.html": ["--title", "mine"],
}
TABLES = ("p.csv", "model.npz", "only.csv", "only.npz", "new.csv", "codes.npz", "codes.npy", "codes.csv", "codes.svm")
AGAIN = "made again, as its inputs have changed:"


class Made:
    """A folder where the steps have been made, and the command that runs in it."""

    def __init__(self, folder: Path, fne: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.fne, self.patch = folder, fne, monkeypatch

    def __call__(self, name: str, *more: str) -> Result:
        self.patch.chdir(self.folder)
        return self.fne(*STEPS[name], *more)

    def all(self, names: tuple[str, ...]) -> dict[str, Result]:
        return {name: self(name) for name in names}

    def content(self) -> dict[str, bytes]:
        """All files but the run records, which have times, and the page, which shows them."""
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in files
            if not path.name.endswith((".run.json", ".html"))
        }


QUICK = tuple(name for name in STEPS if name not in (*DRAWN, "codes.parquet"))


@pytest.fixture
def made(tmp_path: Path, fne: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    """made(names): the steps of these names, of photos.h5 as it is at first."""

    def make(names: tuple[str, ...] = QUICK, folder: str = "work", **photos: Any) -> Made:
        place = tmp_path / folder
        place.mkdir()
        write_photos(place / "photos.h5", **photos)
        result = Made(place, fne, monkeypatch)
        for name, done in result.all(names).items():
            assert done.code == 0, (name, done.err)
            assert AGAIN not in done.err
        return result

    return make


def some(*names: str) -> pytest.MarkDecorator:
    """A test of each of these outputs."""
    slow = pytest.mark.slow
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=() if name in QUICKEST else slow) for name in names]
    )


@pytest.mark.parametrize("names", [QUICK, pytest.param(tuple(STEPS), marks=pytest.mark.slow)], ids=["quick", "all"])
def test_all_that_is_made_of_a_file_follows_it(made, names):
    """Images came, and a class has another name: the bytes are those of a first run."""
    work = made(names)
    before = work.content()
    write_photos(work.folder / "photos.h5", 30, classes="abx")
    for name, done in work.all(names).items():
        assert done.code == 0, (name, done.err)
        assert AGAIN in done.err, name
    fresh = made(names, "fresh", count=30, classes="abx")
    after = work.content()
    assert after == fresh.content()
    assert [name for name in before if before[name] == after[name]] == []
    for name, done in work.all(names).items():
        assert done.code == 0, (name, done.err)
        assert AGAIN not in done.err, name
    assert work.content() == after


def test_what_is_said(made):
    work = made(("moments.h5", "codes.h5", "results.json", "codes.csv"))
    write_photos(work.folder / "photos.h5", 26, classes="abx")
    assert "moments.h5 is made again, as its inputs have changed:\n  other activations than it was made from: " \
        "photos.h5\n" in work("moments.h5").err  # fmt: skip
    said = work("codes.h5").err
    assert "codes.h5 is made again, as its inputs have changed:\n  2 images added: 24.png, 25.png\n" in said
    assert "1 class renamed: c -> x" in said
    assert "results.json is made again" in work("results.json").err
    assert "codes.csv is made again, as its inputs have changed:\n  other codes than it was made from: codes.h5" in (
        work("codes.csv").err
    )


def test_of_another_network_what_was_made_follows_too(made):
    """photos.h5 was extracted again, with other options, and the layers that all means are told."""
    work = made(("moments.h5", "codes.h5", "behavior.h5", "layers.json", "codes.npz"))
    write_photos(work.folder / "photos.h5", resize="crop")
    for name in ("moments.h5", "codes.h5", "behavior.h5", "layers.json"):
        done = work(name)
        assert done.code == 0, done.err
        assert 'resize: nothing before, "crop" now' in done.err, name


def test_splits_that_came_are_not_another_setting(made, tmp_path):
    """Without --rows it is all images, and then the training images; with --rows all it stays all."""
    work = made(())

    def photos(split: str) -> None:
        rows = {"fc": activations.relu(np.random.default_rng(2), 12, 4)}
        table = activations.table(12, split=[split if number % 3 else split and "test" for number in range(12)])
        (work.folder / "photos.h5").unlink()
        activations.write(work.folder / "photos.h5", rows, table)

    photos("")
    assert work("moments.h5").code == work("behavior.h5").code == 0
    photos("train")
    assert work("moments.h5").code == work("behavior.h5").code == 0
    photos("")
    assert work("moments.h5", "--rows", "all").code == 4, "the moments are of train"
    assert work("moments.h5").code == work("moments.h5", "--rows", "all").code == 0
    photos("train")
    assert work("moments.h5", "--rows", "all").code == 0
    assert work("moments.h5").code == 4, "the same images, and other rows"


@some(*OTHER_SETTINGS)
def test_other_settings_are_refused_whether_the_input_has_changed_or_not(made, name):
    work = made((*QUICK, *((name,) if name not in QUICK else ())))
    before = work.content()
    refused = work(name, *OTHER_SETTINGS[name])
    assert refused.code == 4, refused.err
    write_photos(work.folder / "photos.h5", 30)
    names = list(STEPS)
    for earlier in names[: names.index(name)]:
        if earlier in QUICK:
            work(earlier)
    refused = work(name, *OTHER_SETTINGS[name])
    assert refused.code == 4, refused.err
    assert "--overwrite" in refused.err or "Choose another" in refused.err
    if name not in DRAWN:
        assert (work.folder / name).read_bytes() == before[name]
    done = work(name)
    assert (done.code, AGAIN in done.err) == (0, True), done.err
    assert work(name, *OTHER_SETTINGS[name], "--overwrite").code == 0


@some("moments.h5", "scores.h5", "codes.h5", "behavior.h5", "layers.json", "new.csv", "codes.csv", "figures")
def test_another_file_is_not_the_input_that_has_changed(made, name):
    """Of another name; the same file under its own name is followed, also by another way to it."""
    work = made((*QUICK, *((name,) if name not in QUICK else ())))
    inputs = [word for word in STEPS[name][1:] if (work.folder / word).exists() and word != STEPS[name][-1]]
    first = inputs[0]
    write_photos(work.folder / "photos.h5", 30)
    names = list(STEPS)
    for earlier in names[: names.index(name)]:
        if earlier in QUICK and name in ("new.csv", "codes.csv", "figures"):
            work(earlier)
    shutil.copy(work.folder / first, work.folder / f"other-{first}")
    words = [f"other-{first}" if word == first else word for word in STEPS[name]]
    work.patch.chdir(work.folder)
    refused = work.fne(*words)
    assert refused.code == 4, refused.err
    seen = "../" if name in DRAWN else ""  # from the folder of the figures
    assert f": {seen}{first} in the existing output, {seen}other-{first} asked for" in refused.err
    words = [str(work.folder / ".." / "work" / first) if word == first else word for word in STEPS[name]]
    done = work.fne(*words)
    assert (done.code, AGAIN in done.err) == (0, True), done.err


@some(*TABLES)
def test_a_table_that_somebody_has_changed_is_not_replaced(made, name):
    """Neither when it would be up to date nor when it would follow."""
    step = "results.json" if name in ("p.csv", "model.npz") else name
    work = made(("moments.h5", "codes.h5", "results.json", *((step,) if step != "results.json" else ())))
    mine = (work.folder / name).read_bytes() + b" "
    (work.folder / name).write_bytes(mine)
    assert work(step).code == 4
    write_photos(work.folder / "photos.h5", 30)
    for earlier in ("moments.h5", "codes.h5"):
        assert work(earlier).code == 0
    if name == "new.csv":
        assert work("results.json").code == 0
    assert work(step).code == 4
    assert (work.folder / name).read_bytes() == mine
    if name.startswith("codes."):  # nothing in an export says whose it is, and its record knows another file
        assert work(step, "--overwrite").code == 4
        (work.folder / name).unlink()
    assert work(step, "--overwrite").code == 0


class Killed(BaseException):
    pass


@some("only.csv", "only.npz", "new.csv", "codes.csv", "codes.npz", "p.csv", "model.npz", "page.html")
def test_killed_while_a_table_that_is_made_again_gets_its_name(made, name, monkeypatch):
    """The record speaks of the new one, and the old one stands there: the same command makes it again."""
    step = "results.json" if name in ("p.csv", "model.npz") else name
    names = ("moments.h5", "codes.h5", "results.json", *((step,) if step != "results.json" else ()))
    work = made(names)
    old = (work.folder / name).read_bytes()
    write_photos(work.folder / "photos.h5", 30)
    for earlier in names[: names.index(step)]:
        assert work(earlier).code == 0

    def killed(source: Any, target: Any) -> None:
        if Path(target).name == name:
            raise Killed
        real(source, target)

    real = os.replace
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(partial.os, "replace", killed)
        work(step)
    assert (work.folder / name).read_bytes() == old
    done = work(step)
    assert done.code == 0, done.err
    fresh = made(names, "fresh", count=30)
    if name not in DRAWN:
        assert (work.folder / name).read_bytes() == (fresh.folder / name).read_bytes()
    again = work(step)
    assert (again.code, AGAIN in again.err) == (0, False)


def test_an_output_without_its_record_follows_the_same_network_and_no_other(made):
    """Nobody knows of which files it was."""
    work = made(("moments.h5",))
    (work.folder / "moments.h5.run.json").unlink()
    write_photos(work.folder / "photos.h5", 30)
    assert work("moments.h5").code == 0
    (work.folder / "moments.h5.run.json").unlink()
    write_photos(work.folder / "photos.h5", 30, resize="crop")
    refused = work("moments.h5")
    assert refused.code == 4
    assert 'resize: nothing in the existing output, "crop" asked for' in refused.err


# Shards


def write_shards(folder: Path, count: int, seed: int = 1) -> list[str]:
    rng = np.random.default_rng(seed)
    rows = {name: activations.relu(rng, 60, width)[:count] for name, width in LAYERS.items()}
    for path in folder.glob("shard*"):
        path.unlink()
    made = activations.shards(folder, rows, activations.table(count), 2)
    return [path.name for path in made]


def test_what_is_merged_follows_its_shards(made, fne):
    work = made(())
    shards = write_shards(work.folder, 12)
    work.patch.chdir(work.folder)
    assert fne("merge", *shards, "whole.h5").code == 0
    write_shards(work.folder, 14)
    done = fne("merge", *shards, "whole.h5")
    assert (done.code, "2 images added: " in done.err) == (0, True), done.err
    fne("merge", *shards, "fresh.h5")
    assert Path("whole.h5").read_bytes() == Path("fresh.h5").read_bytes()
    assert "up to date" in fne("merge", *shards, "whole.h5").err
    others = [shutil.copy(shard, f"other-{shard}") for shard in shards]
    write_shards(work.folder, 16)
    for shard, other in zip(shards, others, strict=True):
        os.replace(shard, other)
    refused = fne("merge", *others, "whole.h5")
    assert refused.code == 4, refused.err
    assert "shards: " in refused.err


def test_an_extraction_that_no_merge_has_made_is_not_replaced_by_one(made, fne):
    """It may have taken days; only what the same shards were merged to follows them."""
    work = made(())
    shards = write_shards(work.folder, 12)
    work.patch.chdir(work.folder)
    activations.write(
        Path("whole.h5"),
        {name: activations.relu(np.random.default_rng(5), 30, width) for name, width in LAYERS.items()},
        activations.table(30),
    )
    for record in (None, '{"inputs": {"state": "x"}, "runs": []}'):
        if record is not None:
            Path("whole.h5.run.json").write_text(record)
        before = Path("whole.h5").read_bytes()
        refused = fne("merge", *shards, "whole.h5")
        assert refused.code == 4, refused.err
        assert Path("whole.h5").read_bytes() == before


# Splits


def test_a_manifest_follows_the_images(fne, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        write_image(tmp_path / "photos" / "ab"[number % 2] / f"{number:02d}.png", number)
    words = ["split", "photos", "split.csv", "--per-class", "3"]
    assert fne(*words).code == 0
    assert "up to date" in fne(*words).err
    write_image(tmp_path / "photos" / "a" / "new.png", 99)
    done = fne(*words)
    assert done.code == 0, done.err
    assert "split.csv is made again, as its inputs have changed:\n  1 image added: a/new.png" in done.err
    fne("split", "photos", "fresh.csv", "--per-class", "3")
    assert (tmp_path / "split.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    assert fne(*words[:-1], "4").code == 4
    assert fne(*words, "--seed", "1").code == 4
    os.rename("photos", "others")
    assert fne("split", "others", *words[2:]).code == 0, "the images are the same"
    write_image(tmp_path / "others" / "b" / "more.png", 98)
    refused = fne("split", "others", *words[2:])
    assert (refused.code, "images: photos in the existing output, others asked for" in refused.err) == (4, True)
    os.rename("others", "photos")
    mine = Path("split.csv").read_text() + "\n"
    Path("split.csv").write_text(mine)
    assert fne(*words).code == 4
    assert Path("split.csv").read_text() == mine
    assert fne(*words, "--overwrite").code == 0


def test_folds_and_lists_follow(fne, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        write_image(tmp_path / "photos" / "ab"[number % 2] / f"{number:02d}.png", number)
    folds = ["split", "photos", "f.csv", "--folds", "3"]
    assert fne(*folds).code == 0
    Path("train.txt").write_text("a/00.png\nb/01.png\n")
    Path("test.txt").write_text("a/02.png\n")
    lists = ["split", "photos", "l.csv", "--list", "train=train.txt", "--list", "test=test.txt"]
    assert fne(*lists).code == 0
    write_image(tmp_path / "photos" / "a" / "new.png", 99)
    Path("test.txt").write_text("a/04.png\n")
    for words in (folds, lists):
        assert fne(*words).code == 0
        assert "up to date" in fne(*words).err
    assert "a/04.png" in next(line.split(",")[0] for line in Path("l.csv").read_text().splitlines() if "test" in line)
    fne("split", "photos", "g.csv", "--folds", "3")
    for number in (1, 2, 3):
        assert Path(f"f-{number}.csv").read_bytes() == Path(f"g-{number}.csv").read_bytes()


# make

MAKEFILE = """
FNE = {python} -m fne_cli
results.json: codes.h5
\t$(FNE) evaluate codes.h5 results.json
codes.h5: photos.h5 moments.h5
\t$(FNE) discretize photos.h5 moments.h5 codes.h5
moments.h5: photos.h5
\t$(FNE) normalize photos.h5 moments.h5
photos.h5: list.csv
\t$(FNE) extract list.csv photos.h5 --model {network} --preprocess tf --batch-size 4
"""


@pytest.mark.slow
def test_make_comes_through_while_images_are_added(network, tmp_path):
    (tmp_path / "Makefile").write_text(MAKEFILE.format(python=sys.executable, network=network))

    def make(count: int, name: str) -> subprocess.CompletedProcess[str]:
        lines = ["path,label,split"]
        for number in range(count):
            image = tmp_path / "photos" / f"{number:02d}.png"
            if not image.exists():
                write_image(image, number)
            lines.append(f"photos/{number:02d}.png,{name if number % 2 else 'b'},{'test' if number % 3 else 'train'}")
        (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
        return subprocess.run(["make"], cwd=tmp_path, capture_output=True, text=True)

    first = make(20, "a")
    assert first.returncode == 0, first.stderr
    assert "is up to date" in subprocess.run(["make"], cwd=tmp_path, capture_output=True, text=True).stdout
    for count, name in ((23, "a"), (23, "zebra"), (21, "zebra")):
        again = make(count, name)
        assert again.returncode == 0, again.stderr
        for output in ("photos.h5", "moments.h5", "codes.h5", "results.json"):
            assert f"{output} is made again, as its " in again.stderr, (count, name, output)
    (tmp_path / "fresh").mkdir()
    for name in ("list.csv", "Makefile"):
        shutil.copy(tmp_path / name, tmp_path / "fresh" / name)
    shutil.copytree(tmp_path / "photos", tmp_path / "fresh" / "photos")
    subprocess.run(["make"], cwd=tmp_path / "fresh", check=True, capture_output=True)
    found: Mapping[str, bytes] = {
        name: (tmp_path / "fresh" / name).read_bytes() for name in ("photos.h5", "moments.h5", "codes.h5")
    }
    for name, content in found.items():
        assert (tmp_path / name).read_bytes() == content, name
