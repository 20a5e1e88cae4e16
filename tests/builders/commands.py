"""Commands in this process, and how they ended."""

from __future__ import annotations

import os
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from unittest import mock


@dataclass(frozen=True)
class Result:
    """Its exit code, and what it printed."""

    code: int
    out: str
    err: str


def carry_out(*words: object, at: Path | None = None) -> None:
    """Run a command that has to succeed, in the folder `at`: for what many tests begin with, and is made once."""
    from fne_cli.cli.main import main

    clean = {name: value for name, value in os.environ.items() if not name.startswith("FNE_")}
    with mock.patch.dict(os.environ, clean, clear=True), chdir(at or Path.cwd()):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            assert not end.code, f"{words}: exit code {end.code}"
