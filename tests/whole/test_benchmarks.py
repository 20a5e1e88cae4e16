"""The benchmarks: what is too little to measure anything is said, without a traceback."""

from __future__ import annotations

import importlib
import importlib.util
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
@pytest.mark.parametrize("backend", ["tensorflow", "jax", *(["torch"] if importlib.util.find_spec("torch") else [])])
def test_the_benchmark_of_accelerators_runs_on_any_machine(tmp_path, backend):
    script = os.path.join(ROOT, "scripts", "bench_gpu.py")
    words = [sys.executable, script, "--smoke", "--backends", backend, "--json", "found.json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "found.json").read_text())
    found = figures[backend]
    ways = [(entry["precision"], entry["xla"]) for entry in found["networks"]]
    compiled = [False, True] if backend == "tensorflow" else [False]
    assert ways == [(precision, xla) for precision in ("float32", "bfloat16") for xla in compiled]
    assert all(entry["ours"] > 0 and entry["bare"] > 0 for entry in found["networks"])
    assert found["same_bytes_at_every_place"]["mini, float32"] is True
    assert found["pipeline"]["decoding"] > 0
    assert done.stdout.count("bar 0.95: ") == done.stdout.count("bar 0.7: ") == 2
    if backend == "torch":  # whose memory can be short on a processor, too
        assert found["memory"]["used"] < found["memory"]["rows"]
        assert found["memory"]["largest_difference"] < 1e-5
        assert figures["by hand"]["float32_per_second"] > 0
    elif not found["accelerators"]:
        assert found["memory"]["tried"].startswith("no: ")


def test_the_bars_of_accelerators_are_met_or_missed(monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(ROOT, "scripts"))
    tables = importlib.import_module("gpu_tables")

    def network(ours, bare, **more):
        return {"model": "vgg16", "precision": "float32", "rows": 32, "xla": False, "of_bare": ours / bare} | {
            **{"ours": ours, "bare": bare},
            **more,
        }

    figures = {
        "processor": "one",
        "tensorflow": {"networks": [network(95.0, 100.0), network(98.0, 200.0, rows=128, xla=True)]},
        "jax": {"networks": {"failed": "RuntimeError: no"}},
        "by hand": {"torch": "2", "float32_per_second": 130.0},
    }
    assert [line.split("  ")[-1].strip() for line in tables.verdicts(figures)] == [
        "0.49, bar 0.95: MISSED",
        "0.49, bar 0.7: MISSED",
    ]
    figures["jax"]["networks"] = [network(150.0, 155.0)]
    assert [line.split("  ")[-1].strip() for line in tables.verdicts(figures)] == [
        "0.97, bar 0.95: met",
        "0.75, bar 0.7: met",
    ]
    assert not tables.has_failed(figures)
    assert tables.has_failed(figures | {"torch": {"memory": {"failed": "RuntimeError: no"}}})
