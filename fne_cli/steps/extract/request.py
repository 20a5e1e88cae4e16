"""One output, what it is to be made from, and whether it is there already: all that needs no network."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, TooManyBad, WrongFile
from fne_cli.images import contents
from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import Allowed, bad_summary
from fne_cli.machine import processors
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import Progress
from fne_cli.steps.extract.done import MOST, Asked, Extraction
from fne_cli.steps.extract.mixing import check_loss, check_software, comparable, other_images
from fne_cli.steps.extract.options import RunOptions
from fne_cli.steps.extract.precision import mending, without_precision
from fne_cli.steps.extract.sources import Source
from fne_cli.store.format.changes import image_changes
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images, Layer, differences, image_differences
from fne_cli.store.format.seal import intact
from fne_cli.store.many.known import identities
from fne_cli.store.output import aside
from fne_cli.store.output.aside import Unfinished
from fne_cli.store.output.estimate import SizeEstimate
from fne_cli.store.output.notes import read_record, record_path, write_json
from fne_cli.store.output.partial import Output
from fne_cli.store.output.replaceable import check_replaceable
from fne_cli.store.output.resume import check_same
from fne_cli.store.output.up_to_date import file_head
from fne_cli.tasks.listed import image_table


class ExtractionRequest:
    """The activations of `listing` by `recipe`; `part` says which shard of which listing this is.

    whole: the ids of all images, of which this is a shard. asked: what was found out before, if it was.
    """

    def __init__(
        self,
        listing: Listing,
        activations: Path,
        recipe: Recipe,
        options: RunOptions,
        part: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        whole: Sequence[str] = (),
        asked: Asked | None = None,
    ) -> None:
        self.listing, self.path, self.recipe, self.options, self.part = listing, activations, recipe, options, part
        self.allowed = Allowed.parse(options.max_bad)
        self.asked = asked or Asked.of(listing, recipe, part)
        self.inputs, self.state = inputs or self.asked.inputs, self.asked.inputs["state"]
        self.output = Output(activations, keep=True)
        self._whole = whole
        self.follows = False  # whether the output is there, of other images, and gives rows to the new one
        self._digests: list[str] | None = None

    def layers_of(self, source: Source) -> list[Layer]:
        """The layers of the file."""
        return [Layer(name, shape, np.dtype(self.recipe.dtype), attrs) for name, shape, attrs in source.columns()]

    def table(self) -> Images:
        """The image table before anything is read."""
        return image_table(self.listing)

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
            done = self._recorded(record.get("fingerprint"))
            if done is not None:
                self.output.tidy()
                self.asked.refresh(self.path)
                return done
        if not self.path.exists() and self.output.resumable:
            with self.output:
                if self.output.resumable and self.output.read_journal().get("complete") == self.inputs:
                    return self.accept(computed=0)
        return None

    def _recorded(self, fingerprint: object) -> Extraction | None:
        """The output if it has this fingerprint. What else it may be, `check_place` says."""
        with contextlib.suppress(WrongFile, DamagedFile), open_file(self.path, "activations") as file:
            if file.fingerprint == fingerprint:
                return Extraction(self.path, len(file.images), _bad(file.images), up_to_date=True)
        return None

    def check_known(self) -> None:
        """Raises DifferentOutput for what the options and the listing alone decide, before a network is loaded."""
        if not self.path.exists() or self.options.overwrite:
            return
        with open_file(self.path, "activations") as file:
            ours = without_precision(self.recipe)
            there = {name: file.settings[name] for name in {*ours, "decode"} if name in file.settings}
            check_same(self.path, differences(ours, there))
            known, count = int(file.images.good.sum()), len(self.listing)
            if 2 * count < known and not self._whole:
                raise other_images(self.path, f"{count:,} at most", known, count)

    def is_there(
        self, settings: Mapping[str, Any], versions: Mapping[str, str], progress: Progress, by_shards: bool = False
    ) -> Extraction | None:
        """The existing output if it is what would be made; None if there is none, or it is to be made anew.

        Of other images it is made anew, and `progress` is told what has changed. Raises DifferentOutput if it was made
        with other settings, if most of its images would be gone, or if `versions` of the software are others that its
        rows should not be mixed with. by_shards: the new one is to be made of shards, which must name one software.
        """
        options = self.options
        if not self.path.exists() or options.overwrite:
            return None
        with open_file(self.path, "activations") as file:
            check_same(self.path, differences(comparable(settings), comparable(file.settings)))
            bad = _bad(file.images)
            record = read_record(self.path)
            of_this = not options.recheck and record.get("fingerprint") == file.fingerprint
            known = record.get("inputs", {}).get("state") if of_this else None
            same_table = settings == file.settings and not image_differences(self.table(), file.images)
            if not same_table or known != self.state:
                changes = self._changes(file.images, same_table, progress)
                if changes is not None:
                    self.follows = True
                    wanted = self.wanted(progress)
                    check_loss(self.path, file.images, wanted, len(self.listing), frozenset(self._whole))
                    check_software(file, versions, None if by_shards else wanted, options.reuse)
                    progress.note("\n  ".join([f"{self.path} is made again, as its images have changed:", *changes]))
                    return None
            if options.dry_run or (options.retry_bad and bad):
                return None
            digest = file.fingerprint
        self.output.tidy()
        said = read_record(self.path)
        said = said if said.get("fingerprint") == digest else {}  # a record of another file says nothing of this one
        write_json(record_path(self.path), said | {"fingerprint": digest, "inputs": self.inputs})
        self.asked.refresh(self.path)
        return Extraction(self.path, len(self.listing), bad, up_to_date=True)

    def _changes(self, old: Images, same_table: bool, progress: Progress) -> list[str] | None:
        """How the images differ from those of the output, a line each; None if they do not.

        A bad image that is to be read again anyway may have changed.
        """
        now, was, good = self.digests(progress), list(old.sha256), old.good
        retried = self.options.retry_bad
        if same_table and all(
            ours == theirs or (retried and not good[number])
            for number, (ours, theirs) in enumerate(zip(now, was, strict=True))
        ):
            return None
        return image_changes(old, image_table(self.listing, now)).lines() or ["they stand in another order"]

    def digests(self, progress: Progress) -> list[str]:
        """The SHA-256 of every image, read once."""
        if self._digests is None:
            count = len(self.listing)
            progress.note(f"reading {count:,} images to see which of them are known")
            with progress.track(count, "images") as advance:
                self._digests = contents.read_digests(self.listing, self.options.workers or processors(), advance)
        return self._digests

    def wanted(self, progress: Progress) -> set[tuple[str, str]]:
        """What every image's row is known by."""
        return set(identities(self.digests(progress), self.listing.ids))

    def settle(self, settings: Mapping[str, Any], progress: Progress) -> None:
        """Set unfinished work of other images aside, for its rows; not in a dry run.

        Raises DifferentOutput if it has other settings.
        """
        if not self.output.resumable or self.options.overwrite:
            return
        work = Unfinished(self.output)
        ours = work.is_of(dict(settings), self.table(), comparable)
        if self.options.dry_run:
            return
        if ours:
            if work.journal["inputs"].get("state") == self.state:
                return
            skip = work.bad() if self.options.retry_bad else set()
            now = self.digests(progress)
            if all(now[number] == was or number in skip for number, was in enumerate(work.contents())):
                return
        safe = int(work.journal["committed"])
        kept = work.set_aside()
        progress.note(
            f"{self.path}: the images have changed since a run was interrupted; "
            + (f"what it has of the {safe:,} that are safe is used again" if kept else _less(self.path, safe))
        )

    def accept(
        self, wanted: SizeEstimate | None = None, seconds: float = 0.0, computed: int | None = None
    ) -> Extraction:
        """Give the complete OUTPUT.partial its final name if no more images are bad than are allowed."""
        output = self.output
        with open_file(output.partial, "activations") as file:
            count, bad, fingerprint = len(file.images), _bad(file.images), file.fingerprint
            status = file.images.status[~file.images.good]
        if len(bad) > self.allowed.limit(count):
            raise TooManyBad(
                f"{bad_summary(bad, count)}\n{output.path} is complete but has more bad images than --max-bad "
                f"{self.allowed.text} allows; it waits as {output.partial.name}.",
                bad=len(bad),
                mending=mending(self.recipe, status),
            )
        journal = output.read_journal()
        record = {
            "fingerprint": fingerprint,
            "images": count,
            "bad_images": len(bad),
            "inputs": journal["complete"],
            "runs": journal["runs"],
        }
        if count <= MOST:
            record["intact"] = intact(output.partial)
        aside.forget(output.path)  # before nobody comes here again
        output.accept(record)
        return Extraction(output.path, count, bad, estimate=wanted, seconds=seconds, computed=computed)


def _less(path: Path, safe: int) -> str:
    return f"its {safe:,} images that are safe are not kept: {aside.place_of(path).name}, of an earlier run, has more"


def _bad(images: Images) -> list[tuple[str, str]]:
    return [(images.path[number], images.message[number]) for number in np.flatnonzero(~images.good).tolist()]
