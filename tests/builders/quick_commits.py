"""For workers and commands of tests: an extraction commits ten times a second, so that kills hit work that counts.

With HELD_UNTIL in the environment it waits in the middle until that file is there, as waiting.py says.
"""

from __future__ import annotations

import os
from pathlib import Path


def prepare():
    from fne_cli.store.output import resume

    resume.COMMIT_SECONDS = 0.1
    go = os.environ.get("HELD_UNTIL")
    if go and not Path(go).exists():
        from waiting import hold_extraction

        hold_extraction(Path(go))


def dask_setup(_worker):
    prepare()
