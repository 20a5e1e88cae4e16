"""The images on both sides of a search: those that are looked for, and those among which they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongFile
from fne_cli.numerics.codes.packed import Rows
from fne_cli.progress import Progress
from fne_cli.steps.search.asked import list_asked
from fne_cli.steps.search.network import QueryImages
from fne_cli.steps.search.options import SearchOptions
from fne_cli.store.format.schema import BOTH, comparable, differences, moments_of
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.predictions import label_names
from fne_cli.vectors.options import KINDS
from fne_cli.vectors.vectors import Vectors

_TOLD = 8  # differences
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Listed:
    """Some images: path, label ("" for none, several with semicolons between them), split, SHA-256 ("" if unknown)."""

    path: Sequence[str]
    label: Sequence[str]
    split: Sequence[str]
    sha256: Sequence[str]

    def __len__(self) -> int:
        return len(self.path)


def listed(files: JoinedFiles, numbers: np.ndarray) -> Listed:
    """Images of files by their ascending numbers."""
    images, chosen = files.images, numbers.tolist()
    columns = ([column[number] for number in chosen] for column in (images.path, images.split, images.sha256))
    path, split, sha256 = columns
    return Listed(path, label_names(np.asarray(images.label)[numbers], images.classes), split, sha256)


@dataclass(frozen=True)
class Sides:
    """Both sides. own: for each query the image among the others that it is itself, -1 for none; None for no such.

    name, other: what the sides are called. sources: kinds and fingerprints of what QUERIES add to those of FEATURES.
    """

    queries: Listed
    others: Listed
    own: np.ndarray | None
    name: str
    other: str
    sources: list[dict[str, str]]
    paths: tuple[Path, ...]
    asked: Asked

    def kept(self, places: np.ndarray) -> Sides:
        """With some of the queries only, which are images of files."""
        columns = (self.queries.path, self.queries.label, self.queries.split, self.queries.sha256)
        queries = Listed(*([column[place] for place in places.tolist()] for column in columns))
        own = None if self.own is None else self.own[places]
        return replace(self, queries=queries, own=own, asked=replace(self.asked, numbers=self.asked.numbers[places]))

    def rows(self, vectors: Vectors, progress: Progress) -> tuple[Rows, Rows]:
        """The vectors of the queries, and of the others."""
        others = vectors.rows(self.asked.others)
        if (
            self.asked.images is None
            and self.asked.files is None
            and np.array_equal(self.asked.numbers, self.asked.others)
        ):
            return others, others
        return self.asked.rows(vectors, progress), others


@dataclass(frozen=True)
class Asked:
    """Where the vectors of the queries come from: images by number of FEATURES or of other files; or pictures."""

    numbers: np.ndarray
    others: np.ndarray
    files: JoinedFiles | None = None
    images: QueryImages | None = None

    def part(self, start: int, stop: int) -> Asked:
        """Some of the queries, which are images of files."""
        return replace(self, numbers=self.numbers[start:stop])

    def rows(self, vectors: Vectors, progress: Progress) -> Rows:
        """The vectors of the queries."""
        if self.images is not None:
            computed = self.images.rows(progress)
            count = len(next(iter(computed.values()))) // vectors.crops
            return vectors.of_rows(computed).rows(np.arange(count))
        own = vectors if self.files is None else vectors.of_files(self.files)
        return own.rows(self.numbers)


def open_sides(
    files: JoinedFiles,
    vectors: Vectors,
    paths: Sequence[str],
    options: SearchOptions,
    memory: int,
    stack: ExitStack,
    progress: Progress,
) -> Sides:
    """Both sides of a search in `files`; paths: QUERIES, none for images of the files themselves.

    Raises BadInput or WrongFile for what cannot be compared.
    """
    among, chosen = _chosen(files, "--among", options.among)
    others = np.flatnonzero(chosen)
    there = listed(files, others)
    if not paths:
        name, chosen = _chosen(files, "--queries", options.queries)
        numbers = np.flatnonzero(chosen)
        own = np.full(len(files), -1)
        own[others] = np.arange(len(others))
        return Sides(listed(files, numbers), there, own[numbers], name, among, [], (), Asked(numbers, others))
    if is_features(paths[0]):
        given = stack.enter_context(JoinedFiles([Path(path) for path in paths], *KINDS))
        check_alike(files, given, [layer.name for layer in vectors.layers])
        numbers = np.flatnonzero(given.good)
        return Sides(
            listed(given, numbers), there, None, given.name, among,
            [{**source, "kind": f"queries, {source['kind']}"} for source in given.sources()],
            given.paths, Asked(numbers, others, files=given),
        )  # fmt: skip
    listing = list_asked(paths, options.root)
    images = QueryImages(listing, files, vectors, options, memory)
    digests = images.digests(progress)
    count = len(listing)
    labels = ["" if not row else ";".join(row) for row in listing.labels]
    content = hashlib.sha256(repr(list(zip(listing.ids, digests, strict=True))).encode("utf-8", "backslashreplace"))
    queries = Listed(listing.ids, labels, listing.splits, digests)
    source = [{"kind": "queries, images", "fingerprint": content.hexdigest()}]
    return Sides(
        queries, there, None, f"{count:,} images", among, source, (), Asked(np.arange(count), others, images=images)
    )


def _chosen(files: JoinedFiles, role: str, name: str) -> tuple[str, np.ndarray]:
    try:
        return files.chosen(name)
    except BadInput as error:
        raise BadInput(error.problem.replace("--rows", role)) from error


def is_features(path: str) -> bool:
    """Whether a path is that of an HDF5 file."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_HDF5)) == _HDF5
    except OSError:
        return path.endswith((".h5", ".hdf5"))  # which is told better where it is opened


def check_alike(files: JoinedFiles, given: JoinedFiles, layers: Sequence[str]) -> None:
    """Raises WrongFile if the rows of `given` were not made like those of `files`."""
    if given.kind != files.kind:
        raise WrongFile(
            f"{given.name} should be an fne {files.kind} file, as {files.name} is one. Found: kind={given.kind}."
        )
    apart = differences(comparable(files.settings), comparable(given.settings), BOTH)
    if files.kind != "activations":
        apart += differences(_moments(files), _moments(given), BOTH)
    missing = [name for name in layers if name not in given.layers]
    apart += [f"layers: no {name} there" for name in missing[:3]]
    wide = [name for name in layers if name not in missing
            and given.layers[name][0].features != files.layers[name][0].features]  # fmt: skip
    apart += [f"layers: other numbers of features of {name}" for name in wide[:3]]
    if apart:
        apart.sort(key=lambda line: "layers" in line)  # there may be very many of these
        more = [f"and {len(apart) - _TOLD:,} more"] if len(apart) > _TOLD else []
        raise WrongFile(
            f"{given.name} (there) should have features made like those of {files.name} (here). Found:\n  "
            + "\n  ".join([*apart[:_TOLD], *more])
            + "\nExtract the queries with the same network and settings"
            + (", and encode them with the same moments." if files.kind != "activations" else ".")
        )


def _moments(files: JoinedFiles) -> dict[str, Any]:
    return moments_of(files.made_of())


def check_some(sides: Sides, files: JoinedFiles) -> None:
    """Raises BadInput if a side has no image."""
    for count, name in ((len(sides.queries), sides.name), (len(sides.others), sides.other)):
        if not count:
            raise BadInput(f"{files.name} should have good images of {name} to compare. Found: none.")
