"""The tables that a behavior file is made from, a layer and then a block of its features at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import numpy as np

from fne_cli.machine import thread_pool
from fne_cli.numerics.statistics.behavior import Groups, mean_scores, signed_ks, sorted_keys
from fne_cli.numerics.statistics.moments import Moments, Sums
from fne_cli.numerics.statistics.noise import RandomClasses
from fne_cli.progress import Progress
from fne_cli.store.many.gather import allocate
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.stream import RowStream, refuse_infinite
from fne_cli.tasks.engine import TaskSizes

BATCH_ROWS = 32768
BLOCK_BYTES = 1 << 20  # of sorted keys in a thread: they stay in its cache


class BehaviorTables:
    """The tables to be: s, z (features, k) of all layers, |s| of random classes (sizes * draws, features).

    columns: of every layer only these features.
    """

    def __init__(
        self,
        files: JoinedFiles,
        chosen: np.ndarray,
        images: np.ndarray,
        groups: Groups,
        memory: int,
        columns: slice = slice(None),
    ) -> None:
        self.files, self.chosen, self.images, self.groups, self.memory = files, chosen, images, groups, memory
        self._columns = columns
        widths = [len(range(readers[0].features)[columns]) for readers in files.layers.values()]
        edges = [0, *np.cumsum(widths).tolist()]
        self.spans = {name: slice(*edges[n : n + 2]) for n, name in enumerate(files.layers)}
        self.features = edges[-1]
        self.s, self.z = (allocate((self.features, len(files.classes)), np.float32, memory // 8) for _ in range(2))
        self._places = np.full(len(files), -1)
        self._places[images] = np.arange(len(images))

    def strengths(self, random: RandomClasses) -> np.ndarray:
        """Room for |s| of the random classes, float32."""
        return allocate((len(random.sizes) * random.draws, self.features), np.float32, self.memory // 4)

    def blocks(self, sizes: TaskSizes) -> Iterator[tuple[str, slice, slice]]:
        """The features in blocks for as many tasks: layer, which of its features, where they stand in the tables."""
        most = max(1, min(sizes.features, sizes.feature_bytes // (8 * len(self.images))))
        for layer, span in self.spans.items():
            width = span.stop - span.start
            edges = np.linspace(0, width, -(-width // most) + 1).astype(int).tolist()
            for start, stop in pairwise(edges):
                yield layer, slice(start, stop), slice(span.start + start, span.start + stop)

    def compute(self, random: RandomClasses, progress: Progress) -> np.ndarray:
        """Fill the tables; returns that of the random classes."""
        strengths = self.strengths(random)
        step = max(1, BLOCK_BYTES // (8 * len(self.images)))
        with progress.track(self.features, "features") as advance, thread_pool() as pool:
            for layer, span in self.spans.items():
                values, moments = self._read(layer)

                def work(start: int, at: int = span.start, values: np.ndarray = values, own: Moments = moments) -> int:
                    block = np.ascontiguousarray(values[start : start + step])
                    keys, place = sorted_keys(block), slice(at + start, at + start + len(block))
                    part = slice(start, start + len(block))
                    self.s[place] = signed_ks(keys, self.groups)
                    self.z[place] = mean_scores(block, self.groups, own.mean[part], own.std[part])
                    random.strengths(keys, strengths[:, place])
                    return len(block)

                for count in pool.map(work, range(0, len(values), step)):
                    advance(count)
        return strengths

    def _read(self, layer: str) -> tuple[np.ndarray, Moments]:
        """The values of all labelled images, (features, images), crops averaged; the moments of all chosen rows."""
        files, crops = self.files, self.files.crops
        features = self.spans[layer].stop - self.spans[layer].start
        values = allocate((features, len(self.images)), np.float32 if crops == 1 else np.float64, self.memory // 2)
        total = Sums(features)
        places = [files.of_file(self._places, number) for number in range(len(files.files))]
        stream = RowStream(files, BATCH_ROWS, [layer])
        for _, part, piece in stream.fold(self.chosen, partial(_Piece, self._columns), _Piece.add):
            if not piece.sums.finite:
                refuse_infinite(files, layer, part, self.chosen)
            total.merge(piece.sums)
            if piece.columns:
                columns = np.concatenate(piece.columns, axis=1)
                rows = part.start + np.flatnonzero(self._of_part(part.file, part.start, part.stop))
                at = places[part.file][rows // crops]
                _put(values, columns, at, rows % crops, crops)
        if crops > 1:
            values /= crops
        return values, total.moments()

    def _of_part(self, file: int, start: int, stop: int) -> np.ndarray:
        return self.files.of_file(self.chosen, file)[np.arange(start, stop) // self.files.crops]


class _Piece:
    """Some columns of the rows of a part: their sums, and the columns themselves."""

    def __init__(self, chosen: slice, features: int) -> None:
        self.sums = Sums(len(range(features)[chosen]))
        self.chosen = chosen
        self.columns: list[np.ndarray] = []

    def add(self, rows: np.ndarray, numbers: np.ndarray) -> None:
        """Add the rows with these numbers."""
        rows = np.ascontiguousarray(rows[:, self.chosen])
        self.sums.add(rows, numbers)
        self.columns.append(np.ascontiguousarray(rows[numbers].T, np.float32))


def _put(values: np.ndarray, columns: np.ndarray, at: np.ndarray, crop: np.ndarray, crops: int) -> None:
    """Write columns to their images' places, -1 for none; several crops are added up in the order they stand in."""
    for number in range(crops):
        own = np.flatnonzero((crop == number) & (at >= 0))
        if not len(own):
            continue
        first, last = int(at[own[0]]), int(at[own[-1]])
        if last - first + 1 == len(own) == columns.shape[1]:
            values[:, first : last + 1] += columns
        else:
            values[:, at[own]] += columns[:, own]
