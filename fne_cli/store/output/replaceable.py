"""What may be replaced: what is of the kind that a command writes, what is empty, and what is ours and damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fne_cli.errors import DifferentOutput, FneError, WrongFile
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import FORMAT, MADE_BY
from fne_cli.store.format.seal import ends_sealed
from fne_cli.store.format.text import parse_json
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import file_state, sha256_of

_NAMES = {
    "predictions": "a table of predictions",
    "classifier": "a classifier of fne evaluate",
    "split": "a manifest as fne split writes it",
}
JSON_KINDS = {"results": "fne evaluate", "retrieval": "fne retrieve"}
"""Our JSON that says itself what it is, and what makes it."""
_HDF5 = b"\x89HDF\r\n\x1a\n"


def check_replaceable(path: Path, kind: str) -> None:
    """Raises DifferentOutput unless what stands there is of this kind, empty, or a file of ours that is damaged."""
    found = _kind(path)
    if found not in ("", kind):
        raise _not_replaced(path, kind, f"an fne {found} file" if found in MADE_BY or found in JSON_KINDS else found)


def _not_replaced(path: Path, kind: str, found: str) -> DifferentOutput:
    expected = f"an fne {kind} file" if kind else "of the kind that this command writes"
    return DifferentOutput(
        f"{path} exists, so it should be {expected} to be replaced. Found: {found}.\n"
        "Is the output missing among the files named? Else remove that file, or write to another one."
    )


def _kind(path: Path) -> str:
    """Of which kind a file is, "" if it is empty or damaged, or in a few words what it is if fne has not made it."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(_HDF5))
        if not head or (head != _HDF5 and ends_sealed(path)):
            return ""
        if head != _HDF5:
            return _json_kind(path) or "not made by fne"
        with open_file(path, unfinished=True) as reader:
            return reader.kind
    except WrongFile:
        return "HDF5 of another origin or version"
    except (FneError, OSError):
        return ""


def _json_kind(path: Path) -> str:
    """Which of `JSON_KINDS` a file says it is, "" for none."""
    content = path.read_bytes()
    try:
        document = parse_json(content) if content.lstrip()[:1] == b"{" else None
    except ValueError:
        return ""
    ours = isinstance(document, dict) and document.get("format") == FORMAT and document.get("kind") in JSON_KINDS
    return str(document["kind"]) if ours and isinstance(document, dict) else ""


def check_noted_replaceable(path: Path, kind: str, ours: Callable[[Path], bool] | None) -> None:
    """The same of a file that does not say itself what it is: its record does, or `ours`, which looks into it.

    A record counts if it is of the file as it is now.
    """
    found = _kind(path)
    if found in MADE_BY or found in JSON_KINDS:
        raise _not_replaced(path, "", f"an fne {found} file")
    if _is_empty(path) or is_known(path, kind) or (ours is not None and ours(path)):
        return
    expected = _NAMES.get(kind, f"the {kind} that fne has written, by its record and as it was written,")
    raise DifferentOutput(
        f"{path} exists, so it should be {expected} to be replaced. Found: another file.\n"
        "Is the output missing among the files named? Else remove that file, or write to another one."
    )


def is_known(path: Path, kind: str) -> bool:
    """Whether the record of a file has it as one of this kind, with its size and time, or its bytes."""
    record = read_record(path)
    as_written = file_state(path) in (record.get("output"), record.get("same_as"))
    # Older records say no kind. The times of a copy are others.
    return record.get("kind", kind) == kind and (as_written or record.get("sha256") == sha256_of(path))


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0
