"""Which images are relevant for a query: those of its class, of its group in a manifest, or of a ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fne_cli.errors import BadInput, WrongFile
from fne_cli.images.lists.manifest import COLUMNS, LABEL, read_manifest
from fne_cli.store.format.text import parse_json
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.unprintable import plain
from fne_cli.vectors.items import Items, picture_of

SETUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("hard", "junk")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("easy", "junk")),
}
"""What is relevant and what is junk in each: F. Radenovic et al., "Revisiting Oxford and Paris", CVPR 2018."""
_MOST_BYTES = 1 << 30


class Relevance(Protocol):
    """What is relevant, in each of its set-ups: what results are given for, "" alone if there is one way only."""

    @property
    def setups(self) -> Sequence[str]:
        """The names."""

    def of(self, query: int, setup: str) -> tuple[np.ndarray, np.ndarray]:
        """(items,) bool twice: which are relevant for the query of this place, and which are junk."""


@dataclass(frozen=True)
class ByGroup:
    """Relevant is what has a group in common. own, theirs: (queries, groups) and (items, groups) bool, or numbers (n,).

    A number of -1 is no group.
    """

    own: np.ndarray
    theirs: np.ndarray
    setups: Sequence[str] = ("",)

    def of(self, query: int, setup: str) -> tuple[np.ndarray, np.ndarray]:
        """As Relevance has it; nothing is junk."""
        if self.own.ndim == 1:
            relevant = (self.theirs == self.own[query]) & (self.own[query] >= 0)
        else:
            relevant = (self.theirs & self.own[query]).any(axis=1)
        return relevant, np.zeros(len(self.theirs), bool)


def by_label(files: JoinedFiles, queries: Items, among: Items) -> ByGroup:
    """Images of one class; with several labels those that have one in common."""
    label = files.column("label", 0, len(files))
    if label.ndim > 1:
        return ByGroup(label[queries.first] == 1, label[among.first] == 1)
    return ByGroup(label[queries.first], label[among.first])


def by_column(manifest: Path, column: str, queries: Items, among: Items) -> ByGroup:
    """Images that have the same in a column of a manifest. Raises BadInput for images that it does not have."""
    own, theirs = (column_of(manifest, column, items, "--relevant") for items in (queries, among))
    numbers: dict[str, int] = {"": -1}
    for name in (*own, *theirs):
        numbers.setdefault(name, len(numbers) - 1)
    places = [np.array([numbers[name] for name in names], np.int64) for names in (own, theirs)]
    return ByGroup(places[0], places[1])


def column_of(manifest: Path, column: str, items: Items, option: str) -> list[str]:
    """What a column of a manifest, named by an option, says of each item. Raises BadInput if it lacks one of them."""
    if column in COLUMNS and column != LABEL:
        raise BadInput(f"{option} should name a column of yours, or label. Found: {column}, which has its own meaning.")
    try:
        listing = read_manifest(str(manifest), None, column)
    except BadInput as error:
        raise BadInput(str(error).replace("--label-column", option)) from error
    table = {name: ";".join(labels) for name, labels in zip(listing.ids, listing.labels, strict=True)}
    found = []
    for name in items.names:
        value = table.get(name, table.get(picture_of(name)))
        if value is None:
            raise BadInput(
                f"{manifest} should have all images of the features, by their paths. Found: no {plain(name)}. Give the "
                "manifest that they were extracted from."
            )
        found.append(value)
    return found


@dataclass(frozen=True)
class ByTruth:
    """easy, hard and junk: for each query the places of items."""

    places: Sequence[Mapping[str, np.ndarray]]
    items: int
    setups: Sequence[str] = tuple(SETUPS)

    def of(self, query: int, setup: str) -> tuple[np.ndarray, np.ndarray]:
        """As Relevance has it."""
        masks = []
        for names in SETUPS[setup]:
            mask = np.zeros(self.items, bool)
            for name in names:
                mask[self.places[query][name]] = True
            masks.append(mask)
        return masks[0], masks[1]


@dataclass(frozen=True)
class Truth:
    """A ground-truth file: its queries and images by name, and of each query easy, hard and junk numbers of images."""

    path: Path
    queries: Sequence[str]
    images: Sequence[str]
    entries: Sequence[Mapping[str, Sequence[int]]]

    def match(self, queries: Items, among: Items) -> tuple[np.ndarray, ByTruth]:
        """The places of its queries among `queries`, and who is relevant for each. Raises BadInput for missing ones."""
        own = _places(self.path, "queries", self.queries, queries)
        theirs = np.array(_places(self.path, "images", self.images, among), np.int64)
        places = [
            {name: theirs[np.array(entry[name], np.int64)] for name in ("easy", "hard", "junk")}
            for entry in self.entries
        ]
        return np.array(own, np.int64), ByTruth(places, len(among))


def read_truth(path: Path) -> Truth:
    """A ground truth of the structure that revisited Oxford and Paris have, as JSON. Raises BadInput or WrongFile."""
    expected = f"--truth {path} should be JSON with imlist, qimlist and gnd (easy, hard and junk for each query)."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise WrongFile(f"{expected} Found: {path.stat().st_size:,} bytes.")
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{expected} Found: {error.strerror}.") from error
    try:
        document = parse_json(content)
    except ValueError as error:
        pickled = content[:1] == b"\x80"
        advice = " A pickle may run code as it is read; docs/retrieval.md says how to convert it." if pickled else ""
        raise WrongFile(f"{expected} Found: {'a pickle' if pickled else 'no JSON'}.{advice}") from error
    keys = ("imlist", "qimlist", "gnd")
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in keys):
        raise WrongFile(f"{expected} Found: JSON without them.")
    images, queries = document["imlist"], document["qimlist"]
    if not all(isinstance(name, str) for name in (*images, *queries)):
        raise WrongFile(f"{expected} Found: names that are no texts.")
    if not images or not queries:
        raise WrongFile(f"{expected} Found: {len(images):,} images and {len(queries):,} queries.")
    if len(document["gnd"]) != len(queries):
        raise WrongFile(f"{expected} Found: {len(queries):,} queries, and gnd for {len(document['gnd']):,}.")
    entries = [_entry(path, number, entry, len(images)) for number, entry in enumerate(document["gnd"])]
    return Truth(path, queries, images, entries)


def _entry(path: Path, number: int, entry: Any, images: int) -> dict[str, list[int]]:
    """Without junk nothing is; `ok` in the place of easy and hard is what the first Oxford and Paris had."""
    where = f"--truth {path}, gnd[{number}]"
    if not isinstance(entry, dict):
        raise WrongFile(f"{where} should be an object with easy, hard and junk. Found: another value.")
    found = {name: entry.get(name, []) for name in ("easy", "hard", "junk")}
    if "ok" in entry and "easy" not in entry:
        found["easy"] = entry["ok"]
    for name, numbers in found.items():
        right = isinstance(numbers, list) and all(type(one) is int and 0 <= one < images for one in numbers)
        if not right:
            raise WrongFile(f"{where}.{name} should be a list of numbers of imlist, below {images:,}. Found: others.")
    return found


def _places(path: Path, what: str, names: Sequence[str], items: Items) -> list[int]:
    """Where names stand among items; a name may lack folders and the ending, if that leaves one item."""
    known: dict[str, list[int]] = {}
    for place, own in enumerate(items.names):
        for form in dict.fromkeys((own, *_forms(own))):
            known.setdefault(form, []).append(place)
    exact = {own: place for place, own in enumerate(items.names)}
    found = []
    for name in names:
        fitting = [exact[name]] if name in exact else known.get(name, [])
        if len(fitting) != 1:
            count = "none" if not fitting else f"{len(fitting)} of that name"
            raise BadInput(
                f"--truth {path}: {what} should be among the images of the features. Found: {count} for {plain(name)}. "
                "Check --queries, --among and the files."
            )
        found.append(fitting[0])
    return found


def _forms(name: str) -> tuple[str, str]:
    base = picture_of(name).rpartition("/")[2]
    return base, base.rpartition(".")[0] or base
