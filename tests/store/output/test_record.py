"""What is told of a run, beside the file and never in it."""

from __future__ import annotations

import os
import sys
from datetime import datetime

import numpy as np
from activations import relu, table, write

from fne_cli.steps.analyze import analyze
from fne_cli.steps.discretize import discretize
from fne_cli.steps.normalize import normalize
from fne_cli.store.format.reader import open_file
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import file_state, new_run, plain, software, time_run


def test_a_run_as_it_begins_and_as_it_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fne", "extract"])
    run = new_run({"fne": "1"}, "GPU")
    assert (run["command"], run["software"], run["device"], run["images"]) == (
        ["fne", "extract"],
        {"fne": "1"},
        "GPU",
        0,
    )
    assert datetime.fromisoformat(run["started"]).utcoffset() is not None
    assert run["images_per_second"] is None
    run["images"] = 30
    time_run(run, 7.0)
    assert (run["seconds"], run["images_per_second"]) == (7.0, 4.286)
    time_run(run, 0.0)
    assert run["images_per_second"] is None


def test_plain_values_are_what_json_makes_of_them():
    assert plain({"size": (1, 2), "none": None}) == {"size": [1, 2], "none": None}


def test_the_state_of_a_file_is_its_size_and_time(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, 1_234_567_891))
    assert file_state(path) == {"bytes": 5, "mtime_ns": 1_234_567_891}


def test_software_leaves_out_what_is_not_installed():
    versions = software("click", "no-such-package")
    assert list(versions) == ["fne", "python", "numpy", "h5py", "click"]
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_every_streaming_step_leaves_a_record_that_fits_its_output(tmp_path):
    rng = np.random.default_rng(0)
    source = write(tmp_path / "a.h5", {"conv": relu(rng, 40, 3)}, table(40))
    normalize(source, tmp_path / "m.h5", standardized=tmp_path / "z.h5")
    discretize(source, tmp_path / "m.h5", tmp_path / "c.h5")
    analyze(source, tmp_path / "b.h5", random_classes=2)
    for name in ("m.h5", "z.h5", "c.h5", "b.h5"):
        record = read_record(tmp_path / name)
        with open_file(tmp_path / name) as file:
            assert record["fingerprint"] == file.fingerprint
            assert record["runs"][0]["software"] == file.software
        (run,) = record["runs"]
        assert run["images"] == 40
        assert run["seconds"] > 0
