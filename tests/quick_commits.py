"""For workers and commands of tests: an extraction commits ten times a second, so that kills hit work that counts.

With HOLD_COMMITS it stops after a commit until the file of that name is there, or until a signal asks it to end: what
a test does to it in between comes in time on the fastest machine.
"""

from __future__ import annotations

import os
import time


def prepare():
    from fne_cli.cli.console import Console
    from fne_cli.store import resume

    resume.COMMIT_SECONDS = 0.1
    if "HOLD_COMMITS" not in os.environ:
        return
    commit, on_signal, signals = resume.Growing.commit, Console._on_signal, []

    def commit_and_wait(growing):
        commit(growing)
        while not (signals or os.path.exists(os.environ["HOLD_COMMITS"])):
            time.sleep(0.05)

    def remember(console, number, frame):
        signals.append(number)
        on_signal(console, number, frame)

    resume.Growing.commit, Console._on_signal = commit_and_wait, remember


def dask_setup(_worker):
    prepare()
