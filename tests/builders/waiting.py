"""Processes that a test waits for, and that wait for the test: what it does to them then hits them in the middle.

python waiting.py GO extract IMAGES OUTPUT ...    is `fne extract IMAGES OUTPUT ...`, held until the file GO is there
python waiting.py GO run CONFIG ...               is `fne run CONFIG ...`, held in its fifth step
"""

from __future__ import annotations

import itertools
import json
import math
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


def wait(go: Path) -> None:
    given_up = time.monotonic() + 1800  # somebody has stopped the test
    while not go.exists() and time.monotonic() < given_up:
        time.sleep(0.01)


def hold_extraction(go: Path) -> None:
    """100 images are committed; the rows of 50 more are in the file, and do not count yet."""
    from fne_cli.store.output import resume

    resume.COMMIT_SECONDS = math.inf
    add, images = resume.Growing.add, 0

    def held(growing, rows, status, *more):
        nonlocal images
        before, images = images, images + len(status)
        add(growing, rows, status, *more)
        if before < 100 <= images:
            growing.commit()
        if images >= 150:
            wait(go)

    resume.Growing.add = held


def hold_run(go: Path) -> None:
    """Four steps are done, and the fifth has been told of."""
    from fne_cli.experiments.jobs import Job

    perform, number = Job.perform, itertools.count(1)

    def held(*arguments):
        if next(number) == 5:
            wait(go)
        perform(*arguments)

    Job.perform = held


if __name__ == "__main__":
    from fne_cli.cli.main import main

    {"extract": hold_extraction, "run": hold_run}[sys.argv[2]](Path(sys.argv[1]))
    main(sys.argv[2:])
