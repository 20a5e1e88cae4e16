"""What stands where the page is to be, and whether it may be replaced."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from fne_cli.errors import BadInput, DifferentOutput
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state
from fne_cli.store.output.up_to_date import check_place, follow, is_older, refresh_noted

ENDINGS = (".html", ".htm")
_START, _GENERATOR = b"<!DOCTYPE html>", b'<meta name="generator" content="fne '
_HEAD = 8192  # bytes; the generator stands behind the Content-Security-Policy


def check_name(page: Path, results: Sequence[Path]) -> None:
    """Raises BadInput if PAGE, the last of several paths, is not the name of a page: most likely it was left out."""
    if page.suffix.lower() not in ENDINGS:
        what = "the folder " if page.is_dir() else ""
        raise BadInput(
            f"PAGE, the last argument, should be a file to write that ends in .html or .htm. Found: {what}{page}.\n"
            f"Is PAGE missing? fne report {shlex.join(str(path) for path in [*results, page])} page.html"
        )
    if page.is_dir():
        raise BadInput(f"{page} should be a file to write. Found: a folder.")


def is_standing(
    page: Path, digest: str, records: str, origin: Origin, overwrite: bool, progress: Progress = SILENT
) -> bool:
    """Whether PAGE is the one of these results and these run records, by the digests of both.

    False for one of the same results and other records, or of the same files and options: it is made again. Raises
    DifferentOutput for another one unless `overwrite`, and always for what is not a page of fne report.
    """
    check_place(page, origin.paths, overwrite)
    if not page.exists():
        return False
    record = read_record(page)
    intact = "fingerprint" in record and file_state(page) in (record.get("output"), record.get("same_as"))
    if not intact and not _begins_as_ours(page):
        raise DifferentOutput(
            f"{page} exists and is not a page of fne report, so it is not replaced.\n"
            "Write to another output, or remove it first."
        )
    known = isinstance(record.get("settings"), dict) and isinstance(record.get("sources"), list)
    if not overwrite and intact and record["fingerprint"] != digest and known:
        follow(page, origin, {"network": None, **record}, progress)
        return False
    if not overwrite and not (intact and record["fingerprint"] == digest):
        raise DifferentOutput(
            f"{page} exists and is not the page of these results. Found: another one, or changed since.\n"
            "Write to another output, or give --overwrite to replace it."
        )
    done = not overwrite and record.get("records") == records
    if done:
        Output(page).tidy()
    if done and is_older(page, origin.paths):
        refresh_noted(page, record, file_state(page))
    return done


def _begins_as_ours(page: Path) -> bool:
    """Whether a file has the first lines of our pages, or is empty."""
    if not page.is_file():
        return False
    with open(page, "rb") as file:
        head = file.read(_HEAD)
    return not head or (head.startswith(_START) and _GENERATOR in head)
