"""`fne` in forks of a process that has loaded its libraries and not used them, so that a start takes a moment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def start(
    arguments: Sequence[str], log: Path, prepare: Callable[[], None] = lambda: None, folder: Path | None = None
) -> int:
    """Fork a process that runs `fne ARGUMENTS`, in a folder if one is given; its id."""
    child = os.fork()
    if child:
        return child
    try:
        if folder is not None:
            os.chdir(folder)
        with open(log, "ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        from fne_cli.cli.main import main
        from fne_cli.store.output import resume

        resume.COMMIT_SECONDS = 0.1
        prepare()
        main(list(arguments))
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def wait(child: int) -> int:
    """The exit code of a child, -9 for one that was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def gone(child: int) -> bool:
    """Whether a child has ended; it can still be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def run(arguments: Sequence[str], log: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Run to the end; the exit code."""
    return wait(start(arguments, log, prepare))
