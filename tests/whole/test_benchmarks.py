"""The benchmarks: what is too little to measure anything is said, without a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from places import ROOT

TOO_LITTLE = {
    "analyze": ("--images 50 --classes 100", "argument --images should be at least 200"),
    "cluster": ("--images 4", "--images should be at least 8, one for each worker and shard"),
    "decoding": ("--images 64", "should be a number, at least 128 (64 are for"),
    "extract": ("--section precision --images 96", "should be a number, at least 128 (64 make a turn"),
    "gpu": ("--backends theano", "--backends should be some of tensorflow, jax, torch. Found: theano"),
    "regions": ("folder --photos 1", "should be a number, at least 2"),
    "ridge": ("--rows 30", "should be a number, at least 200"),
    "scale": ("--images 10", "should be a number, at least 1,000"),
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


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_benchmark_of_accelerators_runs_on_any_machine(tmp_path, backend):
    script = os.path.join(ROOT, "scripts", "bench_gpu.py")
    words = [sys.executable, script, "--smoke", "--backends", backend, "--json", "found.json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())[backend]
    ways = [(entry["precision"], entry["xla"]) for entry in found["networks"]]
    compiled = [False, True] if backend == "tensorflow" else [False]
    assert ways == [(precision, xla) for precision in ("float32", "bfloat16") for xla in compiled]
    assert all(entry["ours"] > 0 and entry["bare"] > 0 for entry in found["networks"])
    assert found["same_bytes_at_every_place"]["mini, float32"] is True
    assert found["pipeline"]["decoding"] > 0
