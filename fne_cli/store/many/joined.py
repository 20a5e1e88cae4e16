"""Several files of activations, or of codes, read as one without merging them; the image table passes in blocks.

Row order: the shards of one extraction, all of them and in any order, stand as the unsharded extraction would have
them (image i is image i // N of shard i % N + 1), and count as that extraction, fingerprint included. Any other files
stand one after the other in the order given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.format.columns import TextColumn, relabelled
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import (
    GOOD,
    Images,
    choose,
    fingerprint,
    fingerprint_of_blocks,
    shard_of,
    without_shard,
)
from fne_cli.store.format.table import Table
from fne_cli.store.many import alike

BLOCK = 1 << 12  # images of the table in memory at once
_BLOCK_VALUES = 1 << 24  # of all shards, read at a time
BLOCK_CHUNKS = 4  # chunks that one thread reads at a time

COLUMNS = ("path", "split", "label", "status", "message", "sha256")
_TEXT = ("path", "split", "message", "sha256")


@dataclass(frozen=True)
class FileRows:
    """Rows start ... stop - 1 of a file, by its number. They are images first, first + step, ... of their block."""

    file: int
    start: int
    stop: int
    first: int = 0
    step: int = 1


@dataclass(frozen=True)
class RowBlock:
    """Rows start ... stop - 1 of the whole, and the parts they come from."""

    start: int
    stop: int
    parts: tuple[FileRows, ...]


class JoinedFiles:
    """One or more files of one of `kinds` (activations, codes; default: activations) as one. Use as a context manager.

    complete: whether they must be all shards of one extraction. `settings` are those of the whole; `good` says which
    images have features, (n,) bool.
    """

    def __init__(self, paths: Path | Sequence[Path], *kinds: str, complete: bool = False) -> None:
        self.paths = (paths,) if isinstance(paths, Path) else tuple(paths)
        kinds = kinds or ("activations",)
        self._stack = ExitStack()
        with self._stack as stack:
            self.files: list[Reader] = [stack.enter_context(open_file(path, *kinds)) for path in self.paths]
            if complete:
                alike.check_complete(self.files)
            for file in self.files[1:]:
                alike.check_alike(self.files[0], file)
            self.crops = int(self.files[0].settings["crops"])
            shards = alike.in_shard_order(self.files) if len(self.files) > 1 else None
            self.interleaved = shards is not None
            self.files = shards or self.files
            self.counts = [file.length("images/status") for file in self.files]
            for file in self.files:
                file.check_images()
                if not file.layers:
                    raise DamagedFile(f"{file.path} should have layers. Found: none.\nMake the file again.")
            self.classes = self._merged_classes()
            tables = zip(self.files, self.counts, strict=True)
            status = np.concatenate([file.column("images/status", 0, count) for file, count in tables])
            self.good = self._in_row_order(status == GOOD)
            if len(self.files) > 1 and not self.interleaved:
                alike.check_distinct(self.files, self.counts)
            self._stack = stack.pop_all()
        first = self.files[0]
        self.kind, whole = first.kind, len(self.files) == 1
        self.settings = first.settings if whole else without_shard(first.settings)
        self.layers: dict[str, list[LayerReader]] = {
            name: [layer, *(alike.alike_layer(file, name, layer) for file in self.files[1:])]
            for name, layer in first.layers.items()
        }

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """Rows of every layer."""
        return len(self) * self.crops

    @property
    def name(self) -> str:
        """The file, or the first and how many more."""
        more = len(self.paths) - 1
        return f"{self.paths[0]} and {more} more" if more else str(self.paths[0])

    @property
    def absent(self) -> str:
        """What to tell a user who gives some shards of an extraction and not all; "" if there is nothing to tell."""
        return alike.absent_shards(self.files) if any(shard_of(file.settings) for file in self.files) else ""

    def sources(self) -> list[dict[str, str]]:
        """Kind and fingerprint of what was read."""
        if not self.interleaved:
            return [{"kind": file.kind, "fingerprint": file.fingerprint} for file in self.files]
        if self.kind == "activations":
            return [self._extraction]
        return [{"kind": self.kind, "fingerprint": fingerprint(self.kind, self.settings, self.made_of())}]

    def made_of(self) -> list[Any]:
        """What the files were made of: the sources of the file that would hold them all."""
        if not self.interleaved:
            sources = [source for file in self.files for source in file.sources]
            return [source for number, source in enumerate(sources) if source not in sources[:number]]
        return [] if self.kind == "activations" else [self._extraction, *alike.beside_activations(self.files[0])]

    @cached_property
    def _extraction(self) -> dict[str, str]:
        """Kind and fingerprint of the extraction that the files are all shards of, or were made of."""
        settings = self.settings if self.kind == "activations" else self.settings["activations"]
        whole = fingerprint_of_blocks("activations", settings, [], self.blocks(), self.classes)
        return {"kind": "activations", "fingerprint": whole}

    @property
    def fingerprints(self) -> dict[Path, str]:
        """Of each file."""
        return {file.path: file.fingerprint for file in self.files}

    def chosen(self, rows: str | None) -> tuple[str, np.ndarray]:
        """As Images.chosen: the name of the choice and (n,) bool."""
        names: dict[str, int] = {}
        index = np.zeros(len(self), np.int32)
        for start in range(0, len(self), BLOCK):
            split = self.column("split", start, start + BLOCK)
            found, places = np.unique(split, return_inverse=True)
            index[start : start + BLOCK] = np.array([names.setdefault(name.decode(), len(names)) for name in found])[
                places
            ]
        return choose(rows, names, index, self.good)

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Images start ... stop - 1 (or the last) of a column of the image table, in row order."""
        stop = min(stop, len(self))
        parts = [
            (part, self._own_labels(name, part, self.files[part.file].column(f"images/{name}", part.start, part.stop)))
            for part in self._parts(start, stop, 1)
        ]
        if len(parts) == 1:
            return parts[0][1]
        result = np.zeros((stop - start, *parts[0][1].shape[1:]), max(values.dtype for _, values in parts))
        for part, values in parts:
            result[part.first :: part.step][: len(values)] = values
        return result

    def read(self, layer: str, start: int, stop: int) -> np.ndarray:
        """The rows of images start ... stop - 1 as (rows, features), unpacked."""
        readers, crops = self.layers[layer], self.crops
        shape = (stop - start, crops, readers[0].features)
        parts = list(self._parts(start, stop, crops))
        if len(parts) == 1:
            return readers[parts[0].file].read(parts[0].start, parts[0].stop)
        result = np.empty(shape, max(reader.dtype for reader in readers))
        for part in parts:
            rows = readers[part.file].read(part.start, part.stop)
            result[part.first :: part.step][: len(rows) // crops] = rows.reshape(-1, *shape[1:])
        return result.reshape(-1, shape[2])

    def of_file(self, mask: np.ndarray, number: int) -> np.ndarray:
        """The entries of (n,) values in row order that belong to the images of one file."""
        if self.interleaved:
            return mask[number :: len(self.files)]
        before = sum(self.counts[:number])
        return mask[before : before + self.counts[number]]

    def _own_labels(self, name: str, part: FileRows, values: np.ndarray) -> np.ndarray:
        """Labels as indices of the classes of all files."""
        return values if name != "label" else relabelled(values, self._classes[part.file], self.classes)

    def blocks(self) -> Iterator[Images]:
        """The image table, some thousand images at a time."""
        for start in range(0, len(self), BLOCK):
            columns: dict[str, Any] = {name: self.column(name, start, start + BLOCK) for name in COLUMNS}
            for name in _TEXT:
                columns[name] = [value.decode() for value in columns[name].tolist()]
            yield Images(classes=self.classes, **columns)

    @cached_property
    def images(self) -> Images:
        """The whole image table; its columns of text are read while the files are open."""
        if len(self.files) == 1:
            return self.files[0].images
        text = {name: TextColumn(len(self), partial(self.column, name)) for name in _TEXT}
        label, status = (self.column(name, 0, len(self)) for name in ("label", "status"))
        return Images(label=label, status=status, classes=self.classes, **text)

    def select(self, patterns: Sequence[str]) -> list[str]:
        """The names of the layers that these names and globs match, all without any. Raises BadInput as Reader does."""
        return list(self.files[0].select(patterns) if patterns else self.layers)

    def column_type(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape of an entry and type of a column that holds those of all files."""
        values = self.column(name, 0, 0)
        if name in _TEXT:
            width = max(file.column(f"images/{name}", 0, 0).dtype.itemsize for file in self.files)
            return (), h5py.string_dtype("utf-8", width)
        return values.shape[1:], values.dtype

    def table(self) -> Table:
        """The image table that holds those of all files."""
        return Table(len(self), {name: self.column_type(name) for name in COLUMNS}, self.classes)

    def file_rows(self, layer: str) -> Iterator[FileRows]:
        """All rows of a layer, file after file, BLOCK_CHUNKS chunks at a time."""
        for number, reader in enumerate(self.layers[layer]):
            step = reader.chunk_rows * BLOCK_CHUNKS
            for start in range(0, reader.shape[0], step):
                yield FileRows(number, start, min(start + step, reader.shape[0]))

    def row_blocks(self, layer: str) -> Iterator[RowBlock]:
        """All rows of a layer in row order, cut at chunk borders: BLOCK_CHUNKS of one file, or one of every shard.

        The cut does not depend on the batch size.
        """
        crops = self.crops
        images = max(1, max(reader.chunk_rows for reader in self.layers[layer]) // crops)
        if self.interleaved:
            # whole chunks of every shard if they are not too many for the memory
            features = self.layers[layer][0].features
            most = max(1, _BLOCK_VALUES // max(1, features * crops * len(self.files)))
            images = min(images, most) * len(self.files)
            for start in range(0, len(self), images):
                stop = min(start + images, len(self))
                yield RowBlock(start * crops, stop * crops, tuple(self._parts(start, stop, crops)))
            return
        offsets = [sum(self.counts[:number]) * crops for number in range(len(self.files))]
        for part in self.file_rows(layer):
            yield RowBlock(offsets[part.file] + part.start, offsets[part.file] + part.stop, (part,))

    def _parts(self, start: int, stop: int, crops: int) -> Iterator[FileRows]:
        """Where images start ... stop - 1 stand, in rows of `crops` an image."""
        count = len(self.files)
        if self.interleaved:
            for number in range(count):
                first, last = -(-(start - number) // count), -(-(stop - number) // count)
                first = max(0, first)
                if last > first or stop == start:
                    yield FileRows(number, first * crops, last * crops, first * count + number - start, count)
            return
        before = 0
        for number, size in enumerate(self.counts):
            first, last = max(start, before), min(stop, before + size)
            if first < last or (stop == start and number == 0):
                yield FileRows(number, (first - before) * crops, (last - before) * crops, first - start)
            before += size

    def _in_row_order(self, values: np.ndarray) -> np.ndarray:
        if not self.interleaved:
            return values
        ordered, before, count = np.empty_like(values), 0, len(self.files)
        for number, size in enumerate(self.counts):
            ordered[number::count] = values[before : before + size]
            before += size
        return ordered

    def _merged_classes(self) -> list[str]:
        self._classes = [file.class_names() for file in self.files]
        same = all(classes == self._classes[0] for classes in self._classes)
        return self._classes[0] if same else sorted({name for classes in self._classes for name in classes})

    def close(self) -> None:
        """Close all files."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
