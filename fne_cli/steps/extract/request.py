"""One output, what it is to be made from, and whether it is there already: all that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DifferentOutput, TooManyBad
from fne_cli.images import contents
from fne_cli.images.bad import Allowed, Status, bad_summary
from fne_cli.images.listing import Listing
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import Progress
from fne_cli.steps.extract.options import RunOptions
from fne_cli.steps.extract.sources import Source
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images, Layer
from fne_cli.store.output.estimate import SizeEstimate
from fne_cli.store.output.partial import Output, read_record, record_path, write_json
from fne_cli.store.output.record import file_state, plain
from fne_cli.store.output.resume import check_same
from fne_cli.store.output.up_to_date import check_replaceable, file_head


@dataclass(frozen=True)
class Extraction:
    """What became of an extraction: number of images, the bad ones as (path, message), whether it was up to date."""

    path: Path
    images: int
    bad: list[tuple[str, str]]
    up_to_date: bool = False
    estimate: SizeEstimate | None = None
    seconds: float = 0.0

    def bad_summary(self) -> str:
        """How many images are bad, and the first few with what was wrong."""
        return bad_summary(self.bad, self.images)


class ExtractionRequest:
    """The activations of `listing` by `recipe`; `part` says which shard of which listing this is."""

    def __init__(
        self,
        listing: Listing,
        activations: Path,
        recipe: Recipe,
        options: RunOptions,
        part: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
    ) -> None:
        self.listing, self.path, self.recipe, self.options, self.part = listing, activations, recipe, options, part
        self.allowed = Allowed.parse(options.max_bad)
        self.inputs = inputs or _inputs(recipe, listing, part)
        self.output = Output(activations, keep=True)

    def layers_of(self, source: Source) -> list[Layer]:
        """The layers of the file."""
        return [Layer(name, shape, np.dtype(self.recipe.dtype), attrs) for name, shape, attrs in source.columns()]

    def table(self) -> Images:
        """The image table before anything is read."""
        listing, count = self.listing, len(self.listing)
        return Images(
            path=listing.ids,
            split=listing.splits,
            label=listing.label_array(),
            classes=listing.classes,
            status=np.zeros(count, np.uint8),
            message=[""] * count,
            sha256=[""] * count,
        )

    def check_place(self) -> None:
        """Raises BadInput or DifferentOutput if the output cannot stand there."""
        self.output.check_place()
        if self.path.exists():
            look = check_replaceable if self.options.overwrite else file_head
            look(self.path, "activations")  # whatever else stands there is not ours to replace

    def already_done(self) -> Extraction | None:
        """The two ways to be done without the network, and so without TensorFlow: up to date, or to be accepted."""
        options = self.options
        if options.overwrite or options.retry_bad or options.recheck or options.dry_run:
            return None
        record = read_record(self.path)
        if self.path.exists() and record.get("inputs") == self.inputs:
            with open_file(self.path, "activations") as file:
                if file.fingerprint == record.get("fingerprint"):
                    return Extraction(self.path, len(file.images), _bad(file.images), up_to_date=True)
        if not self.path.exists() and self.output.resumable:
            with self.output:
                if self.output.resumable and self.output.read_journal().get("complete") == self.inputs:
                    return self.accept()
        return None

    def is_there(self, settings: Mapping[str, Any], table: Images, progress: Progress) -> Extraction | None:
        """The existing output if it is what would be made; None if there is none or bad images are to be read again.

        Raises DifferentOutput if it was made with other settings or from other images.
        """
        options = self.options
        if not self.path.exists() or options.overwrite or options.dry_run:
            return None
        known = None if options.recheck else read_record(self.path).get("inputs", {}).get("state")
        with open_file(self.path, "activations") as file:
            check_same(self.path, settings, file.settings, table, file.images)
            bad, digest = _bad(file.images), file.fingerprint
            repeated = set(np.flatnonzero(~file.images.good).tolist())
            self.check_contents(self.path, file.images.sha256, known, repeated, progress)
        if options.retry_bad and bad:
            return None
        write_json(record_path(self.path), read_record(self.path) | {"fingerprint": digest, "inputs": self.inputs})
        return Extraction(self.path, len(self.listing), bad, up_to_date=True)

    def check_contents(
        self,
        path: Path,
        sha256: Sequence[str],
        known_state: str | None,
        bad: set[int],
        progress: Progress,
    ) -> None:
        """Raises DifferentOutput if an image that `path` has is no longer the same; a bad one may be, to retry it."""
        if known_state == contents.state_digest(self.listing):
            return
        progress.note(f"reading {len(sha256):,} images to see whether they are the same")
        with progress.track(len(sha256), "images") as advance:
            changed = contents.changed_image(self.listing, sha256, advance, bad if self.options.retry_bad else ())
        if changed is not None:
            remedy = "Give --retry-bad to read the bad images again" if changed in bad else "Put the old image back"
            raise DifferentOutput(
                f"{path} was made from other images: {self.listing.ids[changed]} has changed since.\n"
                f"{remedy}, write to another output, or give --overwrite to make it again."
            )

    def accept(self, wanted: SizeEstimate | None = None, seconds: float = 0.0) -> Extraction:
        """Give the complete OUTPUT.partial its final name if no more images are bad than are allowed."""
        output = self.output
        with open_file(output.partial, "activations") as file:
            count, bad, fingerprint = len(file.images), _bad(file.images), file.fingerprint
            status = file.images.status[~file.images.good]
        if len(bad) > self.allowed.limit(count):
            raise TooManyBad(
                f"{bad_summary(bad, count)}\n{output.path} is complete but has more bad images than --max-bad "
                f"{self.allowed.text} allows; it waits as {output.partial.name}.",
                remedy=f"Accept it: the same command with --max-bad {len(bad)}. {_mending(self.recipe, status)}",
            )
        journal = output.read_journal()
        record = {
            "fingerprint": fingerprint,
            "images": count,
            "bad_images": len(bad),
            "inputs": journal["complete"],
            "runs": journal["runs"],
        }
        output.accept(record)
        return Extraction(output.path, count, bad, estimate=wanted, seconds=seconds)


def part_of(listing: Listing, number: int, count: int) -> dict[str, Any]:
    """What a shard says of itself: which one of how many, and of which listing."""
    return {"number": number, "of": count, "images": len(listing), "listing": contents.listing_digest(listing)}


def _inputs(recipe: Recipe, listing: Listing, part: dict[str, Any] | None) -> dict[str, Any]:
    """What was asked for, and the state of every file it names: if none of it changed, neither did the result."""
    files = [file_state(Path(name)) for name in recipe.files()]
    inputs: dict[str, Any] = plain({
        "request": recipe.as_dict() | {"shard": part, "files": files},
        "listing": contents.listing_digest(listing),
        "state": contents.state_digest(listing),
    })  # fmt: skip
    return inputs


def _mending(recipe: Recipe, status: np.ndarray) -> str:
    """What to do about bad images: those that a network has no finite numbers for are no worse than others."""
    infinite = status == Status.NOT_FINITE
    lines = [] if infinite.all() else ["Or mend the images and add --retry-bad."]
    if infinite.any():
        wider = [
            option
            for option, chosen in (("--dtype float32", recipe.dtype), ("--precision float32", recipe.precision))
            if chosen == "float16"
        ]
        lines.append(
            f"Or take numbers that go further: {' '.join(wider)}, with --overwrite."
            if wider
            else "A network that gives numbers that are not finite may be damaged, or want another --preprocess."
        )
    return "\n".join(lines)


def _bad(images: Images) -> list[tuple[str, str]]:
    return [(images.path[number], images.message[number]) for number in np.flatnonzero(~images.good).tolist()]
