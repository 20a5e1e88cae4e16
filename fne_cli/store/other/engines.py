"""Indexes of engines that search vectors: faiss and usearch. Row r of each is line r + 2 of the table beside it.

Codes are bits here, the plane of the +1 and behind it that of the -1, each filled up with zeros to whole bytes: how
many bits of two rows differ is the L1 distance of their codes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.store.other.matrix import Matrix, MatrixBatch
from fne_cli.store.other.tables import tabled

_INNER_PRODUCT, _L2 = 0, 1  # faiss's numbers of metrics; binary indexes say the second
_GRAPH_BYTES = 512  # of usearch for each row beside the vector; 280 to 480 were seen with its default connectivity
_ARENA_BYTES = 1 << 25


def planes(codes: np.ndarray) -> np.ndarray:
    """(rows, bytes) uint8 of codes (rows, features) int8: bit j % 8 of byte j // 8, the lowest first, of each plane."""
    return np.hstack([np.packbits(bits, axis=1, bitorder="little") for bits in (codes > 0, codes < 0)])


def _bytes(matrix: Matrix) -> int:
    """Of a vector."""
    features = matrix.shape[1]
    return 2 * -(-features // 8) if matrix.dtype == np.int8 else 4 * features


def write_faiss(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """IndexBinaryFlat of codes, IndexFlatIP of others, as faiss.write_index and write_index_binary write them.

    Written here, in blocks: faiss itself would hold all of it. The layout is that of faiss/impl/index_write.cpp.
    """
    (rows, features), size = matrix.shape, _bytes(matrix)
    if matrix.dtype == np.int8:
        head = b"IBxF" + struct.pack("<iiq?i", 8 * size, size, rows, True, _L2) + struct.pack("<Q", rows * size)
    else:
        reserved = 1 << 20
        head = b"IxFI" + struct.pack("<iqqq?i", features, rows, reserved, reserved, True, _INNER_PRODUCT)
        head += struct.pack("<Q", rows * features)
    with open(path, "wb") as file:
        file.write(head)
        for batch in tabled(matrix, batches, table):
            file.write(_vectors(batch.values).tobytes())


def usearch_bytes(matrix: Matrix) -> int:
    """What usearch takes for an index while it is built."""
    return int(matrix.shape[0] * (1.1 * _bytes(matrix) + _GRAPH_BYTES)) + _ARENA_BYTES


def check_usearch(matrix: Matrix, memory: int) -> None:
    """Raises DoesNotFit for an index that the memory does not hold."""
    if (needed := usearch_bytes(matrix)) > memory:
        raise DoesNotFit(
            f"An index of usearch is built in memory: {matrix.shape[0]:,} rows should take at most "
            f"{memory / 2**20:,.1f} MiB. They take {needed / 2**20:,.1f} MiB. Allow more with --memory, export codes, "
            "or write a .faiss file, which streams."
        )


def write_usearch(matrix: Matrix, batches: Iterable[MatrixBatch], path: Path, table: Path | None) -> None:
    """An index of usearch with its default graph: by Hamming of bits for codes, by the cosine for others.

    Keys are the numbers of rows. One thread adds the rows, so that the same rows make the same bytes.
    """
    from usearch.index import Index

    codes = matrix.dtype == np.int8
    index = Index(
        ndim=8 * _bytes(matrix) if codes else matrix.shape[1],
        metric="hamming" if codes else "cos",
        dtype="b1" if codes else "f32",
    )
    for batch in tabled(matrix, batches, table):
        if len(batch):
            index.add(np.arange(len(index), len(index) + len(batch)), _vectors(batch.values), threads=1)
    index.save(str(path))


def _vectors(values: np.ndarray) -> np.ndarray:
    return planes(values) if values.dtype == np.int8 else np.ascontiguousarray(values, np.float32)
