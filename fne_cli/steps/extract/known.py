"""Which images of an extraction are known already: from the output itself, unfinished work, and what --reuse names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, DifferentOutput, WrongFile
from fne_cli.progress import Progress
from fne_cli.steps.extract.request import ExtractionRequest, check_software
from fne_cli.store.format.schema import Layer
from fne_cli.store.many.known import UNKNOWN, KnownRows
from fne_cli.store.output import aside


@dataclass(frozen=True)
class Known:
    """What is known of a listing's images.

    where: (n, 2) int64, file and image of each, -1 for those that are to be computed; None if nothing is known. sha256:
    of every image's bytes. versions: of the software, for the file to be.
    """

    store: KnownRows
    where: np.ndarray | None
    sha256: Sequence[str]
    versions: Mapping[str, str]

    @property
    def count(self) -> int:
        """Number of images that are known."""
        return 0 if self.where is None else int((self.where[:, 0] != UNKNOWN).sum())

    @property
    def told(self) -> dict[str, Any]:
        """For the record of the run: from which files how many rows come."""
        if self.where is None or not self.count:
            return {}
        counts = np.bincount(self.where[self.where[:, 0] != UNKNOWN, 0], minlength=len(self.store.files))
        names = [str(file.file.path) for file in self.store.files]
        return {"reused": {name: count for name, count in zip(names, counts.tolist(), strict=True) if count}}

    def unknown(self, first: int) -> np.ndarray:
        """The numbers of the images that are to be computed, from `first` on."""
        assert self.where is not None
        return first + np.flatnonzero(self.where[first:, 0] == UNKNOWN)

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Cut known images into as many as fit into memory."""
        for first in range(start, stop, self.store.block):
            yield first, min(first + self.store.block, stop)

    def rows(self, start: int, stop: int) -> tuple[dict[str, np.ndarray], Sequence[str]]:
        """The rows of images start ... stop - 1, all of them known, by layer; and their SHA-256. Raises DamagedFile."""
        assert self.where is not None
        try:
            return self.store.rows(self.where[start:stop]), self.sha256[start:stop]
        except DamagedFile as error:
            raise DamagedFile(
                error.problem,
                file=error.file,
                remedy="Its rows were to be used again. --overwrite without --reuse of it computes all images.",
            ) from error


@contextmanager
def known_rows(
    request: ExtractionRequest,
    layers: Sequence[Layer],
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    progress: Progress,
) -> Iterator[Known]:
    """What is known of the images of a request. Raises WrongFile for a file of --reuse that was made otherwise."""
    with KnownRows(layers, int(settings["crops"])) as store:
        named = request.options.reuse
        work = aside.find(request.path)
        for path in named:
            if work is not None and path.samefile(work.path):
                store.add(path, settings, work.count, work.skip)
                work = None
            else:
                store.add(path, settings)
        if request.follows and not any(request.path.samefile(path) for path in named):
            store.add(request.path, settings)
        if not request.options.overwrite and work is not None:
            _add_aside(store, work, settings)
        if not store.files:
            yield Known(store, None, [], versions)
            return
        digests = request.digests(progress)
        where = store.find(digests, request.listing.ids)
        computed = bool((where[:, 0] == UNKNOWN).any())
        own = dict(versions)
        for number, file in enumerate(store.files):
            if computed and file.file.path not in named:
                check_software(file.file, versions, request.wanted(progress), named)
            if not computed and request.part is None and (where[:, 0] == number).all():
                own = file.file.software  # nothing is computed here: it is the software of these rows
        yield Known(store, where, digests, own)


def _add_aside(store: KnownRows, work: aside.Aside, settings: Mapping[str, Any]) -> None:
    try:
        store.add(work.path, settings, work.count, work.skip)
    except WrongFile as error:
        raise DifferentOutput(
            f"{error}\nIt is the unfinished work of a run. Give the same settings or another output, or --overwrite to "
            "begin again."
        ) from error


def runs(numbers: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut ascending numbers where one is left out: (start, stop) places of numbers that follow each other."""
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    borders = [0, *cuts.tolist(), len(numbers)]
    yield from pairwise(borders)
