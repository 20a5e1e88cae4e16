"""Whether an output that exists is the one that would be made."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, FneError, WrongFile
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.claims import parse_json
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import FORMAT, MADE_BY, Images
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output, read_record, record_path, write_json
from fne_cli.store.output.record import file_state, plain
from fne_cli.store.output.sealed import is_intact

_HDF5 = b"\x89HDF\r\n\x1a\n"


def up_to_date(path: Path, origin: Origin, overwrite: bool, progress: Progress = SILENT) -> bool:
    """Whether `path` already is what this origin gives; False if it is to be made, or made again.

    An output of the same command whose inputs have changed is made again, and `progress` is told why. Raises
    DifferentOutput if another command made it, by other settings or of other files. An output that is one of its inputs
    is refused, and so is, also with `overwrite`, what is no such output at all.
    """
    check_place(path, origin.paths, overwrite)
    if not path.exists():
        return False
    if overwrite:
        check_replaceable(path, origin.kind)
        return False
    head = _json_head(path) if origin.kind == "results" else file_head(path, origin.kind)
    if head["fingerprint"] == origin.fingerprint:
        refresh(path, origin.paths)
        return True
    follow(path, origin, head, progress)
    return False


def refresh(path: Path, inputs: Iterable[Path]) -> None:
    """Give an output that is up to date, and its record, today's time if an input is newer.

    To make it would else be out of date for ever, and all that is made from it.
    """
    if is_older(path, inputs):
        with suppress(OSError):  # of somebody else, or where nothing may be written: it is as good as before
            os.utime(path)
            os.utime(record_path(path))


def is_older(path: Path, inputs: Iterable[Path]) -> bool:
    """Whether an input is newer than the output, as make looks at it."""
    with suppress(OSError, ValueError):
        return os.stat(path).st_mtime_ns < max(os.stat(one).st_mtime_ns for one in inputs)
    return False


def follow(path: Path, origin: Origin, head: Mapping[str, Any], progress: Progress, name: str = "") -> None:
    """Tell why an output that is another one now is made again. Raises DifferentOutput if it is another command's.

    name: what to call it, if that is not the file that the record stands beside.
    """
    name = name or str(path)
    if lines := origin.other_command(path, head, read_record(path)):
        raise DifferentOutput(
            f"{name} exists and was made with other inputs or settings:\n  "
            + "\n  ".join(lines)
            + "\nWrite to another output, or give --overwrite to replace it."
        )
    if head["sources"] == plain(list(origin.sources)) and head["settings"] == plain(dict(origin.settings)):
        raise DifferentOutput(
            f"{name} exists, and its fingerprint does not fit its settings.\nGive --overwrite to make it again."
        )
    with _table(path, origin) as old:
        lines = [f"{name} is made again, as its inputs have changed:", *origin.changes(head, old)]
        progress.note("\n  ".join(lines))


@contextmanager
def _table(path: Path, origin: Origin) -> Iterator[Images | None]:
    """The image table of an output that has one and can be read."""
    if origin.images is None:
        yield None
        return
    with ExitStack() as stack:
        old = None
        with suppress(FneError):
            old = stack.enter_context(open_file(path, origin.kind)).images
        yield old


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


def is_recorded(
    path: Path, digest: str, origin: Origin, overwrite: bool, what: str, progress: Progress = SILENT
) -> bool:
    """Whether an output that does not say itself what it is, a table for other tools, is the one with this digest.

    `Output.accept_noted` noted it beside the file, with `Origin.noted_whole`. As `up_to_date`, if the file is as it was
    written; raises DifferentOutput if it is not, or not `what`, also with `overwrite` if it is an fne file that does
    say what it is.
    """
    check_place(path, origin.paths, overwrite)
    if not path.exists():
        return False
    if overwrite:
        found = _kind(path)
        if found in MADE_BY or found == "results":
            raise _not_replaced(path, "", f"an fne {found} file")
        return False
    record = read_record(path)
    state = file_state(path)
    if record.get("fingerprint") == digest and state in (record.get("output"), record.get("same_as")):
        check_noted(path)
        if is_older(path, origin.paths):
            refresh_noted(path, record, state)
        return True
    if was_interrupted(record, path, digest):
        return False
    as_written = state in (record.get("output"), record.get("replaces"))
    if as_written and isinstance(record.get("settings"), dict) and isinstance(record.get("sources"), list):
        follow(path, origin, {"network": None, **record}, progress)
        return False
    raise DifferentOutput(
        f"{path} exists and is not {what}.\nWrite to another output, or give --overwrite to replace it."
    )


def refresh_noted(path: Path, record: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """As `refresh`, of a file that the record knows by its time; killed in between, it knows both times."""
    now = time.time_ns()
    with suppress(OSError):
        write_json(record_path(path), {**record, "output": {**state, "mtime_ns": now}, "same_as": state})
        os.utime(path, ns=(now, now))
        if file_state(path)["mtime_ns"] != now:  # a file system whose clock is coarser
            write_json(record_path(path), {**record, "output": file_state(path)})


def was_interrupted(record: Mapping[str, Any], path: Path, digest: str) -> bool:
    """Whether a process was killed as it gave `path` to the output of this digest: the old one stands there still."""
    return record.get("fingerprint") == digest and record.get("replaces") == file_state(path)


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def file_head(path: Path, kind: str) -> dict[str, Any]:
    """Fingerprint, settings, sources and network of an existing output. Raises DifferentOutput if it is no such."""
    try:
        with open_file(path) as file:
            if file.kind != kind:
                raise WrongFile(f"{path} should be an fne {kind} file. Found: kind={file.kind}.")
            network = file.settings if kind == "activations" else file.settings.get("activations")
            return {
                "fingerprint": file.fingerprint,
                "settings": file.settings,
                "sources": file.sources,
                "network": network,
            }
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
        wanted = (("fingerprint", str), ("settings", dict), ("sources", list))
        if isinstance(head, dict) and all(isinstance(head.get(name), kind) for name, kind in wanted):
            if head.get("version") != 1 and not is_intact(head):
                raise DamagedFile(
                    f"{path} should be as it was written. Found: text that has changed since.",
                    remedy="Fetch a good copy, or make it again with --overwrite.",
                )
            return {"network": head.get("made_from"), **head}
    except (OSError, ValueError):
        pass
    raise DifferentOutput(f"{path} exists and is not a result of fne evaluate. --overwrite replaces it.")
