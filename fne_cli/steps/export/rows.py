"""What is exported: the layers of a file as they are, or the vectors that fne search makes of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.numerics.neighbours.nearest import unit
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.matrix import NamedRows
from fne_cli.vectors.options import KINDS, VectorOptions
from fne_cli.vectors.vectors import Vectors


@dataclass(frozen=True)
class Exportable:
    """A file, the rows that are exported of it, and what an output says of these.

    described: settings beside the layers. sources, paths: of all that the rows are made from.
    """

    file: Reader
    rows: list[NamedRows]
    layers: list[str]
    described: dict[str, Any]
    sources: list[dict[str, str]]
    paths: dict[str, tuple[Path, ...]]


@dataclass(frozen=True)
class VectorRows:
    """Vectors as a layer; of bad images they are zeros. to_unit: each divided by its length."""

    vectors: Vectors
    to_unit: bool
    name: str

    @property
    def features(self) -> int:
        """Columns."""
        return self.vectors.count

    @property
    def dtype(self) -> np.dtype[Any]:
        """int8 of codes, else float32."""
        return np.dtype(np.int8 if self.vectors.ternary else np.float32)

    @cached_property
    def _good(self) -> np.ndarray:
        return self.vectors.files.good

    def read(self, start: int, stop: int) -> np.ndarray:
        """As RowReader has it. Raises DamagedFile for activations of good images that are not finite."""
        crops = self.vectors.crops
        images = np.arange(start // crops, stop // crops)
        good = self._good[images]
        out = np.zeros((len(images), crops, self.features), self.dtype)
        left = np.flatnonzero(good)
        for span, values in self.vectors.batches(images[good]):
            rows = unit(values) if self.to_unit else values
            out[left[span.start // crops : span.stop // crops]] = rows.reshape(-1, crops, self.features)
        return out.reshape(-1, self.features)


def exportable(file: Path, chosen: VectorOptions, compared: bool, memory: int, opened: ExitStack) -> Exportable:
    """What is exported of a file. compared: whether as vectors that other engines compare: floats have length 1 then.

    Raises the errors of fne_cli.errors for options that do not go with the file.
    """
    source = opened.enter_context(open_file(file, *KINDS))
    chosen.named(source.kind, str(file))
    as_they_are = chosen.embedding is None and chosen.projection is None
    if as_they_are and (source.kind == "codes" or not compared) and chosen.pool is None:
        stored = list((source.select(chosen.layers) if chosen.layers else source.layers).values())
        own = {"kind": source.kind, "fingerprint": source.fingerprint}
        return Exportable(source, list(stored), [layer.name for layer in stored], {}, [own], {"file": (file,)})
    if as_they_are and not compared:
        chosen = replace(chosen, embedding="raw")
    vectors = Vectors(opened.enter_context(JoinedFiles(file, *KINDS)), chosen, memory)
    described = vectors.described()
    layers = described.pop("layers")
    to_unit = compared and not vectors.ternary
    name = "embedding" if chosen.projection is None else "projection"
    rows: list[NamedRows] = [VectorRows(vectors, to_unit, name)]
    if as_they_are and not compared:
        rows = list(vectors.layers)  # averages, each layer under its name
    paths = {role: tuple(files) for role, files in vectors.inputs_by_role().items() if role != "features"}
    return Exportable(source, rows, layers, described, vectors.sources(), {"file": (file,), **paths})
