"""The forms that other tools read: what of a matrix stands where in .npy, .npz, .csv, .svm and .parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.store.other.cells import as_cell
from fne_cli.store.other.matrix import Matrix, MatrixBatch
from fne_cli.store.other.predictions import label_names

KNOWN = ("path", "crop", "split", "label")
OF_CELLS = ("path", "cell", "split", "label", "x0", "y0", "x1", "y1")


def texts(values: np.ndarray) -> list[str]:
    """A column of bytes as text."""
    return [value.decode(errors="replace") for value in values.tolist()]


def known_columns(matrix: Matrix) -> tuple[str, ...]:
    """What is known of a row, by the names of columns: of a crop, or of a cell."""
    return KNOWN if matrix.boxes is None else OF_CELLS


def _columns(matrix: Matrix) -> list[str]:
    return [f"{layer.name}:{number}" for layer in matrix.layers for number in range(layer.features)]


def _known(rows: MatrixBatch, matrix: Matrix) -> tuple[list[Any], ...]:
    """The columns of KNOWN as they stand in CSV files."""
    labels = label_names(rows.label, matrix.classes)
    return (
        [as_cell(name) for name in texts(rows.path)],
        rows.crop.tolist(),
        [as_cell(name) for name in texts(rows.split)],
        [as_cell(name) for name in labels],
        *([] if rows.box is None else rows.box.T.tolist()),
    )


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def _write_npy(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """One matrix for np.load(path, mmap_mode="r"); row r of it is line r + 2 of the table of images."""
    with open(path, "wb") as file:
        file.write(_npy_header(matrix.shape, matrix.dtype))
        for rows in tabled(matrix, batches, table):
            file.write(rows.values.tobytes())


def tabled(matrix: Matrix, batches: Iterable[MatrixBatch], table: Path | None) -> Iterator[MatrixBatch]:
    """The same batches; the table of images that stands beside the file has a line for each row that has passed."""
    if table is None:
        raise ValueError("there should be a table beside the file")
    with open(table, "w", newline="", encoding="utf-8") as text:
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(known_columns(matrix))
        for rows in batches:
            yield rows
            lines.writerows(zip(*_known(rows, matrix), strict=True))


def is_image_table(path: Path) -> bool:
    """Whether a file is empty, or its first line that of a table beside another file."""
    with open(path, "rb") as file:
        return file.readline(80) in (b"", *((",".join(names) + "\n").encode() for names in (KNOWN, OF_CELLS)))


def _write_npz(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """features, and per row path, crop, split and label (index into classes, -1 for none), without pickles."""
    count = matrix.shape[0]
    types: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        "path": ((count,), np.dtype(f"U{matrix.text_width('path')}")),
        "split": ((count,), np.dtype(f"U{matrix.text_width('split')}")),
        "label": ((count, *matrix.labels_shape()), np.dtype(np.int32)),
        "crop": ((count,), np.dtype(np.int32)),
        **({} if matrix.boxes is None else {"box": ((count, 4), np.dtype(np.float64))}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with _member(archive, "features") as file:
            file.write(_npy_header(matrix.shape, matrix.dtype))
            for rows in batches:
                file.write(rows.values.tobytes())
        for name, (shape, dtype) in types.items():
            with _member(archive, "cell" if name == "crop" and matrix.boxes is not None else name) as file:
                file.write(_npy_header(shape, dtype))
                for rows in matrix.batches(1 << 14, with_values=False):
                    values = getattr(rows, name)
                    values = np.array(texts(values), dtype) if dtype.kind == "U" else values.astype(dtype)
                    file.write(values.tobytes())
        for name, small in (
            ("classes", np.array(matrix.classes, np.str_)),
            ("layers", np.array([layer.name for layer in matrix.layers], np.str_)),
            ("layer_features", np.array([layer.features for layer in matrix.layers], np.int64)),
        ):
            with _member(archive, name) as file:
                np.lib.format.write_array(file, small, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    # a fixed date, so that the same command writes the same bytes
    return archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)


def _write_csv(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """path, crop, split, label, then a column per feature (layer:number); floats with all their digits."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow((*known_columns(matrix), *map(as_cell, _columns(matrix))))
        for rows in batches:
            known = zip(*_known(rows, matrix), strict=True)
            lines.writerows((*head, *numbers(values)) for head, values in zip(known, rows.values, strict=True))


def _write_svm(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """Libsvm text: label (index of the class, -1 for none), index:value from 1 for all that is not 0, path behind #."""
    with open(path, "w", encoding="utf-8") as file:
        for rows in batches:
            for row, name, label in zip(rows.values, texts(rows.path), rows.label, strict=True):
                places = np.flatnonzero(row)
                several = np.flatnonzero(label == 1).tolist() if label.ndim else [int(label)]
                pairs = zip((places + 1).tolist(), numbers(row[places]), strict=True)
                # a path may hold a line break; the comment must not
                comment = name.encode("unicode_escape").decode() if not name.isprintable() else name
                entries = " ".join(f"{place}:{value}" for place, value in pairs)
                file.write(f"{','.join(map(str, several))} {entries} # {comment}\n")


def numbers(values: np.ndarray) -> list[Any]:
    """Integers, or the shortest texts that read back as the same floats."""
    return values.tolist() if values.dtype.kind == "i" else values.astype(np.str_).tolist()


def _write_parquet(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """path, crop, split, label, what else is told, and a column per layer: its features as a list of fixed length."""
    import pyarrow as pa
    from pyarrow import parquet

    several = bool(matrix.labels_shape())
    head = known_columns(matrix)
    fields = [("path", pa.string()), (head[1], pa.int32()), ("split", pa.string())]
    fields.append(("label", pa.list_(pa.string()) if several else pa.string()))
    fields += [(name, pa.float64()) for name in head[4:]] + [(name, pa.string()) for name in matrix.told]
    fields += [(layer.name, pa.list_(pa.from_numpy_dtype(layer.dtype), layer.features)) for layer in matrix.layers]
    schema = pa.schema(fields, metadata={"classes": json.dumps(matrix.classes, ensure_ascii=False)})
    with parquet.ParquetWriter(os.fspath(path), schema, compression="zstd", use_dictionary=["split", "label"]) as file:
        for rows in batches:
            labels: list[Any] = [
                text.split(";") if several and text else text or None
                for text in label_names(rows.label, matrix.classes)
            ]
            columns = [
                pa.array(texts(rows.path), pa.string()),
                pa.array(rows.crop.tolist(), pa.int32()),
                pa.array(texts(rows.split), pa.string()),
                pa.array(labels, schema.field("label").type),
            ]
            columns += [] if rows.box is None else [pa.array(side, pa.float64()) for side in rows.box.T]
            columns += [pa.array(tell(texts(rows.path)), pa.string()) for tell in matrix.told.values()]
            left = 0
            for layer in matrix.layers:
                part = np.ascontiguousarray(rows.values[:, left : left + layer.features], layer.dtype)
                columns.append(pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), layer.features))
                left += layer.features
            file.write_table(pa.table(columns, schema=schema))


Write = Callable[[Matrix, Any, Path, Path | None], None]
WRITERS: dict[str, Write] = {
    ".npz": _write_npz,
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".svm": _write_svm,
}
