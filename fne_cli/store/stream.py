"""The two idioms of streaming steps over several files, reduce (fold) and map (transform), read ahead in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from fne_cli.store.direct import Checksum, DirectLayer
from fne_cli.store.prefetch import in_order, threads
from fne_cli.store.several import BLOCK, COLUMNS, Part, Several, Task
from fne_cli.store.writer import Writer

Partial = TypeVar("Partial")


class Stream:
    """All rows of some files, layer by layer, with at most `batch_rows` rows (at least one chunk) in memory."""

    def __init__(self, files: Several, batch_rows: int, checksum: Checksum) -> None:
        self.files = files
        self._batch_rows = batch_rows
        self._checksum = checksum

    def fold(
        self,
        layer: str,
        chosen: np.ndarray,
        new: Callable[[], Partial],
        add: Callable[[Partial, np.ndarray, np.ndarray], None],
    ) -> Iterator[tuple[Part, Partial]]:
        """Yield what `add` makes of each part of a layer, in order.

        add(partial, rows, numbers) is called in threads with a chunk and the numbers of its rows that belong to
        `chosen` images, (n,) bool. A chunk without any is not read.
        """
        readers = [DirectLayer(reader, self._checksum) for reader in self.files.layers[layer]]
        masks = [self.files.of_file(chosen, number) for number in range(len(readers))]

        def work(part: Part) -> tuple[Part, Partial]:
            partial = new()
            for start, stop in readers[part.file].spans(part.start, part.stop):
                numbers = np.flatnonzero(_of_rows(masks[part.file], start, stop, self.files.crops))
                if len(numbers):
                    add(partial, readers[part.file].read(start, stop), numbers)
            return part, partial

        yield from in_order(work, self.files.chunks_of_files(layer), self._threads(layer))

    def transform(
        self, layer: str, encode: Callable[[np.ndarray, np.ndarray], None], dtype: Any, blank: float
    ) -> Iterator[np.ndarray]:
        """Yield (rows, features) of `dtype` for all rows of a layer, in row order.

        encode(rows, out) is called in threads and fills `out`; rows of bad images become `blank`.
        """
        files, crops = self.files, self.files.crops
        readers = [DirectLayer(reader, self._checksum) for reader in files.layers[layer]]
        features = files.layers[layer][0].features

        def work(task: Task) -> np.ndarray:
            out = np.empty((task.stop - task.start, features), dtype)
            for part in task.parts:
                whole = len(task.parts) == 1
                own = out if whole else np.empty((part.stop - part.start, features), dtype)
                for start, stop in readers[part.file].spans(part.start, part.stop):
                    rows = readers[part.file].read(start, stop)
                    encode(rows, own[start - part.start : stop - part.start])
                if not whole:
                    images = out.reshape(-1, crops, features)[part.first :: part.step]
                    images[: len(own) // crops] = own.reshape(-1, crops, features)
            out[~_of_rows(files.good, task.start, task.stop, crops)] = blank
            return out

        yield from in_order(work, files.tasks(layer), self._threads(layer))

    def _threads(self, layer: str) -> int:
        return threads(self._batch_rows, max(reader.chunk_rows for reader in self.files.layers[layer]))


def _of_rows(images: np.ndarray, start: int, stop: int, crops: int) -> np.ndarray:
    """For rows start ... stop - 1, the entry of their image."""
    return images[start:stop] if crops == 1 else images[np.arange(start, stop) // crops]


def copy_images(files: Several, writer: Writer) -> None:
    """Write the image table of the files, in row order, and their classes."""
    for name in COLUMNS:
        shape, dtype = files.column_type(name)
        writer.add_column(name, (len(files), *shape), dtype)
        for start in range(0, len(files), BLOCK):
            writer.append_column(name, files.column(name, start, start + BLOCK).astype(dtype))
    writer.set_classes(files.classes)
