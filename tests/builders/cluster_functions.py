"""Tasks for tests of the engine. Workers import this because the tests have Dask preload it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from fne_cli.clusters import worker
from fne_cli.errors import DifferentOutput, Stopped


def _double(settings, progress):
    return {"twice": settings["value"] * 2, "worker": os.getpid()}


def _refuse(settings, progress):
    raise DifferentOutput(f"{settings['value']} exists")


def _bug(settings, progress):
    return 1 / settings["value"]


def _die(settings, progress):
    """Dies in its first `deaths` attempts; each gets further by `step`."""
    log = Path(settings["log"])
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    attempts = len(log.read_text().split())
    with progress.track(100, "steps") as advance:
        advance(attempts * settings["step"])
    time.sleep(0.1)  # what it told is on its way
    if attempts <= settings["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempts


def _until_stopped(settings, progress):
    with progress.deferred() as asked, progress.track(100, "steps") as advance:
        Path(settings["log"]).write_text("begun")
        for _ in range(1000):
            advance(0)
            time.sleep(0.05)
            if asked() is not None:
                Path(settings["log"]).write_text("stopped")
                raise Stopped("stopped", 143)
    return "not stopped"


def _double_or_wait(settings, progress):
    return _until_stopped(settings, progress) if "log" in settings else _double(settings, progress)


def dask_setup(_worker):
    for name in ("double", "refuse", "bug", "die", "until_stopped", "double_or_wait"):
        worker.FUNCTIONS[name] = f"cluster_functions:_{name}"
