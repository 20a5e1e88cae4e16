"""Short forms of scripts/torture_extract.py, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from places import SCRIPTS

SCRIPT = SCRIPTS / "torture_extract.py"


def torture(*options: str) -> dict:
    done = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_sigkill_two_writers_and_a_full_disk():
    found = torture("--only", "kill,writers,disk", "--kills", "4", "--images", "300")
    assert found["kill"]["differing"] == 0
    assert found["kill"]["kills"] == 4
    assert found["writers"] == {"second_exit": 5, "first_exit": 0, "same_bytes": True}
    assert found["disk"]["first_exit"] == 1
    assert found["disk"]["exit_with_room"] == 0
    assert found["disk"]["same_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [50, 1000])
def test_bad_inputs_and_bit_flips(count):
    found = torture("--only", "bad,flip", "--bad", str(count), "--flips", "3", "--images", "40")
    bad = found["bad"]
    assert bad["good_rows_same"]
    assert bad["bad_rows_are_nan"]
    assert bad["bad_without_message"] == 0
    assert bad["surely_bad"] <= bad["found_bad"] <= bad["inputs"]
    assert (bad["exit"], bad["exit_with_max_bad"]) == (3, 0)
    assert found["flip"] == {"flips": 3, "found": 3}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_sigkills(seed):
    found = torture("--only", "kill", "--kills", "20", "--images", "800", "--seed", str(seed))
    assert found["kill"]["differing"] == 0
    assert found["kill"]["kills_after_a_commit"] > 0
