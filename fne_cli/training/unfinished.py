"""The checkpoint that an interrupted training has left: its own is gone on with, another one's is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fne_cli.errors import DamagedFile, DifferentOutput
from fne_cli.store.format.schema import differences
from fne_cli.store.output import checkpoint


def unfinished(
    output: Path, fingerprint: str, settings: Mapping[str, Any], overwrite: bool
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What an interrupted run has left, head and arrays, of this very training; None if nothing. The lock is held.

    Raises DifferentOutput for one of another, DamagedFile; with `overwrite` such a one is removed.
    """
    try:
        found = checkpoint.read(output)
    except DamagedFile:
        if not overwrite:
            raise
        found = None
    if found is not None and found[0].get("fingerprint") == fingerprint:
        return found
    if found is not None and not overwrite:
        there = found[0].get("settings")
        lines = differences(dict(settings), there if isinstance(there, dict) else {})
        raise DifferentOutput(
            f"{checkpoint.place_of(output)} has the unfinished training of another command:\n  "
            + "\n  ".join(lines or ["other images, or another network to begin with"])
            + "\nFinish that first, or write to another output; --overwrite discards it."
        )
    checkpoint.remove(output)
    return None
