"""Daily work on a folder of one's own: a number in one command, more images, a class with another name, make twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

MAKEFILE = """\
page.html: results.json layers.json
	fne report results.json layers.json page.html --csv page.csv
results.json: codes-activations.h5
	fne evaluate codes-activations.h5 results.json --embedding fne --cv 3
layers.json: codes-activations.h5
	fne evaluate codes-activations.h5 layers.json --cv 3
codes-activations.h5: $(shell find photos) photos
	fne extract photos codes-activations.h5 --model mini
"""


@pytest.mark.slow
def test_from_a_folder_to_a_page_and_again(tmp_path):
    def run(*words):
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    def measured():
        with open(tmp_path / "results.json") as file:
            content = json.load(file)
        return content["images"], content["results"][0]["classes"], content["results"][0]["accuracy"]

    (tmp_path / "fne").write_text(f'#!/bin/sh\nexec {sys.executable} -m fne_cli "$@"\n')
    (tmp_path / "fne").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    run("fne", "sample", "digits", "sample")
    for name in "012":
        shutil.copytree(tmp_path / "sample" / "train" / name, tmp_path / "photos" / name)
        for image in sorted((tmp_path / "photos" / name).iterdir())[12:]:
            image.unlink()

    tried = run("fne", "try", "photos", "tried", "--model", "mini")
    assert "embedding" in tried.stdout and " %" in tried.stdout

    (tmp_path / "Makefile").write_text(MAKEFILE)
    first = run("make", "-j2")
    assert {"results.json", "layers.json"} <= {line.split("  ")[0] for line in first.stdout.splitlines()}
    before, classes, accuracy = measured()
    assert (classes, accuracy > 0.8) == (["0", "1", "2"], True)
    page = (tmp_path / "page.html").read_bytes()
    assert "Nothing to be done" in (again := run("make")).stdout or "up to date" in again.stdout
    assert (tmp_path / "page.html").read_bytes() == page

    for image in sorted((tmp_path / "sample" / "test" / "1").iterdir())[:10]:
        shutil.copy(image, tmp_path / "photos" / "1" / f"more-{image.name}")
    (tmp_path / "photos" / "2").rename(tmp_path / "photos" / "two")
    more = run("make")
    assert "10 images" in more.stderr and "page.html is made again" in more.stderr
    after, classes, _ = measured()
    assert (classes, after != before) == (["0", "1", "two"], True)
    assert "up to date" in run("make").stdout
