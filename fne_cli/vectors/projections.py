"""A projection file as an embedding that is fitted already, and whether it goes with some activations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.numerics.embedding import Embedding, arrays_of, embedding, fixed
from fne_cli.numerics.embedding.pieces import Composed
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import BOTH, comparable, differences
from fne_cli.store.many.gather import JoinedLayer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.pooled import Layer, averaged

_SEEING = ("aligned", "within", "lda")
"""Pieces that look at labels."""


@dataclass(frozen=True)
class Projection:
    """An embedding as `fne reduce` has fitted it. embedding: its pieces; layers: features of each, by name.

    rows: the split that it was fitted to, or all; count: how many rows those were; explained: the share of the variance
    that each component has. settings: of the activations; pool: avg for averages over their maps. source: kind and
    fingerprint of the file; learned_from: of the activations.
    """

    path: Path
    embedding: str
    layers: dict[str, int]
    fitted: Embedding
    rows: str
    count: int
    explained: np.ndarray
    settings: dict[str, Any]
    pool: str | None
    source: dict[str, str]
    learned_from: list[Any]

    @property
    def kind(self) -> type[Embedding]:
        """The kind that is always this one."""
        return fixed(self.fitted)

    @property
    def columns(self) -> int:
        """Of a row that it has made."""
        return self.fitted.columns(sum(self.layers.values()))

    @property
    def fingerprints(self) -> dict[Path, str]:
        """Of the file, by its path."""
        return {self.path: self.source["fingerprint"]}

    @property
    def sees_labels(self) -> bool:
        """Whether the labels of the rows that it was fitted to have a part in it."""
        return any(piece.partition(":")[0] in _SEEING for piece in self.embedding.split(","))

    def layers_of(self, files: JoinedFiles) -> list[Layer]:
        """The layers that it takes, of some activations. Raises WrongFile if these are not of its network."""
        here, there = comparable(files.settings), comparable(self.settings)
        missing = [name for name in self.layers if name not in files.layers]
        for one in (here, there):
            if isinstance(one.get("layers"), dict):  # what else was tapped changes nothing of these
                one["layers"] = {name: one["layers"].get(name) for name in self.layers if name not in missing}
        found: list[Layer] = []
        apart = differences(here, there, BOTH)
        if missing:
            apart.append(f"layers: {len(missing):,} of {len(self.layers):,} are not here, {missing[0]} first")
        if not apart:
            stored = [JoinedLayer(files, name) for name in self.layers]
            found = list(stored) if self.pool is None else [averaged(layer) for layer in stored]
            apart = differences({layer.name: layer.features for layer in found}, self.layers, BOTH)
        if apart:
            raise WrongFile(
                f"{files.name} (here) should have activations made like those that {self.path} (there) was learned on. "
                "Found:\n  " + "\n  ".join(apart) + "\nLearn another one of such activations with fne reduce."
            )
        return found

    def learned_on(self, files: JoinedFiles) -> np.ndarray:
        """Which images of some files it was fitted to, (n,) bool, as far as the fingerprints tell."""
        known = np.zeros(len(files), bool)
        own = [source in self.learned_from for source in files.sources()]
        try:
            _, chosen = files.chosen(self.rows)
        except BadInput:  # a split that only others of the files have that it was learned on
            return known
        counts = [len(files)] if files.interleaved else files.counts
        return chosen & np.repeat(own, counts)


def read_projection(path: Path) -> Projection:
    """The projection that a file holds. Raises WrongFile for another file, DamagedFile for what contradicts itself."""
    with open_file(path, "projection") as file:
        stored, settings = file.projection(), file.settings
        source, learned_from = {"kind": file.kind, "fingerprint": file.fingerprint}, file.sources
    text, state = stored.embedding, stored.state
    kind = embedding(text) if arrays_of(text) is not None else None
    if kind is None or not issubclass(kind, Composed) or set(kind.arrays) != set(state):
        raise DamagedFile(
            f"{path} should have the arrays of its embedding, {text[:80]!r}. Found: {', '.join(state)}, or no such "
            "embedding."
        )
    wanted, found = (kind.reduction, kind.columns(0)), (len(stored.explained), stored.columns)
    if found != wanted:
        raise DamagedFile(
            f"{path} should have {wanted[0]:,} components and {wanted[1]:,} axes, as its embedding says. Found: "
            f"{found[0]:,} and {found[1]:,}."
        )
    return Projection(
        path,
        text,
        stored.layers,
        kind.of_state(state, list(stored.layers.values())),
        settings["rows"],
        stored.count,
        stored.explained,
        settings["activations"],
        settings.get("pool"),
        source,
        learned_from,
    )
