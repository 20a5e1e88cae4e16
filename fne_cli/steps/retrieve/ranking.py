"""How far every query is from all images of the database, some queries at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import DoesNotFit, WrongOptions
from fne_cli.machine import processors
from fne_cli.numerics.codes.packed import PackedCodes, Rows
from fne_cli.numerics.neighbours.blocks import bytes_of, distances_of
from fne_cli.numerics.neighbours.distances import Comparable, Metric, between_groups, check_metric, default_metric
from fne_cli.numerics.neighbours.expansion import Mixing
from fne_cli.progress import Progress
from fne_cli.steps.retrieve.options import RetrievalOptions
from fne_cli.store.many.gather import allocate
from fne_cli.vectors.items import Items
from fne_cli.vectors.vectors import Vectors


@dataclass(frozen=True)
class Rankings:
    """The vectors of queries and of those that they are looked for among.

    own: (queries,) the place of each query among the others, -1 if it is not there.
    """

    queries: Items
    among: Items
    own: np.ndarray
    asked: Rows
    known: Rows
    metric: Metric
    options: RetrievalOptions
    memory: int

    @classmethod
    def of(cls, vectors: Vectors, queries: Items, among: Items, options: RetrievalOptions, pool: Executor) -> Rankings:
        """Read the vectors, and mix those of the database with their neighbours if that is asked for.

        Raises WrongOptions for what does not go with these vectors, DoesNotFit.
        """
        metric = options.metric or default_metric(vectors.ternary)
        check_metric(metric, vectors.ternary)
        if options.expand or options.augment:
            _check_mixing(vectors, metric)
        asked = vectors.rows(queries.images)
        known = asked if np.array_equal(queries.images, among.images) else vectors.rows(among.images)
        places = {name: place for place, name in enumerate(among.names)}
        own = np.array([places.get(name, -1) for name in queries.names], np.int64)
        found = cls(queries, among, own, asked, known, metric, options, vectors.memory)
        return found._augmented(pool) if options.augment else found

    @property
    def block(self) -> int:
        """How many queries are compared at a time. Raises DoesNotFit if the memory has no room for one."""
        features, ternary = self.known.shape[1], isinstance(self.known, PackedCodes)
        each = -(-self.queries.rows // len(self.queries))
        for count in (1024, 256, 64, 16, 4, 1):
            rows = count * each
            # beside the distances of rows: the same put in order, or those of the expanded queries, and of items
            needed = bytes_of(rows, self.among.rows, features, processors(), ternary) + 2 * 8 * rows * self.among.rows
            needed += self._reranked_bytes(features, ternary)
            if needed <= self.memory // 2:
                return count
        raise DoesNotFit(
            f"The distances of a query to {len(self.among):,} images should take at most {self.memory / 2**21:,.1f} "
            f"MiB. They take {needed / 2**20:,.1f} MiB. Allow more memory, or look among fewer images."
        )

    def _reranked_bytes(self, features: int, ternary: bool) -> int:
        """What all regions of the nearest images of a query take."""
        nearest = min(self.options.rerank, len(self.among)) * -(-self.among.rows // len(self.among))
        return nearest * (features // 2 + 16 if ternary else (4 + 3 * 8) * features)

    def distances(self, pool: Executor, progress: Progress) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of queries with their distances to all images, (queries, images); infinity for the query itself."""
        with progress.track(len(self.queries), "queries") as advance:
            for start in range(0, len(self.queries), self.block):
                block = slice(start, min(start + self.block, len(self.queries)))
                found = self._compared(block, pool)
                if self.options.expand:
                    found = self._expanded(block, found, pool)
                yield block, found
                advance(block.stop - block.start)

    def _compared(self, block: slice, pool: Executor) -> np.ndarray:
        if self.options.rerank:
            return self._reranked(block, pool)
        rows = self.asked[self.queries.rows_of(block)]
        found = self.queries.together(distances_of(rows, self.known, self.metric, pool), block, self.among)
        return self._without_own(block, found)

    def _without_own(self, block: slice, found: np.ndarray) -> np.ndarray:
        own = self.own[block]
        there = np.flatnonzero(own >= 0)
        found[there, own[there]] = np.inf
        return found

    def _reranked(self, block: slice, pool: Executor) -> np.ndarray:
        """Ranks: first of the nearest by the first region, compared by all of theirs, then of all others."""
        firsts = self.among.order[self.among.starts]
        asked = self.asked[self.queries.order[self.queries.starts[block]]]
        found = self._without_own(block, distances_of(asked, self.known, self.metric, pool, firsts))
        count = min(self.options.rerank, len(self.among))
        ends = np.append(self.among.starts, self.among.rows)
        for line, query in enumerate(range(block.start, block.stop)):
            order = np.argsort(found[line], kind="stable")
            nearest = np.sort(order[:count])
            rows = np.concatenate([self.among.order[ends[item] : ends[item + 1]] for item in nearest.tolist()])
            starts = np.concatenate([[0], np.cumsum(ends[nearest + 1] - ends[nearest])[:-1]])
            own = Comparable.of(self.asked[self.queries.rows_of(slice(query, query + 1))], self.metric)
            apart = between_groups(
                own.distances(Comparable.of(self.known[rows], self.metric)), np.zeros(1, np.int64), starts
            )[0]
            apart[np.isinf(found[line, nearest])] = np.inf
            order[:count] = nearest[np.argsort(apart, kind="stable")]
            out = np.isinf(found[line])
            found[line, order] = np.arange(len(order))
            found[line, out] = np.inf
        return found

    def _mixing(self, count: int) -> Mixing:
        return Mixing(count, self.options.power)

    def _expanded(self, block: slice, found: np.ndarray, pool: Executor) -> np.ndarray:
        assert isinstance(self.asked, np.ndarray) and isinstance(self.known, np.ndarray)  # as checked
        mixing = self._mixing(self.options.expand)
        rows = mixing.mixed(self.asked[self.queries.rows_of(block)], self.known, *_nearest(found, mixing.count))
        return self._without_own(block, distances_of(rows, self.known, self.metric, pool))

    def _augmented(self, pool: Executor) -> Rankings:
        assert isinstance(self.known, np.ndarray)
        mixing = self._mixing(self.options.augment)
        out = allocate(self.known.shape, np.float32, self.memory // 4)
        everyone = Rankings(
            self.among, self.among, np.arange(len(self.among)), self.known, self.known, self.metric, self.options,
            self.memory,
        )  # fmt: skip
        for start in range(0, len(self.among), everyone.block):
            block = slice(start, min(start + everyone.block, len(self.among)))
            found = everyone._compared(block, pool)
            out[block] = mixing.mixed(self.known[block], self.known, *_nearest(found, mixing.count))
        return Rankings(self.queries, self.among, self.own, self.asked, out, self.metric, self.options, self.memory)


def _check_mixing(vectors: Vectors, metric: Metric) -> None:
    """Raises WrongOptions for vectors that have no mean, or several rows."""
    if vectors.ternary or metric != "cosine":
        found = "codes" if vectors.ternary else f"--metric {metric}"
        raise WrongOptions(
            f"--expand and --augment take means of vectors, by the cosine. Found: {found}. Give activations with an "
            "--embedding that is none of codes."
        )
    if vectors.crops > 1:
        raise WrongOptions(
            f"--expand and --augment are for images of one vector. Found: {vectors.crops} crops of each."
        )


def _nearest(distances: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the nearest, (queries, count), -1 for none, and their cosines."""
    places = np.argsort(distances, axis=1, kind="stable")[:, :count]
    apart = np.take_along_axis(distances, places, axis=1)
    return np.where(np.isinf(apart), -1, places), np.where(np.isinf(apart), 0.0, 1 - apart)
