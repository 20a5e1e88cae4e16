"""How well one layer, or all of a file, fits the classes."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.neighbours.nearest import unit
from fne_cli.numerics.transferability.neighbours import Neighbours
from fne_cli.numerics.transferability.products import ByFeatures, ByRows, Products
from fne_cli.numerics.transferability.scores import evidence, h_score
from fne_cli.steps.rank.sources import Part, Source

QUERIES = 5000  # rows whose neighbours are looked for; of more, so many drawn by chance


@dataclass(frozen=True)
class Fit:
    """How all layers, or one, fit the classes.

    log_me: as its authors' code has it. evidence: the same with all features in it, where they are more than rows.
    h_score: with a covariance that is shrunk by `shrinkage`. neighbours_accuracy: mean per-class accuracy of nearest
    neighbours.
    """

    name: str
    features: int
    log_me: float
    evidence: float
    h_score: float
    shrinkage: float
    neighbours_accuracy: float


@dataclass(frozen=True)
class Measuring:
    """neighbours: how many of them vote. seed: of the rows whose neighbours are looked for, if there are many."""

    neighbours: int
    seed: int

    def fit(self, source: Source, part: Part, pool: Executor) -> Fit:
        """Measure a part of a source, with a pool as `machine.thread_pool` makes it."""
        products = _products(source, part, pool)
        score, shrinkage = h_score(products)
        found = evidence(products.spectrum())
        accuracy = self._voted(source, part, products, pool)
        return Fit(part.name, part.features, found.log_me, found.whole, score, shrinkage, accuracy)

    def bytes_of(self, source: Source, part: Part) -> int:
        """What measuring a part takes: products and what is made of them, and the rows that are looked for."""
        side = min(source.count, part.features)
        held = 0 if _few_rows(source, part) else 8 * min(source.count, QUERIES) * part.features
        similar = 3 * 8 * min(source.count, QUERIES) * max(self.neighbours, 1024)
        widest = max(layer.features * layer.dtype.itemsize for layer in part.layers)
        columns = source.count * widest if _few_rows(source, part) else 0
        return 5 * 8 * side**2 + held + similar + columns

    def _voted(self, source: Source, part: Part, products: Products, pool: Executor) -> float:
        """Of the neighbours by the cosine of the angle between rows."""
        images = np.repeat(np.arange(len(source.images)), source.file.crops)
        queries = self._queries(source)
        found = Neighbours(queries, images, source.labels, min(self.neighbours, source.count - 1))
        if isinstance(products, ByRows):
            lengths = np.sqrt(products.gram.diagonal())
            scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            for start in range(0, source.count, 1024):
                span = slice(start, min(start + 1024, source.count))
                found.add(span, products.gram[queries, span] * scale[queries, None] * scale[span])
        else:
            looked_for = _rows_of(source, part, queries)
            for span, rows in source.batches(part):
                for start in range(0, len(rows), 1024):
                    block = unit(rows[start : start + 1024])
                    first = span.start + start
                    found.add(slice(first, first + len(block)), _similar(looked_for, block, pool))
        return found.accuracy(source.classes)

    def _queries(self, source: Source) -> np.ndarray:
        """Numbers of rows, ascending."""
        if source.count <= QUERIES:
            return np.arange(source.count)
        return np.sort(np.random.default_rng(self.seed).choice(source.count, QUERIES, replace=False))


def _few_rows(source: Source, part: Part) -> bool:
    return source.count <= part.features


def _products(source: Source, part: Part, pool: Executor) -> Products:
    if not _few_rows(source, part):
        return ByFeatures(source.labels, part.features, lambda: source.batches(part), pool)
    gram = np.zeros((source.count, source.count))
    for layer in part.layers:
        alone = Part(layer.name, (layer,))
        columns = np.empty((source.count, layer.features), layer.dtype)
        for span, rows in source.batches(alone):
            columns[span] = rows
        ByRows.add(gram, columns, pool)
    return ByRows(source.labels, part.features, gram)


def _rows_of(source: Source, part: Part, chosen: np.ndarray) -> np.ndarray:
    """Some rows, ascending numbers, of length 1."""
    found = np.empty((len(chosen), part.features))
    for span, rows in source.batches(part):
        first, last = np.searchsorted(chosen, (span.start, span.stop))
        found[first:last] = unit(rows[chosen[first:last] - span.start])
    return found


def _similar(looked_for: np.ndarray, block: np.ndarray, pool: Executor) -> np.ndarray:
    out = np.empty((len(looked_for), len(block)))

    def fill(start: int) -> None:
        np.matmul(looked_for[start : start + 512], block.T, out=out[start : start + 512])

    for _ in pool.map(fill, range(0, len(out), 512)):
        pass
    return out
