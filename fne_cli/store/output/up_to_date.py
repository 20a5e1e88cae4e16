"""Whether an output that exists is the one that would be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DifferentOutput, FneError, WrongFile
from fne_cli.store.format.claims import parse_json
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import FORMAT, MADE_BY, differences, fingerprint
from fne_cli.store.output.partial import Output, read_record
from fne_cli.store.output.record import file_state

_HDF5 = b"\x89HDF\r\n\x1a\n"


def up_to_date(
    path: Path, kind: str, settings: Mapping[str, Any], sources: Any, overwrite: bool, unlike: tuple[Path, ...] = ()
) -> bool:
    """Whether `path` already is the file with this fingerprint. Raises DifferentOutput if it is another one.

    `unlike` are the inputs: an output that is one of them is refused. So is, also with `overwrite`, what is no such
    output at all.
    """
    check_place(path, unlike, overwrite)
    if not path.exists():
        return False
    if overwrite:
        check_replaceable(path, kind)
        return False
    found = _json_head(path) if kind == "results" else file_head(path, kind)
    if found.get("fingerprint") == fingerprint(kind, settings, sources):
        return True
    lines = differences(
        {"settings": settings, "sources": _named(sources)},
        {"settings": found.get("settings", {}), "sources": _named(found.get("sources", []))},
    )
    raise DifferentOutput(
        f"{path} exists and was made with other inputs or settings:\n  "
        + "\n  ".join(lines or ["its fingerprint does not fit its settings"])
        + "\nWrite to another output, or give --overwrite to replace it."
    )


def check_place(path: Path, unlike: Sequence[Path], overwrite: bool) -> None:
    """Raises BadInput if the output is one of its inputs, DifferentOutput if fne extract has unfinished work there."""
    output = Output(path)
    for place in (output.path, output.partial):
        if any(_same(place, source) for source in unlike):
            raise BadInput(f"{place} is an input of this command. {path} cannot be its output.")
    if output.resumable and not overwrite:
        raise DifferentOutput(
            f"{output.partial} should not exist. Found: the unfinished work of fne extract.\n"
            "Finish that first, or write to another output; --overwrite discards it."
        )


def is_recorded(path: Path, digest: str, unlike: Sequence[Path], overwrite: bool, what: str) -> bool:
    """Whether an output that does not say itself what it is, a table for other tools, is the one with this digest.

    `Output.accept_noted` noted it beside the file. Raises as `check_place`, and DifferentOutput if it is not `what`;
    also with `overwrite` if it is an fne file that does say it.
    """
    check_place(path, unlike, overwrite)
    if not path.exists():
        return False
    if overwrite:
        found = _kind(path)
        if found in MADE_BY or found == "results":
            raise _not_replaced(path, "", f"an fne {found} file")
        return False
    record = read_record(path)
    if record.get("fingerprint") == digest and record.get("output") == file_state(path):
        return True
    raise DifferentOutput(
        f"{path} exists and is not {what}.\nWrite to another output, or give --overwrite to replace it."
    )


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _named(sources: Any) -> dict[str, Any]:
    return {str(number): source for number, source in enumerate(sources if isinstance(sources, list) else [sources])}


def file_head(path: Path, kind: str) -> dict[str, Any]:
    """Fingerprint, settings and sources of an existing output. Raises DifferentOutput if it is no such file."""
    try:
        with open_file(path) as file:
            if file.kind != kind:
                raise WrongFile(f"{path} should be an fne {kind} file. Found: kind={file.kind}.")
            return {"fingerprint": file.fingerprint, "settings": file.settings, "sources": file.sources}
    except FneError as error:
        check_replaceable(path, kind)
        raise DifferentOutput(f"{path} exists and is no such output. {error}\n--overwrite replaces it.") from error


def check_replaceable(path: Path, kind: str) -> None:
    """Raises DifferentOutput unless what stands there is of this kind, empty, or a file of ours that is damaged."""
    found = _kind(path)
    if found not in ("", kind):
        raise _not_replaced(path, kind, f"an fne {found} file" if found in MADE_BY or found == "results" else found)


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
        if not head:
            return ""
        if head != _HDF5 and path.suffix != ".h5":
            document = parse_json(path.read_bytes()) if head.lstrip()[:1] == b"{" else None
            says = [document.get(key) for key in ("format", "kind")] if isinstance(document, dict) else []
            return "results" if says == [FORMAT, "results"] else "not made by fne"
        with open_file(path, unfinished=True) as reader:
            return reader.kind
    except WrongFile:
        return "" if head != _HDF5 else "HDF5 of another origin or version"
    except (FneError, OSError):
        return ""
    except ValueError:
        return "not made by fne"


def _json_head(path: Path) -> dict[str, Any]:
    check_replaceable(path, "results")
    try:
        head = parse_json(path.read_bytes())
        if isinstance(head, dict) and isinstance(head.get("fingerprint"), str):
            return head
    except (OSError, ValueError):
        pass
    raise DifferentOutput(f"{path} exists and is not a result of fne evaluate. --overwrite replaces it.")
