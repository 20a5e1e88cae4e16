"""The figures of a page as a table for LaTeX, in a file of its own, once, and again only if asked to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from fne_cli.errors import BadInput
from fne_cli.figures.contents import Group
from fne_cli.figures.latex import table
from fne_cli.progress import Progress
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded

_KIND = "table for LaTeX"


def check_table(path: Path | None) -> None:
    """Raises BadInput unless it is the name of a file for LaTeX."""
    if path is not None and path.suffix.lower() != ".tex":
        raise BadInput(
            f"--latex {path} should be a file to write that ends in .tex. Found: {path.suffix or 'no ending'}."
        )


def is_typeset(path: Path, digest: str, origin: Origin, overwrite: bool, progress: Progress) -> bool:
    """Whether the table of a page with this digest is there. Raises DifferentOutput for another file."""
    what = "the table of these results. Found: another one, or changed since"
    return is_recorded(path, _of_table(digest), origin, overwrite, what, progress, kind=_KIND)


def typeset_into(path: Path, groups: Sequence[Group], digest: str, origin: Origin) -> None:
    """Write the table."""
    with Output(path) as output:
        output.into.write_text(table(groups), encoding="utf-8", errors="backslashreplace")
        noted = origin.noted_whole(path) | {"kind": _KIND}
        output.accept_noted({"fingerprint": _of_table(digest), **noted})


def _of_table(digest: str) -> str:
    return hashlib.sha256(f"latex {digest}".encode()).hexdigest()
