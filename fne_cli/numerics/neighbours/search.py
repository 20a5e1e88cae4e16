"""The nearest images of many, or all within a distance: exact, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.machine import processors, thread_pool
from fne_cli.numerics.codes.packed import Rows, is_ternary, spans
from fne_cli.numerics.neighbours.distances import Metric, between_groups, of_codes
from fne_cli.numerics.neighbours.exact import Floats, margin
from fne_cli.numerics.neighbours.kept import candidates, candidates_of_cosines, insert
from fne_cli.numerics.neighbours.planes import FOUR, Planes

QUERIES, BLOCK = 4096, 1024
"""Rows that are looked for at a time, and rows that they are compared with, if the memory permits."""
_TILE_OF_CODES, _TILE_OF_FLOATS = 64, 512  # rows of a task at most
_LEAST = 16  # rows of a block

Side = Planes | Floats


@dataclass(frozen=True)
class Wanted:
    """What to find: the `count` nearest or, without, all `within` a distance, by a metric. An image has `crops` rows.

    The distance of images with several rows is the mean, over the query's rows, of the smallest distance to a row of
    the other.
    """

    metric: Metric
    count: int | None = None
    within: float = np.inf
    crops: int = 1


@dataclass(frozen=True)
class Found:
    """The neighbours of some queries, the nearest first; of equally distant images the first comes first.

    Those of query i are starts[i] ... starts[i + 1] - 1 of `places` (which images, int64) and `distances` (float64).
    """

    starts: np.ndarray
    places: np.ndarray
    distances: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Places and distances of one query's neighbours."""
        own = slice(self.starts[query], self.starts[query + 1])
        return self.places[own], self.distances[own]


def _block(columns: int, ternary: bool, most: int, memory: int) -> int:
    """How many rows may be compared at a time."""
    row = 128 * -(-columns // 512) if ternary else 8 * columns
    return max(_LEAST, min(most, memory // (8 * (row + 8 * BLOCK))))


def find(
    queries: Rows,
    rows: Rows,
    wanted: Wanted,
    memory: int,
    own: np.ndarray | None = None,
) -> Iterator[tuple[slice, Found]]:
    """Yield blocks of queries, as slices of images, and what was found for them, in order.

    queries, rows: of all images one after the other, both codes (PackedCodes or int8) or both floats; arrays or memory
    maps. own: for each query the image among `rows` that it is itself, -1 for none: it is no neighbour of its own.
    Memory and processors change the time, and no bit. Raises DoesNotFit if more than a quarter
    of `memory` bytes is found within the distance by a block of queries.
    """
    ternary, crops = is_ternary(queries[:1]) and is_ternary(rows[:1]), wanted.crops
    columns, total = rows.shape[1], len(queries) // crops
    if wanted.count is not None:
        wanted = replace(wanted, count=min(wanted.count, len(rows) // crops))
    most = min(QUERIES, len(queries), max(1, memory // 4 // (24 * (wanted.count or 1))))
    asked = _images(_block(columns, ternary, most, memory), crops)
    block = _images(_block(columns, ternary, min(BLOCK, len(rows)), memory), crops)
    units = [np.empty((0 if ternary else images * crops, columns), np.float32) for images in (asked, block)]
    with thread_pool() as pool:
        for number in range(0, total, asked):
            span = slice(number, min(number + asked, total))
            side = _side(queries[_rows(span, crops)], ternary, pool, units[0])
            kept = _Kept(span.stop - span.start, wanted, memory // 4, None if own is None else own[span])
            share = -(-(span.stop - span.start) * crops // processors())
            tile = _images(min(share, _TILE_OF_CODES if ternary else _TILE_OF_FLOATS), crops)
            for other in spans(len(rows) // crops, block):
                against = _side(rows[_rows(other, crops)], ternary, pool, units[1])
                kept.look_at(side, against, other.start, tile, pool)
            yield span, kept.found()


def _images(rows: int, crops: int) -> int:
    """As many images as have about so many rows: a multiple of four, by which planes are cut."""
    return max(1, -(-rows // (FOUR * crops))) * FOUR


def _rows(images: slice, crops: int) -> slice:
    return slice(images.start * crops, images.stop * crops)


def _side(rows: Rows, ternary: bool, pool: Executor, units: np.ndarray) -> Side:
    """Rows made ready to be compared."""
    return Planes.of(rows) if ternary or not isinstance(rows, np.ndarray) else Floats.of(rows, pool, units)


class _Kept:
    """What has been found for a block of queries so far."""

    def __init__(self, queries: int, wanted: Wanted, memory: int, own: np.ndarray | None) -> None:
        self._wanted, self._memory = wanted, memory
        self._own = np.full(queries, -1) if own is None else own.astype(np.int64)
        count = wanted.count or 0
        self._distances = np.full((queries, count), np.inf)
        self._places = np.full((queries, count), -1)
        self._upper = np.full((queries, count), np.inf)  # bounds of the nearest, of those that were seen
        self._all = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]

    def look_at(self, side: Side, against: Side, first: int, tile: int, pool: Executor) -> None:
        """Compare the queries with images first, first + 1, ...; blocks come in order."""
        found = pool.map(lambda part: self._part(side, against, first, part), spans(len(self._own), tile))
        if self._wanted.count is None:
            self._all += found
            held = sum(places.nbytes * 3 for _, places, _ in self._all)
            if held > self._memory:
                each = sum(len(places) for _, places, _ in self._all) / len(self._own)
                raise DoesNotFit(
                    f"The images within a distance of {self._wanted.within:g} should take at most "
                    f"{self._memory / 2**20:,.1f} MiB for {len(self._own):,} queries. Found: {each:,.0f} for each, and "
                    "not all were looked at. Take a smaller --within, or --neighbours, or allow more memory."
                )
        else:
            list(found)

    def _part(self, side: Side, against: Side, first: int, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The queries `part`, of which some are: (pairs,) queries, places and distances within the distance."""
        wanted, crops = self._wanted, self._wanted.crops
        own = side.part(_rows(part, crops))
        state = (self._own[part] - first, self._upper[part], self._distances[part], wanted.within)
        if isinstance(own, Floats) and isinstance(against, Floats):
            euclid = wanted.metric == "euclid"
            if euclid or crops > 1:
                pairs = _pairs(candidates, *own.bounds(against, euclid, crops), *state)
            else:
                pairs = _pairs(candidates_of_cosines, own.products(against), margin(own.rows.shape[1]), *state)
            queries, places = pairs
            distances = own.distances(against, euclid, crops, queries, places)
        else:
            exact = _of_codes(own, against, wanted)
            queries, places = _pairs(candidates, exact, exact, *state)
            distances = exact[queries, places]
        if wanted.count is None:
            good = distances <= wanted.within
            return queries[good] + part.start, places[good] + first, distances[good]
        insert(queries, places + first, distances, self._distances[part], self._places[part], wanted.within)
        return queries[:0], places[:0], distances[:0]

    def found(self) -> Found:
        """All of it, in order."""
        if self._wanted.count is None:
            queries, places, distances = (np.concatenate(parts) for parts in zip(*self._all, strict=True))
            order = np.lexsort((places, distances, queries))
            counts = np.bincount(queries, minlength=len(self._own))
            return Found(np.concatenate([[0], np.cumsum(counts)]), places[order], distances[order])
        there = self._places >= 0
        starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        return Found(starts, self._places[there], self._distances[there])


def _of_codes(own: Side, against: Side, wanted: Wanted) -> np.ndarray:
    """(images, other images): how far apart they are."""
    assert isinstance(own, Planes)
    assert isinstance(against, Planes)
    found = of_codes(own, against, wanted.metric)
    if wanted.crops > 1:
        starts = (np.arange(0, size, wanted.crops) for size in found.shape)
        found = between_groups(found, *starts)
    return np.ascontiguousarray(found)


def _pairs(kernel: Callable[..., int], table: np.ndarray, *arguments: Any) -> tuple[np.ndarray, np.ndarray]:
    """The candidates, (pairs,) queries and places, that a kernel finds in a table (queries, places)."""
    queries, places = np.empty(table.size, np.int64), np.empty(table.size, np.int64)
    count = kernel(table, *arguments, queries, places)
    return queries[:count], places[:count]
