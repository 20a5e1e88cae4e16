"""activations -> a projection: an embedding with principal components, fitted to training images once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import WrongOptions
from fne_cli.machine import free_memory
from fne_cli.numerics.embedding.pieces import Composed
from fne_cli.numerics.embedding.pieces.text import reduced_text
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.schema import PROJECTION
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.up_to_date import up_to_date
from fne_cli.tasks.output import streamed_output
from fne_cli.vectors.options import VectorOptions
from fne_cli.vectors.projections import Projection, read_projection
from fne_cli.vectors.vectors import Vectors

BEFORE = "length"
"""What becomes of rows before they are reduced."""


@dataclass(frozen=True)
class ReductionOptions:
    """Which reduction, as `fne reduce` describes the options of these names."""

    components: int = 256
    embedding: str = BEFORE
    whiten: bool = False
    exponent: float | None = None
    within: bool = False
    lda: int | None = None
    power: float | None = None

    def text(self) -> str:
        """The embedding in pieces. Raises WrongOptions or BadInput for what does not go together."""
        given = [name for name in ("whiten", "within", "lda") if getattr(self, name)]
        if len(given) > 1:
            raise WrongOptions(f"--{given[0]} stands in the place of --{given[1]}. Found: both. Leave one out.")
        if self.exponent is not None and not self.whiten:
            raise WrongOptions("--exponent goes with --whiten. Give that, too, or leave --exponent out.")
        behind = given[0] if given else ""
        if self.exponent is not None:
            behind += f":{self.exponent!r}"
        if self.lda is not None:
            behind += f":{self.lda}"
        return reduced_text(self.embedding, self.components, behind, self.power)


@dataclass(frozen=True)
class Reduced:
    """The file and what it holds.

    embedding: its pieces. features: of a row of activations; columns: of one that it makes. rows: the split that it was
    fitted to, count: how many rows those were. components: how many principal components; explained: the share of the
    variance of the rows that each has.
    """

    path: Path
    embedding: str
    layers: list[str]
    features: int
    columns: int
    rows: str
    count: int
    components: int
    explained: list[float]
    up_to_date: bool = False


def reduce(
    activations: Path | Sequence[Path],
    projection: Path,
    chosen: ReductionOptions = ReductionOptions(),  # frozen
    *,
    layers: Sequence[str] = (),
    rows: str | None = None,
    pool: str | None = None,
    memory: int | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Reduced:
    """Fit an embedding with principal components to the chosen rows of one or more files, and write it.

    rows: "train" (default if there are splits), "all", or any split. memory: bytes; half of what is free by default.
    Raises DoesNotFit before anything is computed.
    """
    options = VectorOptions(layers=layers, embedding=chosen.text(), pool=pool, rows=rows)
    with JoinedFiles(activations) as files:
        vectors = Vectors(files, options, free_memory() // 2 if memory is None else memory)
        origin = _origin(vectors, projection, asked=rows is not None)
        if absent := files.absent:
            progress.note(absent)
        if up_to_date(projection, origin, overwrite, progress):
            return _told(read_projection(projection), up_to_date=True)
        _warn(vectors, asked=rows is not None, progress=progress)
        with streamed_output(projection, origin, files, None) as (writer, _):
            fitted = vectors.fitted()
            assert isinstance(fitted, Composed)  # `reduced_text` makes nothing else
            _write(writer, vectors, fitted)
        return _told(read_projection(projection))


def _origin(vectors: Vectors, path: Path, asked: bool) -> Origin:
    """asked: whether the command named the rows."""
    files = vectors.files
    settings: dict[str, Any] = {
        "embedding": vectors.called,
        "rows": vectors.statistics,
        "layers": [layer.name for layer in vectors.layers],
        "activations": files.settings,
    }
    if vectors.options.pool is not None:
        settings["pool"] = vectors.options.pool
    return Origin(
        "projection",
        settings,
        sorted(files.sources(), key=lambda source: source["fingerprint"]),
        {"activations": files.paths},
        inherited=("activations", *(() if asked else ("rows",))),
        with_network=("layers",),
        network=files.settings,
    )


def _warn(vectors: Vectors, asked: bool, progress: Progress) -> None:
    """Say that test images have a part in it, where they have."""
    files, name = vectors.files, vectors.statistics
    tested = int(vectors.learned_on()[np.flatnonzero(_in_test(files))].sum())
    if tested:
        progress.note(
            f"the projection is learned on the rows {name!r}, {tested:,} test images among them: what is measured with "
            "it on these images looks better than it is"
        )
    elif name == "all" and not asked:
        progress.note(f"{files.name} has no splits: the projection is learned on all images")


def _in_test(files: JoinedFiles) -> np.ndarray:
    return np.array([split == "test" for split in files.images.split], bool)


def _write(writer: Any, vectors: Vectors, fitted: Composed) -> None:
    state, start = fitted.state(), 0
    count = int(vectors.learned_on().sum()) * vectors.crops
    for layer in vectors.layers:
        span = slice(start, start := start + layer.features)
        for name in PROJECTION:
            if name in state:
                writer.put(layer.name, name, np.ascontiguousarray(state[name][..., span]))
        writer.describe(layer.name, rows=count)
    writer.put_table("explained", fitted.explained)
    if "deviations" in state:
        writer.put_table("deviations", state["deviations"])


def _told(found: Projection, up_to_date: bool = False) -> Reduced:
    return Reduced(
        found.path,
        found.embedding,
        list(found.layers),
        sum(found.layers.values()),
        found.columns,
        found.rows,
        found.count,
        len(found.explained),
        found.explained.tolist(),
        up_to_date,
    )
