"""scripts/make_copies.py on small pictures: what it writes, twice the same, and that fne can read it."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from places import SCRIPTS


def make(*options: object) -> subprocess.CompletedProcess[str]:
    words = map(str, [sys.executable, SCRIPTS / "make_copies.py", *options])
    return subprocess.run(list(words), capture_output=True, text=True)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(generator.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "again.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def test_every_original_has_all_its_copies_and_the_same_seed_the_same_bytes(tmp_path, photographs):
    for name in ("one", "two"):
        done = make(photographs, tmp_path / name, "--images", 2, "--distractors", 2)
        assert done.returncode == 0, done.stderr
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two
    rows = list(csv.DictReader((tmp_path / "one" / "manifest.csv").open()))
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "original": 2, "distractor": 2, "crop": 18, "jpeg": 18, "blur": 8, "rotation": 12, "brightness": 8
    }  # fmt: skip
    assert {(row["kind"] in ("original", "distractor"), row["split"]) for row in rows} == {
        (True, "train"), (False, "test")
    }  # fmt: skip
    sources = [row["source"] for row in rows if row["split"] == "train"]
    assert len({(photographs / source).read_bytes() for source in sources}) == 4  # the copy and the broken one are out
    for row in rows:
        if row["kind"] == "original":
            assert (tmp_path / "one" / row["path"]).read_bytes() == (photographs / row["source"]).read_bytes()
        size = Image.open(tmp_path / "one" / row["path"]).size
        if row["kind"] == "crop":
            left = size[0] * size[1] / (30 * 40)
            assert left == pytest.approx(1 - int(row["change"].removeprefix("crop-")) / 100, abs=0.04)


def test_too_few_photographs_and_an_existing_folder_are_refused(tmp_path, photographs):
    done = make(photographs, tmp_path / "set", "--images", 5, "--distractors", 0)
    assert done.returncode == 1
    assert "should be 5 different images that can be read. Found: 4." in done.stderr
    assert not (tmp_path / "set").exists()
    done = make(photographs, photographs)
    assert done.returncode == 2
    assert "should be a new folder" in done.stderr
