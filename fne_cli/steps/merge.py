"""shards -> activations: the file that one unsharded run would have written, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fne_cli.errors import DifferentOutput, FneError, WrongFile
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import differences
from fne_cli.store.many.alike import MissingShards, comparable
from fne_cli.store.many.merged import Shards, write_merged
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.replaceable import check_replaceable
from fne_cli.store.output.up_to_date import check_place, confirm, file_head, follow


@dataclass(frozen=True)
class Merged:
    """The file and how many images it has; how many of them are bad."""

    path: Path
    images: int
    bad: int
    up_to_date: bool = False


def merge(
    shards: Sequence[Path],
    activations: Path,
    *,
    batch_size: int = 32768,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Merged:
    """Join the files of `fne extract --shard 1/N ... N/N`, given in any order.

    Raises WrongFile if one is missing, repeated, or made with other settings or from another listing.
    """
    try:
        files = Shards(list(shards))
    except MissingShards as error:
        raise WrongFile(error.problem, remedy=_as_output(activations, shards[0])) from error
    with files:
        images, bad = len(files), int((~files.good).sum())
        origin = Origin(
            "activations",
            files.settings,
            [{"kind": "activations", "fingerprint": files.fingerprint()}],
            {"shards": files.paths},
            inherited=tuple(files.settings),
            network=files.settings,
            images=lambda: files.images,
        )
        if _is_there(origin, activations, overwrite, progress):
            return Merged(activations, images, bad, up_to_date=True)
        record = {"fingerprint": files.fingerprint(), **origin.noted(activations)}
        write_merged(files, activations, batch_size, progress, record)
        return Merged(activations, images, bad)


def _as_output(output: Path, other: Path) -> str:
    """What to say if a shard of the same extraction stands in the place of the output, else ""."""
    try:
        with open_file(output, "activations") as found, open_file(other, "activations") as shard:
            if "shard" not in found.settings or differences(comparable(shard), comparable(found)):
                return ""
            number, count = (found.settings["shard"][name] for name in ("number", "of"))
    except FneError:
        return ""
    return f"{output}, the last file named, is shard {number}/{count} and was taken for OUTPUT. Is OUTPUT missing?"


def _is_there(origin: Origin, path: Path, overwrite: bool, progress: Progress) -> bool:
    """As `up_to_date`, of a file whose fingerprint is that of its images, too; only what was merged follows."""
    check_place(path, origin.paths, overwrite)
    if not path.exists():
        return False
    if overwrite:
        check_replaceable(path, "activations")
        return False
    head = file_head(path, "activations")
    head["sources"] = [{"kind": "activations", "fingerprint": head["fingerprint"]}]
    if head["sources"] == origin.sources:
        confirm(path, origin, head["fingerprint"])
        return True
    if "made_from" not in read_record(path):  # an extraction that may have taken days is nobody's derived file
        apart = differences(origin.settings, head["settings"]) or ["the images are other ones, or have changed"]
        raise DifferentOutput(
            f"{path} exists and is another extraction, or was merged from nobody knows which files:\n  "
            + "\n  ".join(apart)
            + "\nWrite to another output, or give --overwrite to replace it."
        )
    follow(path, origin, head, progress)
    return False
