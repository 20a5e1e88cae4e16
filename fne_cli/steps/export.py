"""A file of ours -> the matrix for other tools: .npz, .npy, .parquet, .csv or .svm, chosen by the ending."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput, DifferentOutput, WrongOptions
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import canonical_json
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.matrix import Encoded, Matrix, MatrixBatch, NamedRows
from fne_cli.store.other.tables import WRITERS, is_image_table
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state, sha256_of
from fne_cli.store.output.up_to_date import check_place, is_recorded
from fne_cli.vectors.projections import Projection, read_projection

BATCH_BYTES = 1 << 25  # of matrix in memory, whatever --batch-size says


@dataclass(frozen=True)
class Exported:
    """The file (and the table of images beside it, for .npy), its rows and features, and the bad images left out."""

    path: Path
    images: Path | None
    rows: int
    features: int
    bad: int
    up_to_date: bool = False


def export(
    file: Path,
    output: Path,
    *,
    layers: Sequence[str] = (),
    projection: Path | None = None,
    batch_size: int = 32768,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Exported:
    """Write the layers side by side, a row per crop of every good image, with paths, splits and labels.

    projection: a file of fne reduce; of activations the columns that it makes of its layers are written then.

    Streams: memory holds `batch_size` rows or 32 MB, whichever is less. docs/format.md describes each form.
    """
    kind = output.suffix.lower()
    if kind not in WRITERS:
        raise BadInput(f"{output} should end in {', '.join(WRITERS)}. Found: {kind or 'no ending'}.")
    if kind == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise BadInput(f"{output} needs pyarrow, which is not installed. pip install 'fne-cli[parquet]'")
    if projection is not None and layers:
        raise WrongOptions("--projection says which layers there are. Leave --layers out, or --projection.")
    with ExitStack() as opened:
        source, taken, fitted = _opened(file, layers, projection, opened)
        matrix = Matrix(source, taken)
        rows, features = matrix.shape
        beside = output.with_name(output.name + ".images.csv") if kind == ".npy" else None
        done = Exported(output, beside, rows, features, matrix.bad)
        chosen = [layer.name for layer in matrix.layers] if fitted is None else list(fitted.layers)
        made_by = {} if fitted is None else {"projection": fitted.source["fingerprint"]}
        digest = hashlib.sha256(
            canonical_json(
                {"kind": f"export {kind}", "source": source.fingerprint, "layers": chosen, **made_by}
            ).encode()
        ).hexdigest()
        origin = Origin(
            f"export {kind}",
            {"layers": chosen} | ({} if fitted is None else {"embedding": fitted.embedding}),
            [{"kind": source.kind, "fingerprint": source.fingerprint}, *([] if fitted is None else [fitted.source])],
            {"file": (file,)} | ({} if fitted is None else {"projection": (fitted.path,)}),
            with_network=("layers",),
            network=source.settings,
        )
        what = "this export. Found: one of another file or other layers, or changed since"
        if beside is not None:
            check_place(beside, origin.paths, overwrite)
        there = is_recorded(output, digest, origin, overwrite, what, progress)
        if beside is not None:
            there = _has_table(output, beside, there)
        if there:
            if beside is not None:
                Output(beside).tidy()
            return Exported(**{**vars(done), "up_to_date": True})
        if matrix.bad:
            progress.note(f"{matrix.bad:,} bad images are left out")
        step = max(1, min(batch_size, BATCH_BYTES // max(1, features * matrix.dtype.itemsize)))
        with ExitStack() as stack:
            target = stack.enter_context(Output(output))
            table = stack.enter_context(Output(beside)) if beside is not None else None
            advance = stack.enter_context(progress.track(rows, "rows"))
            WRITERS[kind](matrix, _told(matrix, step, advance), target.into, table.into if table else None)
            pair = {}
            if table is not None:
                pair["beside"] = file_state(table.into) | {"sha256": sha256_of(table.into)}
                table.accept()
            target.accept_noted({"fingerprint": digest, **pair, **origin.noted_whole(output)})
        return done


def _opened(
    file: Path, layers: Sequence[str], projection: Path | None, opened: ExitStack
) -> tuple[Reader, list[NamedRows], Projection | None]:
    """The file, the layers that are exported, and the projection that made one of them. Raises BadInput, WrongFile."""
    if projection is None:
        source = opened.enter_context(open_file(file, "activations", "codes", "standardized"))
        return source, list((source.select(layers) if layers else source.layers).values()), None
    fitted, joined = read_projection(projection), opened.enter_context(JoinedFiles(file))
    rows = Encoded("projection", fitted.layers_of(joined), fitted.columns, np.dtype(np.float32), fitted.fitted.encode)
    return joined.files[0], [rows], fitted


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
