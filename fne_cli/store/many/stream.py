"""The two idioms of streaming steps over several files, reduce (fold) and map (transform), read ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.machine import processors
from fne_cli.store.format.layer import ChunkReader
from fne_cli.store.format.writer import Writer
from fne_cli.store.many.joined import BLOCK, COLUMNS, FileRows, JoinedFiles, RowBlock

Partial = TypeVar("Partial")
Result = TypeVar("Result")
Item = TypeVar("Item")

EVERYTHING = (0, None)
MAX_THREADS = 16


class RowStream:
    """All rows of some files, layer after layer, with at most `batch_rows` rows (at least one chunk) in memory.

    layers: names of those to read, by default all.
    """

    def __init__(self, files: JoinedFiles, batch_rows: int, layers: Sequence[str] | None = None) -> None:
        self.files, self.batch_rows = files, batch_rows
        self._layers = {name: files.layers[name] for name in (files.layers if layers is None else layers)}
        self._readers: dict[tuple[str, int], ChunkReader] = {}
        chunk_rows = max(reader.chunk_rows for readers in self._layers.values() for reader in readers)
        self._workers = threads(batch_rows, chunk_rows)

    def file_rows(self) -> Iterator[tuple[str, FileRows]]:
        """What `fold` goes through."""
        return ((layer, part) for layer in self._layers for part in self.files.file_rows(layer))

    def row_blocks(self) -> Iterator[tuple[str, RowBlock]]:
        """What `transform` goes through."""
        return ((layer, block) for layer in self._layers for block in self.files.row_blocks(layer))

    def spans(self, blocks: Iterable[tuple[str, FileRows | RowBlock]], row_bytes: int) -> list[tuple[int, int, int]]:
        """Cut what `fold` or `transform` goes through where it has `row_bytes` of stored rows.

        Returns the first, the last + 1, and the rows of each span.
        """
        found = []
        first = rows = held = number = 0
        for number, (layer, block) in enumerate(blocks, 1):
            reader, count = self._layers[layer][0], block.stop - block.start
            rows += count
            held += count * reader.features * reader.dtype.itemsize
            if held >= row_bytes:
                found.append((first, number, rows))
                first, rows, held = number, 0, 0
        return [*found, (first, number, rows)] if first < number else found

    def _ready(self, items: Iterable[tuple[str, Sequence[FileRows], Item]]) -> Iterator[Item]:
        """Items with what reads them: looking up where all chunks of a layer stand takes as long as reading some."""
        for layer, parts, item in items:
            for part in parts:
                if (layer, part.file) not in self._readers:
                    self._readers[layer, part.file] = self._layers[layer][part.file].by_chunks()
            yield item

    def fold(
        self,
        chosen: np.ndarray,
        new: Callable[[int], Partial],
        add: Callable[[Partial, np.ndarray, np.ndarray], None],
        span: Sequence[int | None] = EVERYTHING,
    ) -> Iterator[tuple[str, FileRows, Partial]]:
        """Yield (layer, part, what `add` makes of it), in order; of a `span` of the parts only.

        new(features) begins a part. add(partial, rows, numbers) is called in threads with a chunk and the numbers of
        its rows that belong to `chosen` images, (n,) bool. A chunk without any is not read.
        """
        files = self.files
        masks = [files.of_file(chosen, number) for number in range(len(files.files))]

        def work(item: tuple[str, FileRows]) -> tuple[str, FileRows, Partial]:
            layer, part = item
            reader, partial = self._readers[layer, part.file], new(files.layers[layer][0].features)
            for start, stop in reader.spans(part.start, part.stop):
                numbers = np.flatnonzero(_of_rows(masks[part.file], start, stop, files.crops))
                if len(numbers):
                    add(partial, reader.read(start, stop), numbers)
            return layer, part, partial

        items = self._ready((layer, (part,), (layer, part)) for layer, part in islice(self.file_rows(), *span))
        yield from in_order(work, items, self._workers)

    def transform(
        self,
        encode: Mapping[str, Callable[[np.ndarray, np.ndarray], None]],
        dtype: Any,
        blank: float,
        finish: Callable[[np.ndarray], Result],
        span: Sequence[int | None] = EVERYTHING,
    ) -> Iterator[tuple[str, Result]]:
        """Yield (layer, finish(out)) for all rows of all layers in row order, out being (rows, features) of `dtype`.

        encode[layer](rows, out) fills `out`; rows of bad images become `blank`. Both are called in threads. With a
        `span`, of these blocks only.
        """
        files, crops = self.files, self.files.crops

        def work(item: tuple[str, RowBlock]) -> tuple[str, Result]:
            layer, block = item
            features = files.layers[layer][0].features
            out = np.empty((block.stop - block.start, features), dtype)
            for part in block.parts:
                whole = len(block.parts) == 1
                own = out if whole else np.empty((part.stop - part.start, features), dtype)
                reader = self._readers[layer, part.file]
                for start, stop in reader.spans(part.start, part.stop):
                    encode[layer](reader.read(start, stop), own[start - part.start : stop - part.start])
                if not whole:
                    images = out.reshape(-1, crops, features)[part.first :: part.step]
                    images[: len(own) // crops] = own.reshape(-1, crops, features)
            bad = ~_of_rows(files.good, block.start, block.stop, crops)
            if bad.any():
                out[bad] = blank
            return layer, finish(out)

        items = self._ready((layer, block.parts, (layer, block)) for layer, block in islice(self.row_blocks(), *span))
        yield from in_order(work, items, self._workers)


def _of_rows(images: np.ndarray, start: int, stop: int, crops: int) -> np.ndarray:
    """For rows start ... stop - 1, the entry of their image."""
    return images[start:stop] if crops == 1 else images[np.arange(start, stop) // crops]


def copy_images(files: JoinedFiles, writer: Writer) -> None:
    """Fill the image table that the writer created after `files.table()`, in row order."""
    for name in COLUMNS:
        _, dtype = files.column_type(name)
        for start in range(0, len(files), BLOCK):
            writer.append_column(name, files.column(name, start, start + BLOCK).astype(dtype))


def threads(batch_rows: int, rows_each: int) -> int:
    """How many threads may hold `rows_each` rows each when `batch_rows` may be in memory: one at least, a core each."""
    return max(1, min(processors(), MAX_THREADS, batch_rows // max(1, rows_each)))


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield work(item) for each item, in their order, computed by `workers` threads.

    At most workers + 1 results wait, so memory is bounded. An error of an item is raised in its turn; leaving early
    waits for those that have begun and drops the others.
    """
    remaining = iter(items)
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fne-reader")
    try:
        pending.extend(pool.submit(work, item) for item in islice(remaining, workers + 1))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def refuse_infinite(files: JoinedFiles, layer: str, part: FileRows, chosen: np.ndarray) -> None:
    """Raise DamagedFile for the first row of a part that is not finite, among the `chosen` images, (n,) bool."""
    reader, mask = files.layers[layer][part.file], files.of_file(chosen, part.file)
    for start in range(part.start, part.stop, reader.chunk_rows):
        stop = min(start + reader.chunk_rows, part.stop)
        bad = ~np.isfinite(reader.read(start, stop)).all(axis=1) & mask[np.arange(start, stop) // files.crops]
        if bad.any():
            row = start + int(np.flatnonzero(bad)[0])
            path = files.files[part.file].column("images/path", row // files.crops, row // files.crops + 1)[0]
            raise DamagedFile(
                f"{files.files[part.file].path}: layer {layer}, row {row} ({path.decode(errors='replace')}) should "
                "have finite activations. Found: infinity or not a number.\n"
                "float16 ends at 65,504: extract with --dtype float32. fne verify lists all such rows."
            )
    raise AssertionError(f"{layer} {part}: finite values with an infinite sum of squares")
