"""What stands where the page is to be, and whether it may be replaced."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fne_cli.errors import BadInput, DifferentOutput, FneError, WrongOptions
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output.notes import is_older, read_record, record_path, refresh_noted, write_json
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, plain, sha256_of
from fne_cli.store.output.up_to_date import check_place, follow

ENDINGS = (".html", ".htm")
_START, _GENERATOR = b"<!DOCTYPE html>", b'<meta name="generator" content="fne '
_HEAD = 8192  # bytes; the generator stands behind the Content-Security-Policy
_DIGEST = "[0-9a-f]{64}"
_MADE = re.compile(rf'<meta name="fne-made" content="({_DIGEST}) ({_DIGEST}) ({_DIGEST}) ({_DIGEST})">'.encode())
_UNSEALED = "0" * 64


@dataclass(frozen=True)
class Made:
    """What a page says in itself of what it is, so that a copy of it is known without its record, too.

    digest, records: as `is_standing` takes them. command: of the options and of the names of the results.
    """

    digest: str
    records: str
    command: str

    @classmethod
    def of(cls, digest: str, records: str, origin: Origin) -> Made:
        """Of a page that is to be made."""
        names = sorted(path.name for path in origin.inputs.get("results", ()))
        said = json.dumps([plain(dict(origin.settings)), names]).encode("utf-8", "backslashreplace")
        return cls(digest, records, hashlib.sha256(said).hexdigest())

    @property
    def unsealed(self) -> str:
        """For the head of the page, which `seal` then completes."""
        return " ".join((self.digest, self.records, self.command, _UNSEALED))


def seal(content: bytes, made: Made) -> bytes:
    """The page with the SHA-256 of its bytes in its head; it is taken where zeros stand in their place."""
    unsealed = made.unsealed.encode()
    sealed = unsealed.removesuffix(_UNSEALED.encode()) + hashlib.sha256(content).hexdigest().encode()
    return content.replace(unsealed, sealed, 1)


def _sealed(page: Path) -> Made | None:
    """What a page says of itself, None unless all of it is as it was written."""
    content = page.read_bytes() if page.is_file() else b""
    found = _MADE.search(content[:_HEAD])
    if found is None:
        return None
    start, end = found.span(4)
    whole = hashlib.sha256(content[:start] + _UNSEALED.encode() + content[end:]).hexdigest()
    return Made(*(part.decode() for part in found.groups()[:3])) if whole.encode() == found[4] else None


def check_name(page: Path, results: Sequence[Path]) -> None:
    """Raises WrongOptions if PAGE, the last of several paths, is not the name of a page: most likely it is missing."""
    if page.suffix.lower() not in ENDINGS:
        what = "the folder " if page.is_dir() else ""
        raise WrongOptions(
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
    copied = None if intact else _sealed(page)
    if copied is not None and not overwrite:
        return _is_copy(page, copied, Made.of(digest, records, origin), origin, progress)
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


def _is_copy(page: Path, copied: Made, made: Made, origin: Origin, progress: Progress) -> bool:
    """Whether a copy of a page, which no record here knows, is the one to be made; as `is_standing`."""
    if copied == made:
        with suppress(OSError, FneError):  # where nothing may be written it was no worse before
            state = {"output": file_state(page), "sha256": sha256_of(page)}
            noted = {"fingerprint": made.digest, "records": made.records, **origin.noted_whole(page), **state}
            write_json(record_path(page), noted)
        return True
    if copied.digest != made.digest and copied.command != made.command:
        raise DifferentOutput(
            f"{page} exists and is the copy of another page of fne report, of other results or options.\n"
            "Write to another output, or give --overwrite to replace it."
        )
    if copied.digest != made.digest:
        progress.note(f"{page} is made again, as its results have changed")
    return False


def _begins_as_ours(page: Path) -> bool:
    """Whether a file has the first lines of our pages, or is empty."""
    if not page.is_file():
        return False
    with open(page, "rb") as file:
        head = file.read(_HEAD)
    return not head or (head.startswith(_START) and _GENERATOR in head)
