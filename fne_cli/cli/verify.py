"""fne verify."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("file", type=options.FILE)
@options.as_json
def verify(progress: Console, as_json: bool, **values: Any) -> None:
    """Read all of FILE, and check that it is what was written.

    That is: checksums, fingerprint, row counts, ranges, and all that follows from
    the rest, such as the thresholds of fne analyze. FILE may also be results, a
    saved classifier, a network of fne train, or a table, page or manifest: of
    these all bytes are compared with the digest that was taken when it was made.

    \b
    Example: fne verify photos.h5 && rm -r photos/
    """
    from fne_cli.errors import DamagedFile
    from fne_cli.steps.verify import verify

    done = verify(progress=progress, **values)
    if as_json:
        options.print_json(done)
    if done.problems:
        raise DamagedFile(f"{done.path} is damaged:\n  " + "\n  ".join(done.problems))
    if not as_json:
        progress.note(f"{done.path} is good: {done.kind}, {done.rows:,} {done.unit}, {done.bytes:,} bytes")
