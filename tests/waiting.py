"""Processes that a test waits for, and that wait for the test: what it does to them then hits them in the middle.

python waiting.py GO extract IMAGES OUTPUT ...    is `fne extract IMAGES OUTPUT ...`, held until the file GO is there
python waiting.py GO run CONFIG ...               is `fne run CONFIG ...`, held in its fifth step
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = __file__


def wait_for(event: Callable[[], object], process: subprocess.Popen) -> None:
    """Until it has happened; the process may not end without it."""
    while not event():
        assert process.poll() is None or event(), f"{process.args} ended too early, with {process.returncode}"
        time.sleep(0.05)


def committed(journal: Path) -> int:
    """How many images are safe; none without a journal, which goes when the file is finished."""
    try:
        return json.loads(journal.read_bytes())["committed"]
    except OSError:
        return 0


def hold(owner: type, method: str, calls: int, go: Path) -> None:
    """Let that many calls of a method pass; the later ones wait until the file is there."""
    original, number = getattr(owner, method), itertools.count()

    def held(*arguments, **more):
        if next(number) >= calls:
            given_up = time.monotonic() + 1800  # somebody has stopped the test
            while not go.exists() and time.monotonic() < given_up:
                time.sleep(0.01)
        return original(*arguments, **more)

    setattr(owner, method, held)


def hold_extraction(go: Path) -> None:
    """Each batch is committed, until the rows of the 21st are in the file and do not count yet."""
    from fne_cli.store import resume

    resume.COMMIT_SECONDS = -1.0
    hold(resume.Growing, "commit", 20, go)


def hold_run(go: Path) -> None:
    """Four steps are done, and the fifth has been told of."""
    from fne_cli.experiments.jobs import Job

    hold(Job, "perform", 4, go)


if __name__ == "__main__":
    from fne_cli.cli.main import main

    {"extract": hold_extraction, "run": hold_run}[sys.argv[2]](Path(sys.argv[1]))
    main(sys.argv[2:])
