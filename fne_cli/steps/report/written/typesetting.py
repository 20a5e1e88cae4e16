"""The figures of a page as tables for LaTeX and as CSV, in files of their own, once, and again only if asked to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from fne_cli.errors import WrongOptions
from fne_cli.figures.contents import Group
from fne_cli.figures.tables.latex import table
from fne_cli.progress import Progress
from fne_cli.steps.report.written.spreadsheet import comma_separated
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded

_MADE: dict[str, tuple[str, str, Callable[[Sequence[Group]], str]]] = {
    "latex": (".tex", "table for LaTeX", table),
    "csv": (".csv", "table of a page", comma_separated),
}
"""By option: the ending of the file, its kind in the record, and what makes it."""


class Typeset:
    """The table that an option asks for. Raises WrongOptions unless it is the name of such a file."""

    def __init__(self, option: str, path: Path) -> None:
        ending, self._kind, self._make = _MADE[option]
        self.option, self.path = option, path
        if path.suffix.lower() != ending:
            raise WrongOptions(
                f"--{option} {path} should be a file to write that ends in {ending}. "
                f"Found: {path.suffix or 'no ending'}."
            )

    def is_there(self, digest: str, origin: Origin, overwrite: bool, progress: Progress) -> bool:
        """Whether the table of a page with this digest is there. Raises DifferentOutput for another file."""
        what = "the table of these results. Found: another one, or changed since"
        return is_recorded(self.path, self._of_table(digest), origin, overwrite, what, progress, kind=self._kind)

    def write(self, groups: Sequence[Group], digest: str, origin: Origin) -> None:
        """Make the table."""
        with Output(self.path) as output:
            output.into.write_text(self._make(groups), encoding="utf-8", errors="backslashreplace", newline="")
            noted = origin.noted_whole(self.path) | {"kind": self._kind}
            output.accept_noted({"fingerprint": self._of_table(digest), **noted})

    def _of_table(self, digest: str) -> str:
        return hashlib.sha256(f"{self.option} {digest}".encode()).hexdigest()
