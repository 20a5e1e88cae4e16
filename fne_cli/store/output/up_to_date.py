"""Whether an output that exists is the one that would be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, FneError, WrongFile
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images
from fne_cli.store.format.text import parse_json
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.notes import is_older, read_record, record_path, refresh, refresh_noted, write_json
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, plain
from fne_cli.store.output.replaceable import JSON_KINDS, check_noted_replaceable, check_replaceable
from fne_cli.store.output.sealed import is_intact


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
    head = _json_head(path, origin.kind) if origin.kind in JSON_KINDS else file_head(path, origin.kind)
    if head["fingerprint"] == origin.fingerprint:
        confirm(path, origin, origin.fingerprint)
        return True
    follow(path, origin, head, progress)
    return False


def confirm(path: Path, origin: Origin, fingerprint: str) -> None:
    """Make whole what a kill has left of an output that is up to date: sweep, write a lost record, `refresh`."""
    if path.is_symlink():
        return  # to be read, not to be written
    Output(path).tidy()
    if not _has_record(path, fingerprint):
        # Where nothing may be written, or somebody else is at work, it was no worse before.
        with suppress(OSError, FneError), Output(path, keep=True):
            if not _has_record(path, fingerprint):
                write_json(record_path(path), {"fingerprint": fingerprint, **origin.noted(path)})
    refresh(path, origin.paths)


def _has_record(path: Path, fingerprint: str) -> bool:
    """Whether there is one, of this output or of the one that has just taken its place."""
    record = read_record(path)
    return record.get("fingerprint") == fingerprint or record.get("output") == file_state(path)


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
    path: Path,
    digest: str,
    origin: Origin,
    overwrite: bool,
    what: str,
    progress: Progress = SILENT,
    *,
    kind: str = "",
    ours: Callable[[Path], bool] | None = None,
) -> bool:
    """Whether an output that does not say itself what it is, a table for other tools, is the one with this digest.

    `Output.accept_noted` noted it beside the file, with `Origin.noted_whole`. As `up_to_date`, if the file is as it was
    written; raises DifferentOutput if it is not, or not `what`, also with `overwrite` if it is of no such `kind`
    (default: that of the origin): neither its record nor `ours`, which looks into the file, know it as one.
    """
    check_place(path, origin.paths, overwrite)
    if not path.exists():
        return False
    if overwrite:
        check_noted_replaceable(path, kind or origin.kind, ours)
        return False
    record = read_record(path)
    state = file_state(path)
    as_written = state in (record.get("output"), record.get("same_as"))
    if as_written and record.get("fingerprint") == digest:
        check_noted(path)
        Output(path).tidy()
        if is_older(path, origin.paths):
            refresh_noted(path, record, state)
        return True
    if as_written and isinstance(record.get("settings"), dict) and isinstance(record.get("sources"), list):
        follow(path, origin, {"network": None, **record}, progress)
        return False
    raise DifferentOutput(
        f"{path} exists and is not {what}.\nWrite to another output, or give --overwrite to replace it."
    )


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


def _json_head(path: Path, kind: str) -> dict[str, Any]:
    check_replaceable(path, kind)
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
    raise DifferentOutput(f"{path} exists and is not a result of {JSON_KINDS[kind]}. --overwrite replaces it.")
