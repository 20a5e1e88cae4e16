"""The rows of images of some files as vectors: read, embedded, in memory or in a temporary file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, DoesNotFit
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.codes.packed import PackedCodes, Rows, pack, plane_bytes
from fne_cli.numerics.embedding import Embedding, embedding
from fne_cli.store.many.gather import BATCH_BYTES, JoinedLayer, allocate, gathered
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.pooled import AveragedLayer, Layer, averaged
from fne_cli.store.many.thresholds import Thresholds, read_thresholds
from fne_cli.unprintable import plain
from fne_cli.vectors.options import VectorOptions
from fne_cli.vectors.projections import read_projection


class Vectors:
    """The images of files as vectors. Raises the errors of fne_cli.errors for options that do not go with the files.

    called: codes, or the embedding as it is written. inputs: features of a row as it is read; count: columns of a
    vector. An image has `crops` of them, one after the other. memory: bytes.
    """

    def __init__(self, files: JoinedFiles, options: VectorOptions, memory: int) -> None:
        self.files, self.options, self.memory = files, options, memory
        self.called = options.named(files.kind, files.name)
        self.projection = None if options.projection is None else read_projection(options.projection)
        if self.projection is None:
            stored = [JoinedLayer(files, name) for name in files.select(options.layers)]
            self.layers: list[Layer] = list(stored) if options.pool is None else [averaged(layer) for layer in stored]
        else:
            self.called, self.layers = self.projection.embedding, self.projection.layers_of(files)
        self.widths = [layer.features for layer in self.layers]
        self.inputs = sum(self.widths)
        self.kind: type[Embedding] | None = None if self.called == "codes" else embedding(self.called)
        if self.projection is not None:
            self.kind = self.projection.kind
        self.count = self.inputs if self.kind is None else self.kind.columns(self.inputs)
        self.crops = files.crops
        self.cuts = self._cuts()
        self.statistics = ""  # the rows that it is fitted to
        if self.kind is not None and self.kind.arrays and not self.kind.fixed:
            self.statistics, self._fitted_to = files.chosen(options.rows)
        self._embedding: Embedding | None = None

    def _cuts(self) -> Thresholds:
        if self.kind is None or not self.kind.takes_thresholds:
            return Thresholds(LOW, HIGH)
        given = self.options.thresholds
        if isinstance(given, Path):
            return read_thresholds(given, self.files.settings, self.files.files[0].path)
        return Thresholds(*given)

    @property
    def ternary(self) -> bool:
        """Whether vectors are codes -1, 0, 1."""
        return self.kind is None or self.kind.dtype == np.int8

    def described(self) -> dict[str, Any]:
        """What tells these vectors from others of the same files, for settings of an output."""
        told: dict[str, Any] = {"embedding": self.called, "layers": [layer.name for layer in self.layers]}
        if self.statistics:
            told["rows"] = self.statistics
        if self.projection is not None:
            told["projection_rows"] = self.projection.rows
        if self.options.pool is not None:
            told["pool"] = self.options.pool
        if self.kind is not None and self.kind.takes_thresholds:
            told["thresholds"] = [self.cuts.low, self.cuts.high]
        return told

    def sources(self) -> list[dict[str, str]]:
        """Kind and fingerprint of all that they are made from."""
        own = [] if self.projection is None else [self.projection.source]
        return [*self.files.sources(), *self.cuts.sources, *own]

    def inputs_by_role(self) -> dict[str, Sequence[Path]]:
        """The files, by what they are for."""
        given = self.options.thresholds
        beside: dict[str, Sequence[Path]] = {}
        if self.cuts.sources and isinstance(given, Path):
            beside["thresholds"] = (given,)
        if self.projection is not None:
            beside["projection"] = (self.projection.path,)
        return {"features": self.files.paths, **beside}

    def learned_on(self) -> np.ndarray:
        """Which images the embedding was, or is to be, fitted to, (n,) bool, as far as the fingerprints tell."""
        if self.projection is not None:
            return self.projection.learned_on(self.files)
        return self._fitted_to if self.statistics else np.zeros(len(self.files), bool)

    def seen(self, images: np.ndarray) -> str:
        """What is to be said of queries that the embedding was fitted to; "" for none. images: their numbers."""
        count = int(self.learned_on()[images].sum())
        if not count:
            return ""
        what = "embedding is fitted to" if self.projection is None else "projection was learned on"
        return (
            f"{count:,} of the {len(images):,} queries are among the images that the {what}: what is measured looks "
            "better than it is"
        )

    def alone(self, layer: str) -> Vectors:
        """One layer of the files as such: codes, or activations of length 1."""
        return Vectors(self.files, VectorOptions((layer,), pool=self.options.pool), self.memory)

    def of_files(self, files: JoinedFiles) -> Vectors:
        """The images of other files, which were made alike, in the embedding that was fitted to these."""
        stored = [(layer, JoinedLayer(files, layer.name)) for layer in self.layers]
        own = [averaged(other) if isinstance(layer, AveragedLayer) else other for layer, other in stored]
        return self._others(files, own)

    def of_rows(self, rows: Mapping[str, np.ndarray]) -> Vectors:
        """Images of no file: rows (n, features) of each layer as the files would have them, by their names."""
        return self._others(self.files, [_in_memory(layer, rows) for layer in self.layers])

    def _others(self, files: JoinedFiles, layers: list[Layer]) -> Vectors:
        others = copy(self)
        others._embedding = self.fitted()
        others.files, others.layers = files, layers
        return others

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take what was fitted elsewhere: what `state` of the embedding has said there."""
        if self.kind is not None:
            self._embedding = self.kind.of_state(state, self.widths, (self.cuts.low, self.cuts.high))

    def row_bytes(self) -> int:
        """What a vector takes in memory."""
        return 2 * plane_bytes(self.count) if self.kind is None else self.kind.row_bytes(self.count)

    def fitted(self) -> Embedding | None:
        """The embedding, fitted when it is first asked for; None for codes. Raises DoesNotFit."""
        if self._embedding is None and self.kind is not None:
            images = np.flatnonzero(self._fitted_to) if self.statistics else np.empty(0, np.int64)
            needed = self.kind.fit_bytes(len(images) * self.crops, self.inputs, max(self.widths))
            if needed > self.memory:
                raise DoesNotFit(
                    f"Fitting {self.called} to {len(images) * self.crops:,} rows of {self.inputs:,} features should "
                    f"take at most {self.memory / 2**20:,.1f} MiB. It takes {needed / 2**20:,.1f} MiB. Allow more "
                    "memory, or take fewer layers or rows."
                )
            cuts = (self.cuts.low, self.cuts.high)
            self._embedding = self.kind.fit(_Batches(self, images), self.widths, cuts, self._labels(images))
        return self._embedding

    def _labels(self, images: np.ndarray) -> np.ndarray | None:
        """Of each row, where every image has some."""
        labels = self.files.column("label", 0, len(self.files))[images]
        if not len(images) or (labels < 0).any():
            return None
        return np.repeat(labels, self.crops, axis=0)

    def rows(self, images: np.ndarray) -> Rows:
        """The vectors of images, ascending numbers: PackedCodes, or (rows, columns) float32.

        They lie in memory if that is a quarter of what is allowed, else in a temporary file. Raises DamagedFile for
        activations that are not finite.
        """
        count = len(images) * self.crops
        if self.ternary:
            planes = allocate((count, 2, plane_bytes(self.count)), np.uint8, self.memory // 4)
            for span, values in self.batches(images):
                pack(values, planes[span])
            return PackedCodes(planes[:, 0], planes[:, 1], self.count)
        out = allocate((count, self.count), np.float32, self.memory // 4)
        for span, values in self.batches(images):
            out[span] = values
        return out

    def batches(self, images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The vectors of images, ascending numbers, in batches small beside the memory: (rows, columns).

        float32, or int8 codes; the slice says where they stand among the rows of all these images.
        """
        embedding = self.fitted()
        for span, values in self.read(images):
            yield span, values if embedding is None else embedding.encode(values)

    def read(self, images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The rows as they are in the files. Raises DamagedFile if one is not finite."""
        batch = min(BATCH_BYTES, max(1 << 20, self.memory // 32))
        for span, values in gathered(self.layers, self.crops, images, batch):
            if self.kind is not None and not np.isfinite(values).all():
                row = span.start + int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                path = self.files.images.path[int(images[row // self.crops])]
                raise DamagedFile(
                    f"{self.files.name} should have finite activations. Found: infinity or not a number in those of "
                    f"{plain(path)}.\nfne verify lists all such rows of a file."
                )
            yield span, values


def _in_memory(layer: Layer, rows: Mapping[str, np.ndarray]) -> Layer:
    """The layer of rows that are in memory."""
    if isinstance(layer, AveragedLayer):
        return replace(layer, layer=_MemoryLayer(layer.files, layer.name, rows[layer.name]))
    return _MemoryLayer(layer.files, layer.name, rows[layer.name])


@dataclass(frozen=True)
class _MemoryLayer(JoinedLayer):
    """A layer of which only the rows are there."""

    values: np.ndarray

    @property
    def dtype(self) -> np.dtype[Any]:
        """As RowReader has it."""
        return self.values.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """As RowReader has it."""
        return self.values[start:stop]


@dataclass(frozen=True)
class _Batches:
    """The rows of images in batches, read again whenever somebody begins with them."""

    vectors: Vectors
    images: np.ndarray

    @property
    def identity(self) -> tuple[str, ...]:
        """Which rows they are."""
        images = hashlib.sha256(np.ascontiguousarray(self.images, np.int64).data).hexdigest()
        layers = (f"{layer.name} {layer.features}" for layer in self.vectors.layers)
        return (*(source["fingerprint"] for source in self.vectors.files.sources()), *layers, images)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (rows for _, rows in self.vectors.read(self.images))
