"""A file of ours -> the matrix for other tools, or an index of a search engine, chosen by the ending."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DifferentOutput, WrongOptions
from fne_cli.machine import free_memory
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.export.cells import Cells, check_cells, exportable_cells
from fne_cli.steps.export.projector import Projector
from fne_cli.steps.export.rows import Exportable, exportable
from fne_cli.steps.export.told import Told
from fne_cli.store.format.text import canonical_json
from fne_cli.store.other.engines import check_usearch, write_faiss, write_usearch
from fne_cli.store.other.matrix import Matrix, MatrixBatch
from fne_cli.store.other.postgres import VectorType, not_indexed, statements, type_of, write_copy
from fne_cli.store.other.tables import WRITERS, Write, is_image_table
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, sha256_of
from fne_cli.store.output.up_to_date import check_place, is_recorded
from fne_cli.vectors.options import VectorOptions

BATCH_BYTES = 1 << 25  # of matrix in memory, whatever --batch-size says
ENGINES = (".faiss", ".usearch", ".copy")
"""Endings of what is compared elsewhere as fne search compares it."""

PROJECTOR = ".projector"
"""Ending of a folder for TensorBoard."""

_WITH_TABLE = (".npy", ".faiss", ".usearch")
_NEEDED = {".parquet": ("pyarrow", "parquet"), ".usearch": ("usearch", "usearch")}
"""By ending the package without which it cannot be written, and the extra that has it."""


@dataclass(frozen=True)
class Exported:
    """The file (and the table of images beside it, if it has one), its rows and features, the bad images left out.

    features: columns before codes become bits. statements: for psql, of a .copy file.
    """

    path: Path
    images: Path | None
    rows: int
    features: int
    bad: int
    up_to_date: bool = False
    statements: str = ""


def export(
    file: Path,
    output: Path,
    *,
    layers: Sequence[str] = (),
    embedding: str | None = None,
    projection: Path | None = None,
    thresholds: tuple[float, float] | Path = (LOW, HIGH),
    pool: str | None = None,
    rows: str | None = None,
    vector: VectorType | None = None,
    memory: int | None = None,
    cells: bool = False,
    images: str | None = None,
    root: str | None = None,
    predictions: Path | None = None,
    batch_size: int = 32768,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Exported:
    """Write the layers side by side, a row per crop of every good image, with paths, splits and labels.

    embedding, projection, thresholds, pool, rows: what becomes of activations, as VectorOptions has it; by default they
    stay as they are. For a search engine they become what fne search makes of them, by default l2, and have length 1.
    vector: the type of pgvector. memory: bytes, to fit an embedding and to build an index of usearch; by default half
    of what is free.

    cells: a row for each cell of maps instead, all layers on the grid of the finest, with its box in pixels of the
    network's input, or of the images if it is said where these are (images, root). In a .parquet or .projector without
    cells images and root say where pictures are, and predictions (CSV with path and prediction) what is said of them.

    Streams, but for .usearch: memory holds `batch_size` rows or 32 MB, whichever is less, beside the embedding.
    docs/format.md describes each form. Raises the errors of fne_cli.errors.
    """
    kind = output.suffix.lower()
    _check(output, kind, vector)
    chosen = VectorOptions(tuple(layers), embedding, projection, thresholds, pool, rows)
    memory = free_memory() // 2 if memory is None else memory
    with ExitStack() as opened:
        asked = Cells(images, root) if cells else None
        source, matrix = _opened(file, chosen, kind, asked, memory, opened, progress)
        told = Told.of(source.file, kind, predictions, *((None, None) if cells else (images, root)))
        matrix.told = told.columns if kind == ".parquet" else {}
        count, features = matrix.shape
        beside = output.with_name(output.name + ".images.csv") if kind in _WITH_TABLE else None
        done = Exported(output, beside, count, features, matrix.bad)
        settings = {"layers": source.layers, **source.described, **told.settings}
        if kind == ".copy":
            vector = type_of(matrix, vector)
            settings["vector"] = vector
            done = replace(done, statements=statements(matrix, vector, output))
        origin = Origin(
            f"export {kind}",
            settings,
            [*source.sources, *told.sources],
            {**source.paths, **told.paths},
            with_network=("layers",),
            network=source.file.settings,
        )
        made_of = {"kind": f"export {kind}", "source": source.file.fingerprint, **settings}
        made_of |= {"sources": list(origin.sources)} if len(origin.sources) > 1 else {}
        digest = hashlib.sha256(canonical_json(made_of).encode()).hexdigest()
        what = "this export. Found: one of another file or other layers, or changed since"
        if beside is not None:
            check_place(beside, origin.paths, overwrite)
        folder = Projector(output, digest, origin, told.images is not None) if kind == PROJECTOR else None
        if folder is None:
            there = is_recorded(output, digest, origin, overwrite, what, progress)
        else:
            there = folder.are_there(overwrite, what, progress)
        if beside is not None:
            there = _has_table(output, beside, there)
        if there:
            if beside is not None:
                Output(beside).tidy()
            return replace(done, up_to_date=True)
        if kind == ".usearch":
            check_usearch(matrix, memory)
        if vector is not None and (said := not_indexed(matrix, vector)):
            progress.note(said)
        if matrix.bad:
            progress.note(f"{matrix.bad:,} bad images are left out")
        step = max(1, min(batch_size, BATCH_BYTES // max(1, features * matrix.dtype.itemsize)))
        if folder is not None:
            with progress.track(count, "rows") as advance:
                folder.write(matrix, _told(matrix, step, advance), told, progress)
            return done
        _write(matrix, step, output, beside, _writer(kind, vector), {"fingerprint": digest}, origin, progress)
        return done


def _write(
    matrix: Matrix,
    step: int,
    output: Path,
    beside: Path | None,
    write: Write,
    record: dict[str, Any],
    origin: Origin,
    progress: Progress,
) -> None:
    """The file, and the table beside it if there is one; step: rows at a time."""
    with ExitStack() as stack:
        target = stack.enter_context(Output(output))
        table = stack.enter_context(Output(beside)) if beside is not None else None
        advance = stack.enter_context(progress.track(matrix.shape[0], "rows"))
        write(matrix, _told(matrix, step, advance), target.into, table.into if table else None)
        if table is not None:
            record["beside"] = file_state(table.into) | {"sha256": sha256_of(table.into)}
            table.accept()
        target.accept_noted({**record, **origin.noted_whole(output)})


def _opened(
    file: Path,
    chosen: VectorOptions,
    kind: str,
    cells: Cells | None,
    memory: int,
    opened: ExitStack,
    progress: Progress,
) -> tuple[Exportable, Matrix]:
    """What is exported, and as a matrix."""
    if cells is None:
        source = exportable(file, chosen, kind in ENGINES, memory, opened)
        return source, Matrix(source.file, source.rows)
    check_cells(chosen, kind, (*ENGINES, PROJECTOR))
    found = exportable_cells(file, chosen.layers, cells, opened, progress)
    return found.exportable, Matrix(found.exportable.file, found.exportable.rows, found.boxes, found.cells)


def _check(output: Path, kind: str, vector: VectorType | None) -> None:
    """Raises WrongOptions for an ending that means nothing, BadInput for one that needs what is not installed."""
    if kind not in (known := (*WRITERS, PROJECTOR, *ENGINES)):
        raise WrongOptions(f"{output} should end in {', '.join(known)}. Found: {kind or 'no ending'}.")
    package, extra = _NEEDED.get(kind, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        raise BadInput(f"{output} needs {package}, which is not installed. pip install 'fne-cli[{extra}]'")
    if vector is not None and kind != ".copy":
        raise WrongOptions(f"--vector is the type of pgvector in a .copy file. Found: {output}. Leave it out.")


def _writer(kind: str, vector: VectorType | None) -> Write:
    if vector is not None:
        return partial(_write_copy, vector)
    return {**WRITERS, ".faiss": write_faiss, ".usearch": write_usearch}[kind]


def _write_copy(
    vector: VectorType, matrix: Matrix, batches: Iterator[MatrixBatch], path: Path, table: Path | None
) -> None:
    write_copy(matrix, batches, path, vector)


def _has_table(output: Path, beside: Path, there: bool) -> bool:
    """Whether the matrix is `there`, and the table of images that was written with it: the two are one output.

    Raises DifferentOutput if a file that is no such table stands there, which nothing may replace, or the table of this
    very matrix, changed since.
    """
    if not beside.exists():
        return False
    known = read_record(output).get("beside")
    if there and (not isinstance(known, dict) or known.get("sha256") == sha256_of(beside)):
        return True  # an older record says nothing of it
    if not is_image_table(beside):
        raise DifferentOutput(
            f"{beside} should be the table of the images of {output.name}, or none. Found: another file.\n"
            "Move it away, or write to another output."
        )
    if there:
        raise DifferentOutput(
            f"{beside} should be as it was written with {output.name}. Found: changed since.\n"
            "Write to another output, or give --overwrite to replace both."
        )
    return False


def _told(matrix: Matrix, step: int, advance: Callable[[int], None]) -> Iterator[MatrixBatch]:
    for rows in matrix.batches(step):
        yield rows
        advance(len(rows))
