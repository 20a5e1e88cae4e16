"""One tuning that is asked for: what determines its results, and whether they are there. Needs no TensorFlow."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fne_cli.images import contents
from fne_cli.images.lists.listing import Listing
from fne_cli.machine import processors
from fne_cli.networks.catalog import known_name
from fne_cli.networks.preprocessing import spelled
from fne_cli.networks.trained.family import Family
from fne_cli.networks.trained.tuned import Tuned
from fne_cli.progress import Progress
from fne_cli.steps.tune.options import LearningOptions
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, plain, sha256_of
from fne_cli.store.output.up_to_date import up_to_date
from fne_cli.trials.protocol import Protocol


class Asked:
    """Settings, sources and files of one tuning; `images` is what was named, `listing` what stands there."""

    def __init__(
        self,
        output: Path,
        images: str,
        listing: Listing,
        tuned: Tuned,
        learning: LearningOptions,
        protocol: Protocol,
    ) -> None:
        self.output, self.listing, self.tuned, self.learning = output, listing, tuned, learning
        self.protocol = protocol
        names = {"model": tuned.model, "weights": tuned.weights}
        self._files = {role: Path(name) for role, name in names.items() if name and os.path.isfile(name)}
        self._named = (Path(images),) if os.path.exists(images) else ()
        family = Family.parse(tuned.model)
        said = {role: "file" if role in self._files else name for role, name in names.items()}
        if "model" not in self._files:
            said["model"] = str(family or known_name(tuned.model) or tuned.model)
        prepared = None if tuned.preprocess is None else spelled(tuned.preprocess)
        self.settings: dict[str, Any] = plain(
            asdict(tuned)
            | said
            | {"preprocess": prepared, "learn": list(tuned.learn)}
            | learning.described()
            | {"seed": learning.seed, "parts": "tuning", "embedding": "tuning", "protocol": protocol.described()}
        )
        self.inputs: dict[str, Any] = plain({
            "settings": self.settings,
            "files": {role: [str(path), file_state(path)] for role, path in self._files.items()},
            "listing": contents.listing_digest(listing),
            "state": contents.state_digest(listing),
            "split": protocol.sources(),
        })  # fmt: skip

    def origin(self, sha256: Sequence[str]) -> Origin:
        """What the results are made from, given the SHA-256 of each image's bytes."""
        digest = hashlib.sha256(contents.listing_digest(self.listing).encode())
        digest.update("\n".join(sha256).encode())
        sources = [{"kind": "images", "sha256": digest.hexdigest()}, *self.protocol.sources()]
        sources += [{"kind": role, "sha256": sha256_of(path)} for role, path in self._files.items()]
        inputs = {"images": self._named, **{role: (path,) for role, path in self._files.items()}}
        if self.protocol.split is not None:
            inputs["split"] = (self.protocol.split,)
        return Origin("results", self.settings, sources, inputs)

    def is_there(self, overwrite: bool, progress: Progress) -> bool:
        """Whether the results are there: by sizes and times where the record has them, else by reading all images.

        Raises DifferentOutput for those of another command.
        """
        output = self.output
        if not output.exists():
            Output(output).check_place()
            return False
        if not overwrite and not output.is_symlink():
            record = read_record(output)
            if record.get("inputs") == self.inputs and record.get("output") == file_state(output):
                Output(output).tidy()
                return True
        with progress.track(len(self.listing), "images read") as advance:
            sha256 = contents.read_digests(self.listing, processors(), advance)
        return up_to_date(output, self.origin(sha256), overwrite, progress)
