"""Tables for other tools, manifests, pages: OUTPUT.run.json says what they are, and has their SHA-256."""

from __future__ import annotations

from pathlib import Path

from fne_cli.errors import DamagedFile
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import file_state, sha256_of


def check_noted(path: Path) -> None:
    """Raises DamagedFile if a file that `accept_noted` accepted has other bytes now, although nobody wrote to it.

    Nobody did if it has the size and time that its record knows: who edits a manifest gives it another time. A file
    without a record is taken as it is.
    """
    record = read_record(path)
    if "sha256" not in record or not path.is_file():
        return
    if file_state(path) in (record.get("output"), record.get("same_as")) and sha256_of(path) != record["sha256"]:
        raise DamagedFile(
            f"{path} should be as fne wrote it. Found: bytes that have changed since.",
            remedy="Fetch a good copy, or make it again with --overwrite.",
        )
