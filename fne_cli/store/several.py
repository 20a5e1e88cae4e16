"""Several activations files read as one, without merging them; the image table passes in blocks, never as a whole.

Row order: the shards of one extraction, all of them and in any order, stand as the unsharded extraction would have
them (image i is image i // N of shard i % N + 1), and count as that extraction, fingerprint included. Any other files
stand one after the other in the order given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.store.reader import LayerReader, Reader, open_file
from fne_cli.store.schema import GOOD, Images, choose, differences, fingerprint_of_blocks

BLOCK = 1 << 14  # images of the table in memory at once
TASK_CHUNKS = 4  # chunks that one thread reads at a time

COLUMNS = ("path", "split", "label", "status", "message", "sha256")
_TEXT = ("path", "split", "message", "sha256")


@dataclass(frozen=True)
class Part:
    """Rows start ... stop - 1 of the file with this number. They are images first, first + step, ... of their task."""

    file: int
    start: int
    stop: int
    first: int = 0
    step: int = 1


@dataclass(frozen=True)
class Task:
    """Rows start ... stop - 1 of the whole, and the parts they come from."""

    start: int
    stop: int
    parts: tuple[Part, ...]


class Several:
    """One or more activations files as one. Use as a context manager.

    `settings` are those of the extraction; `good` says which images have features, (n,) bool; `sources` names the
    files (or the extraction that they are all shards of) by fingerprint.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._stack = ExitStack()
        with self._stack as stack:
            self.files: list[Reader] = [stack.enter_context(open_file(path, "activations")) for path in paths]
            for file in self.files:
                _check_alike(self.files[0], file)
            self.crops = int(self.files[0].settings["crops"])
            shards = _whole(self.files)
            self.interleaved = shards is not None
            self.files = shards or self.files
            self.counts = [file.length("images/status") for file in self.files]
            self._check_columns()
            self.classes = self._merged_classes()
            status = np.concatenate([file.column("images/status", 0, n) for file, n in self._with_counts()])
            self.good = self._in_row_order(status == GOOD)
            if len(self.files) > 1 and not self.interleaved:
                self._check_distinct()
            self._stack = stack.pop_all()
        first = self.files[0]
        self.settings = first.settings if len(self.files) == 1 else without_shard(first.settings)
        self.layers: dict[str, list[LayerReader]] = {
            name: [_float_layer(file, name, layer) for file in self.files] for name, layer in first.layers.items()
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

    def _with_counts(self) -> Iterator[tuple[Reader, int]]:
        return zip(self.files, self.counts, strict=True)

    def sources(self) -> list[dict[str, str]]:
        """Kind and fingerprint of what was read."""
        if not self.interleaved:
            return [{"kind": file.kind, "fingerprint": file.fingerprint} for file in self.files]
        whole = fingerprint_of_blocks("activations", self.settings, [], self.blocks(), self.classes)
        return [{"kind": "activations", "fingerprint": whole}]

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

    def of_file(self, mask: np.ndarray, number: int) -> np.ndarray:
        """The entries of (n,) values in row order that belong to the images of one file."""
        if self.interleaved:
            return mask[number :: len(self.files)]
        before = sum(self.counts[:number])
        return mask[before : before + self.counts[number]]

    def _own_labels(self, name: str, part: Part, values: np.ndarray) -> np.ndarray:
        """Labels as indices of the classes of all files."""
        classes = self._classes[part.file]
        if name != "label" or classes == self.classes:
            return values
        place = {label: number for number, label in enumerate(self.classes)}
        target = np.array([place[label] for label in classes], np.int32)
        if values.ndim == 1:
            return np.where(values >= 0, target[np.maximum(values, 0)], values).astype(np.int32) if classes else values
        wider = np.zeros((len(values), len(self.classes)), values.dtype)
        wider[:, target] = values
        return wider

    def blocks(self) -> Iterator[Images]:
        """The image table, some thousand images at a time."""
        for start in range(0, len(self), BLOCK):
            columns: dict[str, Any] = {name: self.column(name, start, start + BLOCK) for name in COLUMNS}
            for name in _TEXT:
                columns[name] = [value.decode() for value in columns[name].tolist()]
            yield Images(classes=self.classes, **columns)

    def column_type(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape of an entry and type of a column that holds those of all files."""
        values = self.column(name, 0, 0)
        if name in _TEXT:
            width = max(file.column(f"images/{name}", 0, 0).dtype.itemsize for file in self.files)
            return (), h5py.string_dtype("utf-8", width)
        return values.shape[1:], values.dtype

    def chunks_of_files(self, layer: str) -> Iterator[Part]:
        """All rows of a layer, file after file, TASK_CHUNKS chunks at a time."""
        for number, reader in enumerate(self.layers[layer]):
            step = reader.chunk_rows * TASK_CHUNKS
            for start in range(0, reader.shape[0], step):
                yield Part(number, start, min(start + step, reader.shape[0]))

    def tasks(self, layer: str) -> Iterator[Task]:
        """All rows of a layer in row order, cut at chunk borders: TASK_CHUNKS of one file, or one of every shard.

        The cut does not depend on the batch size.
        """
        crops = self.crops
        images = max(1, max(reader.chunk_rows for reader in self.layers[layer]) // crops)
        if self.interleaved:
            # whole chunks of every shard if they are not too many for the memory
            features = self.layers[layer][0].features
            most = max(1, (1 << 24) // max(1, features * crops * len(self.files)))
            images = min(images, most) * len(self.files)
            for start in range(0, len(self), images):
                stop = min(start + images, len(self))
                yield Task(start * crops, stop * crops, tuple(self._parts(start, stop, crops)))
            return
        offsets = [sum(self.counts[:number]) * crops for number in range(len(self.files))]
        for part in self.chunks_of_files(layer):
            yield Task(offsets[part.file] + part.start, offsets[part.file] + part.stop, (part,))

    def _parts(self, start: int, stop: int, crops: int) -> Iterator[Part]:
        """Where images start ... stop - 1 stand, in rows of `crops` an image."""
        count = len(self.files)
        if self.interleaved:
            for number in range(count):
                first, last = -(-(start - number) // count), -(-(stop - number) // count)
                first = max(0, first)
                if last > first or stop == start:
                    yield Part(number, first * crops, last * crops, first * count + number - start, count)
            return
        before = 0
        for number, size in enumerate(self.counts):
            first, last = max(start, before), min(stop, before + size)
            if first < last or (stop == start and number == 0):
                yield Part(number, (first - before) * crops, (last - before) * crops, first - start)
            before += size

    def _in_row_order(self, values: np.ndarray) -> np.ndarray:
        if not self.interleaved:
            return values
        ordered, before, count = np.empty_like(values), 0, len(self.files)
        for number, size in enumerate(self.counts):
            ordered[number::count] = values[before : before + size]
            before += size
        return ordered

    def _check_columns(self) -> None:
        for file, count in self._with_counts():
            lengths = {file.length(f"images/{name}") for name in COLUMNS}
            if lengths != {count}:
                raise DamagedFile(f"{file.path} should have images columns of one length. Found: {sorted(lengths)}.")
            for name in _TEXT:
                found = file.column(f"images/{name}", 0, 0).dtype
                if found.kind != "S":
                    raise DamagedFile(f"{file.path}: images/{name} should hold UTF-8 of fixed length. Found: {found}.")
            for start in range(0, count, BLOCK):
                label = file.column("images/label", start, start + BLOCK)
                if label.ndim == 1 and not (label.min() >= -1 and label.max() < file.length("classes")):
                    raise DamagedFile(f"{file.path}: images/label has values outside its classes.")

    def _merged_classes(self) -> list[str]:
        self._classes = [
            [name.decode(errors="replace") for name in file.column("classes", 0, file.length("classes")).tolist()]
            for file in self.files
        ]
        if all(classes == self._classes[0] for classes in self._classes):
            return self._classes[0]
        return sorted({name for classes in self._classes for name in classes})

    def _check_distinct(self) -> None:
        """No image may stand in two of the files. Compares 8 bytes of hash of each path, then the paths that agree."""
        hashes = np.concatenate([_hashes(file, count) for file, count in self._with_counts()])
        ordered = np.sort(hashes)
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(repeated):
            return
        seen: dict[bytes, Path] = {}
        for image in np.flatnonzero(np.isin(hashes, repeated)).tolist():
            (part,) = self._parts(image, image + 1, 1)
            file = self.files[part.file]
            path = file.column("images/path", part.start, part.stop).tolist()[0]
            if path in seen:
                raise BadInput(
                    f"Every image should be in one of the files. Found: {path.decode(errors='replace')} in "
                    f"{seen[path]} and in {file.path}."
                )
            seen[path] = file.path

    def close(self) -> None:
        """Close all files."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def without_shard(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of an extraction, whichever part of the images it was of."""
    return {name: value for name, value in settings.items() if name != "shard"}


def _check_alike(first: Reader, other: Reader) -> None:
    crops = other.settings.get("crops")
    if not isinstance(crops, int) or crops < 1 or not other.layers:
        raise DamagedFile(f"{other.path} should have layers, and its number of crops. Found: {crops!r} crops.")
    apart = differences(without_shard(first.settings), without_shard(other.settings))
    label = [file.column("images/label", 0, 0).ndim for file in (first, other)]
    if label[0] != label[1]:
        apart.append("labels: one per image in one file, several in the other")
    if apart:
        lines = [line.replace("in the existing output", "there").replace("asked for", "here") for line in apart]
        raise WrongFile(
            f"{other.path} (there) should be made like {first.path} (here). Found:\n  "
            + "\n  ".join(lines)
            + "\nFiles that are read as one need the same network, layers and preprocessing."
        )


def _whole(files: Sequence[Reader]) -> list[Reader] | None:
    """The files in the order of their shard numbers if they are all shards of one extraction, else None."""
    shards = [file.settings.get("shard") for file in files]
    if len(files) < 2 or not all(
        isinstance(shard, dict) and {"number", "of", "images"} <= set(shard) for shard in shards
    ):
        return None
    table = {shard["number"]: file for shard, file in zip(shards, files, strict=True) if shard}
    others = [{name: value for name, value in shard.items() if name != "number"} for shard in shards if shard]
    count, total = others[0]["of"], others[0]["images"]
    if any(other != others[0] for other in others) or set(table) != set(range(1, len(files) + 1)):
        return None
    ordered = [table[number] for number in sorted(table)]
    if count != len(files) or not isinstance(total, int):
        return None
    sizes = [file.length("images/status") for file in ordered]
    return ordered if sizes == [-(-(total - number) // count) for number in range(count)] else None


def _float_layer(file: Reader, name: str, like: LayerReader) -> LayerReader:
    layer = file.layers.get(name)
    if layer is None or layer.shape[1:] != like.shape[1:] or layer.dtype not in (np.float32, np.float16):
        found = "none" if layer is None else f"{layer.dtype} of {layer.shape[1:]}"
        raise DamagedFile(
            f"{file.path} should have a layer {name} of float32 or float16, {like.shape[1:]} a row. Found: {found}."
        )
    return layer


def _hashes(file: Reader, count: int) -> np.ndarray:
    import hashlib

    result = np.empty(count, np.uint64)
    for start in range(0, count, BLOCK):
        paths = file.column("images/path", start, start + BLOCK).tolist()
        digest = b"".join(hashlib.blake2b(path, digest_size=8).digest() for path in paths)
        result[start : start + len(paths)] = np.frombuffer(digest, np.uint64)
    return result
