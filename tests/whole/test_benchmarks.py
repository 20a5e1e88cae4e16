"""The benchmarks: what is too little to measure anything is said, without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from places import ROOT

TOO_LITTLE = {
    "analyze": ("--images 50 --classes 100", "argument --images should be at least 200"),
    "cluster": ("--images 4", "--images should be at least 8, one for each worker and shard"),
    "extract": ("--section precision --images 96", "should be a number, at least 128 (64 make a turn"),
    "regions": ("folder --photos 1", "should be a number, at least 2"),
    "ridge": ("--rows 30", "should be a number, at least 200"),
    "search": ("--rows 5", "should be a number, at least 10"),
    "startup": ("--runs 0", "should be a number, at least 1"),
    "stream": ("--repeats no", "should be a number, at least 1. Found: no"),
    "svm": ("--repeats 0", "should be a number, at least 1"),
    "train": ("--images 8", "should be a number, at least 64 (a batch)"),
}


@pytest.mark.parametrize("name", TOO_LITTLE)
def test_a_benchmark_that_is_given_too_little_says_so(tmp_path, name):
    words, wanted = TOO_LITTLE[name]
    script = os.path.join(ROOT, "scripts", f"bench_{name}.py")
    done = subprocess.run([sys.executable, script, *words.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert wanted.removeprefix("argument ") in done.stderr
    assert "Traceback" not in done.stderr
