"""PostgreSQL's COPY text format with a column of pgvector, and the statements that take it in and search it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.store.other.matrix import Matrix, MatrixBatch
from fne_cli.store.other.predictions import label_names
from fne_cli.store.other.tables import numbers, texts
from fne_cli.unprintable import plain

VectorType = Literal["bit", "vector", "halfvec"]
TYPES: tuple[VectorType, ...] = get_args(VectorType)

# What a column of floats holds, and what an index (hnsw, ivfflat) takes: https://github.com/pgvector/pgvector#reference
_MOST = {"vector": 16_000, "halfvec": 16_000}
_INDEXED = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000}
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\0": "\ufffd"}
)
"""https://www.postgresql.org/docs/current/sql-copy.html, "Text Format". Text of PostgreSQL has no character 0."""


def type_of(matrix: Matrix, wanted: VectorType | None) -> VectorType:
    """The type of the column: as wanted, else bit for codes and vector for others.

    Raises WrongOptions for bits of what is no code, BadInput for more dimensions than the type has.
    """
    codes = matrix.dtype == np.int8
    kind: VectorType = wanted or ("bit" if codes else "vector")
    if kind == "bit" and not codes:
        raise WrongOptions("--vector bit is for codes. Found: other vectors. Take vector or halfvec.")
    dimensions = matrix.shape[1]
    if dimensions > _MOST.get(kind, dimensions):
        remedy = "--vector bit" if codes else "fewer --layers, --embedding with pca:COUNT, or codes"
        raise BadInput(
            f"A column {kind} of pgvector should have at most {_MOST[kind]:,} dimensions. Found: {dimensions:,}. "
            f"Take {remedy}."
        )
    return kind


def dimensions_of(matrix: Matrix, kind: VectorType) -> int:
    """Of the column: two bits of a code."""
    return 2 * matrix.shape[1] if kind == "bit" else matrix.shape[1]


def not_indexed(matrix: Matrix, kind: VectorType) -> str:
    """What to say of more dimensions than an index of pgvector takes, "" of others."""
    found = dimensions_of(matrix, kind)
    if found <= _INDEXED[kind]:
        return ""
    return (
        f"{kind}({found}) has more than the {_INDEXED[kind]:,} dimensions that pgvector's indexes take: searches go "
        "through all rows, and are exact"
    )


def statements(matrix: Matrix, kind: VectorType, path: Path) -> str:
    """What psql takes in the file with, and, as a comment, the query that finds the nearest rows."""
    if kind == "bit":
        operator, said = "<~>", "L1 of the codes"
    elif matrix.dtype == np.int8:
        operator, said = "<+>", "L1 of the codes"
    else:
        operator, said = "<=>", "1 - cosine"
    quoted = plain(str(path)).replace("'", "''")
    return "\n".join([
        "CREATE EXTENSION IF NOT EXISTS vector;",
        "CREATE TABLE images (path text, crop integer, split text, label text, "
        f"embedding {kind}({dimensions_of(matrix, kind)}));",
        rf"\copy images FROM '{quoted}' WITH (FORMAT text, ENCODING 'UTF8')",
        f"-- the ten nearest of an image, by {said}:",
        f"-- SELECT b.path, a.embedding {operator} b.embedding AS distance FROM images a, images b "  # noqa: S608
        "WHERE a.path = 'PATH' AND b.path <> a.path ORDER BY distance LIMIT 10;",
    ])  # fmt: skip


def write_copy(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, kind: VectorType) -> None:
    """Lines of path, crop, split, label and vector; an image without a label has NULL there."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for rows in batches:
            labels = (escaped(name) if name else r"\N" for name in label_names(rows.label, matrix.classes))
            columns = (map(escaped, texts(rows.path)), rows.crop.tolist(), map(escaped, texts(rows.split)), labels)
            for *known, vector in zip(*columns, _vectors(rows.values, kind), strict=True):
                file.write("\t".join(map(str, [*known, vector])) + "\n")


def escaped(text: str) -> str:
    """Text as a field of the format."""
    return text.translate(_ESCAPES)


def _vectors(values: np.ndarray, kind: VectorType) -> Iterable[str]:
    """Bits: first the plane of the +1, then that of the -1. Others with the fewest digits that read back the same."""
    if kind == "bit":
        bits = np.hstack([values > 0, values < 0]).astype(np.uint8) + ord("0")
        return (row.tobytes().decode("ascii") for row in bits)
    exact = values.astype(np.float16) if kind == "halfvec" and values.dtype != np.int8 else values
    return (f"[{','.join(map(str, numbers(row)))}]" for row in exact)
