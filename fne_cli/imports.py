"""Large libraries loaded without what costs them most of the time. A leaf like ``errors``."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_ours = False


def claim() -> None:
    """Say that this process runs a command of ours and nothing else, as the command line does."""
    global _ours  # noqa: PLW0603  # of the process, as what it has imported
    _ours = True
    # Modules are no garbage, and thousands of them are looked at for it again and again.
    gc.set_threshold(50_000, 20, 20)


@contextmanager
def lean(unwanted: Sequence[str] = ()) -> Iterator[None]:
    """While it is open, nobody looks for garbage, and nothing `unwanted` is found, if the process is ours alone.

    unwanted: packages that a library imports only because they are there. In somebody else's process they stay, as
    that library is theirs, too.
    """
    hidden = [name for name in unwanted if _ours and name not in sys.modules]
    collecting = gc.isenabled()
    gc.disable()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: as if it were not installed
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)
        if _ours:
            gc.freeze()  # what has been imported is no garbage
        if collecting:
            gc.enable()
