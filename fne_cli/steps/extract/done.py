"""An extraction that is done already: asked of the record and the bytes of the output, without HDF5 and NumPy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fne_cli.errors import DamagedFile
from fne_cli.images import contents
from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import Allowed, bad_summary
from fne_cli.networks.recipe import Recipe
from fne_cli.steps.extract.options import RunOptions
from fne_cli.store.format.seal import is_intact
from fne_cli.store.output.notes import read_record, refresh, touch
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, plain

if TYPE_CHECKING:
    from fne_cli.store.output.estimate import SizeEstimate

MOST = 1 << 15  # images of an output whose table is looked at whole


@dataclass(frozen=True)
class Extraction:
    """What became of an extraction: number of images, the bad ones as (path, message), whether it was up to date.

    computed: images that went through the network now, None if that is not known. classes, splits: how many images have
    a class, or split ("" for none).
    """

    path: Path
    images: int
    bad: list[tuple[str, str]]
    up_to_date: bool = False
    estimate: SizeEstimate | None = None
    seconds: float = 0.0
    computed: int | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)

    def bad_summary(self) -> str:
        """How many images are bad, and the first few with what was wrong."""
        return bad_summary(self.bad, self.images)


@dataclass(frozen=True)
class Asked:
    """What is asked for, as the record of an output has it (`inputs`), and the latest time of an image (`latest`, ns).

    named: the files that stand for the images on the command line, whose times count as those of the images do.
    """

    inputs: dict[str, Any]
    latest: int
    named: Sequence[Path]

    @classmethod
    def of(cls, listing: Listing, recipe: Recipe, part: dict[str, Any] | None, named: Sequence[Path] = ()) -> Asked:
        """Of a listing as it is on the disk now, of which every file is looked at. part: which shard of what it is."""
        state, latest = contents.states(listing)
        files = [file_state(Path(name)) for name in recipe.files()]
        inputs = plain({
            "request": recipe.as_dict() | {"shard": part, "files": files},
            "listing": contents.listing_digest(listing),
            "state": state,
        })  # fmt: skip
        return cls(inputs, latest, [*named, *map(Path, recipe.files())])

    def refresh(self, path: Path) -> None:
        """As `notes.refresh`, if the output is older than an image, or than what names the images and the network."""
        with contextlib.suppress(OSError):
            if os.stat(path).st_mtime_ns < self.latest:
                touch(path)
        refresh(path, self.named)


def part_of(listing: Listing, number: int, count: int) -> dict[str, Any]:
    """What a shard says of itself: which one of how many, and of which listing."""
    return {"number": number, "of": count, "images": len(listing), "listing": contents.listing_digest(listing)}


def recorded(output: Output, asked: Asked, images: int, options: RunOptions) -> Extraction | None:
    """The output if its record says that it is what is asked for, without bad images, and if no byte has changed.

    None says nothing: then HDF5 is to be asked. Raises BadInput as `Output.check_place`.
    """
    if options.overwrite or options.retry_bad or options.recheck or options.dry_run:
        return None
    Allowed.parse(options.max_bad)
    output.check_place()
    record = read_record(output.path)
    if record.get("inputs") != asked.inputs or (record.get("images"), record.get("bad_images")) != (images, 0):
        return None
    with contextlib.suppress(OSError, DamagedFile):
        if is_intact(output.path, record.get("intact")):
            output.tidy()
            asked.refresh(output.path)
            return Extraction(output.path, images, [], up_to_date=True)
    return None
