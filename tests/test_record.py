"""What is told of a run, beside the file and never in it."""

from __future__ import annotations

import os
import sys
from datetime import datetime

from fne_cli.store.record import file_state, new_run, plain, time_run
from fne_cli.store.software import software


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
