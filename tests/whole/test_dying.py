"""Commands killed before every event of a file, and on disks that fill up at every size, each in a process of its own.

What `builders/dying.py` finds wrong, it prints: what is left lying around, other bytes, records that are lost or of
another file, an exit code that is not ours, a traceback, a crash.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dying import COMMANDS
from places import BUILDERS, ROOT
from real_files import write_all

LONG = ("report", "vocabulary", "features")
"""A page is rendered for seconds, words are learned for seconds, figures are drawn, and then all is written at once."""


def wrong(mode: str, folder: Path, step: int, *commands: str) -> tuple[list[dict], int]:
    """What went wrong, and how many runs there were."""
    write_all(folder, 24, shapes=((30,), (50,)))
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{BUILDERS}"}
    done = subprocess.run(
        [sys.executable, BUILDERS / "dying.py", mode, folder, str(step), *commands],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *found, total = map(json.loads, done.stdout.splitlines())
    return found, total["runs"]


@pytest.mark.parametrize(
    ("step", "commands"),
    [(10, ("npy",)), *(pytest.param(5 if name in LONG else 1, (name,), marks=pytest.mark.slow) for name in COMMANDS)],
)
def test_killed_at_any_event_the_next_run_makes_all_whole(tmp_path, step, commands):
    found, runs = wrong("kill", tmp_path, step, *commands)
    assert found == []
    assert runs > 2


@pytest.mark.parametrize(
    ("step", "commands"),
    [
        (24576, ("analyze",)),
        *(
            pytest.param(1 << 16 if name in LONG else 1 << 10, (name,), marks=pytest.mark.slow)
            for name in (*COMMANDS, "extract")
        ),
    ],
)
def test_a_disk_that_fills_up_at_any_size(tmp_path, step, commands):
    """A few kilobytes of a behavior file crashed HDF5 when the process ended."""
    found, runs = wrong("full", tmp_path, step, *commands)
    assert found == []
    assert runs > 1
