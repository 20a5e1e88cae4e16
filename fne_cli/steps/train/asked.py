"""One network that is to be trained: what determines it, and whether it is there already. Needs no TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fne_cli.errors import WrongOptions
from fne_cli.images import contents
from fne_cli.machine import processors
from fne_cli.networks.catalog import known_name
from fne_cli.networks.preprocessing import spelled
from fne_cli.networks.saved.lineage import lineage_of
from fne_cli.networks.trained.building import DEFAULT, Start
from fne_cli.networks.trained.family import Family
from fne_cli.networks.trained.trainer import Rule
from fne_cli.progress import Progress
from fne_cli.steps.train.chosen import ChosenImages
from fne_cli.steps.train.options import Selection
from fne_cli.store.output import checkpoint
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, plain, sha256_of
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.training.course import Course
from fne_cli.training.unfinished import unfinished


class Asked:
    """Settings, sources and files of one training; `named` are those that stand for the images."""

    def __init__(
        self,
        output: Path,
        start: Start,
        rule: Rule,
        course: Course,
        selection: Selection,
        chosen: ChosenImages,
        named: Sequence[Path],
    ) -> None:
        if output.suffix.lower() != ".keras":
            raise WrongOptions(f"{output} should end in .keras. Found: {output.suffix or 'no ending'}.")
        self.output, self.start, self.chosen = output, start, chosen
        names = {"model": start.model, "from": start.source, "weights": start.weights}  # as the options are called
        self._files = {role: Path(name) for role, name in names.items() if name and os.path.isfile(name)}
        self._named = tuple(named)
        known = {role: _spelled(name) for role, name in names.items() if name and role not in self._files}
        said = {role: known.get(role, "file" if role in self._files else None) for role in names}
        if start.model is None and start.source is None:
            said["model"] = str(Family.parse(DEFAULT))
        prepared = None if start.preprocess is None else spelled(start.preprocess)
        begun = asdict(start)
        del begun["source"]
        later = {"max_epochs": course.max_epochs, **asdict(selection)}  # networks of before do not have these
        later["judge"] = True if selection.judge is not None else None  # which images these are is said by their bytes
        late = {name: value for name, value in later.items() if value not in (None, (), 0)}
        taught = {name: value for name, value in asdict(course).items() if name not in later}
        own = begun | said | {"preprocess": prepared} | asdict(rule) | taught
        self.settings: dict[str, Any] = plain(own | late)
        self._state = contents.state_digest(chosen.listing)
        self.inputs: dict[str, Any] = plain({
            "settings": self.settings,
            "files": {role: [str(path), file_state(path)] for role, path in self._files.items()},
            "listing": contents.listing_digest(chosen.listing),
            "state": self._state,
        })  # fmt: skip

    def origin(self, sha256: Sequence[str], kind: str = "network") -> Origin:
        """What the output is made from, given the SHA-256 of each image's bytes."""
        digest = hashlib.sha256(contents.listing_digest(self.chosen.listing).encode())
        digest.update("\n".join(sha256).encode())
        sources = [{"kind": "images", "sha256": digest.hexdigest()}]
        sources += [{"kind": role, "sha256": sha256_of(path)} for role, path in self._files.items()]
        inputs = {"images": self._named, **{role: (path,) for role, path in self._files.items()}}
        return Origin(kind, self.settings, sources, inputs)

    def is_there(self, history: Path | None, overwrite: bool, progress: Progress) -> tuple[bool, bool]:
        """Whether the network is there, and its history where one is asked for. Raises DifferentOutput.

        By sizes and times where the record has them; else all images are read.
        """
        if not self.output.exists() and (history is None or not history.exists()):
            for path in filter(None, (self.output, history)):
                Output(path).check_place()
            return False, history is None
        with progress.track(len(self.chosen.listing), "images read") as advance:
            sha256 = contents.read_digests(self.chosen.listing, processors(), advance)
        origin = self.origin(sha256)
        what = "the network that this command trains"
        there = is_recorded(self.output, origin.fingerprint, origin, overwrite, what, progress, ours=is_ours)
        if history is None:
            return there, True
        told = self.origin(sha256, "history")
        return there, is_recorded(history, told.fingerprint, told, overwrite, "its history", progress)

    def is_unchanged(self, history: Path | None, overwrite: bool) -> bool:
        """Whether the output is there as it was written, and nothing that it was made from has changed since."""
        if overwrite or history is not None or not self.output.is_file() or self.output.is_symlink():
            return False
        record = read_record(self.output)
        if record.get("inputs") != self.inputs or record.get("output") != file_state(self.output):
            return False
        Output(self.output).tidy()
        self.forget_checkpoint()
        return True

    def forget_checkpoint(self) -> None:
        """Remove one that a kill has left behind a finished output, unless somebody is at work on it."""
        if os.path.lexists(checkpoint.place_of(self.output)):
            with contextlib.suppress(Exception), Output(self.output):
                checkpoint.remove(self.output)

    def checkpoint(self, origin: Origin, overwrite: bool) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """What an interrupted run has left, of this very training. The lock is held.

        Raises DifferentOutput for one of another, DamagedFile; with `overwrite` such a one is removed.
        """
        return unfinished(self.output, origin.fingerprint, self.settings, overwrite)


def is_ours(path: Path) -> bool:
    """Whether a file is a network that fne has trained."""
    return lineage_of(str(path)) is not None


def _spelled(name: str) -> str:
    family = Family.parse(name)
    if family is not None:
        return str(family)
    if name in ("imagenet", "random", "cifar10"):
        return name
    return known_name(name) or name
