"""Writing a file of the format: created whole, then filled row by row."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import BadInput
from fne_cli.store.format.chunks import Appender, create_column, read_rows
from fne_cli.store.format.columns import BLOCK_ROWS, text_column
from fne_cli.store.format.disk import WriteBehind, close_without_writing, close_written, in_memory, reserve, write_blank
from fne_cli.store.format.schema import ATTRIBUTE_BYTES, DIGEST_LENGTH, FORMAT, VERSION, Images, Layer
from fne_cli.store.format.seal import seal, unseal
from fne_cli.store.format.table import Table, create_classes, create_images, image_columns
from fne_cli.store.format.text import canonical_json

NOT_FINISHED = "0" * DIGEST_LENGTH


class Writer:
    """A file under construction at `path` (an OUTPUT.partial). Use as a context manager.

    One without rows, whose tables are small, is made in memory, and written to `path` as it is closed.
    """

    def __init__(self, file: h5py.File, path: Path, memory: bool = False) -> None:
        self._file, self._path, self._open = file, path, True
        self._columns: dict[str, Appender] = {}
        self._behind = None if memory else WriteBehind(file.id.get_vfd_handle())

    @classmethod
    def create(
        cls,
        path: Path,
        kind: str,
        layers: Sequence[Layer],
        rows: int,
        *,
        settings: Mapping[str, Any],
        sources: Any,
        software: Mapping[str, str],
        fingerprint: str = NOT_FINISHED,
        images: Images | None = None,
        table: Table | None = None,
    ) -> Self:
        """A new file in the existing file `path`, with `rows` rows in every layer and its space on the disk reserved.

        With `images`, the image table is written now and complete; with `table`, its columns are created, to be filled
        with `append_column`. Raises OSError if the disk is full.
        """
        heads = {"settings": settings, "sources": sources, "software": software}
        texts = {"format": FORMAT, "kind": kind} | {name: canonical_json(value) for name, value in heads.items()}
        if images is not None:
            table = Table.of(images)

        def fill(file: h5py.File) -> None:
            file.attrs["version"] = np.int64(VERSION)
            for name, text in texts.items():
                _set_attribute(file, name, text)
            file.attrs["fingerprint"] = _digest(fingerprint)
            if table is not None:
                create_images(file, table)
            group = file.create_group("layers")
            for number, layer in enumerate(layers):
                dataset = create_column(group, layer.name, (rows, *layer.row_shape), layer.dtype)
                for key, value in {"order": number, **layer.attrs}.items():
                    _set_attribute(dataset, key, value)

        write_blank(path, fill)
        if not layers and table is None:
            return cls(in_memory(path), path, memory=True)
        writer = cls.reopen(path)
        try:
            reserve(writer._file.id.get_vfd_handle(), os.path.getsize(path))
            if images is not None:
                writer._write_images(images)
        except BaseException:
            writer.abandon()
            raise
        return writer

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Go on with a file that `create` made; `close` seals it again."""
        unseal(path)
        # The chunk cache is of no use to a writer of whole chunks, and costs a megabyte for each layer.
        return cls(h5py.File(path, "r+", locking=False, rdcc_nbytes=0), path)

    def _write_images(self, images: Images) -> None:
        for start in range(0, len(images), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            self.append_images(images.status[block], images.message[block], images.sha256[block])
            for name in ("path", "split"):
                size = self._file[f"images/{name}"].dtype.itemsize
                self._column(f"images/{name}").append(text_column(getattr(images, name)[block], size))
            self._column("images/label").append(images.label[block])
        for column in self._columns.values():
            column.flush()
        self._columns = {}

    def append_column(self, name: str, values: np.ndarray) -> None:
        """Add entries to a column of the image table."""
        self._column(f"images/{name}").append(values)

    def _column(self, name: str, start: int = 0) -> Appender:
        if name not in self._columns:
            self._columns[name] = Appender(self._file[name], start)
        return self._columns[name]

    def seek(self, image: int, row: int) -> None:
        """Go on behind the first `image` images and `row` rows, keeping them."""
        self._columns = {}
        for name in ("status", "message", "sha256"):
            self._column(f"images/{name}", image)
        for name in self._file["layers"]:
            self._column(f"layers/{name}", row)

    def append(self, layer: str, rows: np.ndarray) -> None:
        """Add rows, (rows, *row_shape), to a layer."""
        self._column(f"layers/{layer}").append(rows)
        if self._behind is not None:
            self._behind.wrote(rows.nbytes)

    def append_images(self, status: np.ndarray, message: Sequence[str], sha256: Sequence[str]) -> None:
        """Add what is known of an image only once it has been read."""
        for name, values in image_columns(status, message, sha256).items():
            self._column(f"images/{name}").append(values)

    def replace(self, layer: str, numbers: np.ndarray, rows: np.ndarray) -> None:
        """Give rows of a layer, by ascending number, other values; `seek` or `append` has gone beyond them."""
        self._columns[f"layers/{layer}"].replace(numbers, rows)

    def replace_images(
        self, numbers: np.ndarray, status: np.ndarray, message: Sequence[str], sha256: Sequence[str]
    ) -> None:
        """Write again what `append_images` wrote of some images, by ascending number."""
        for name, values in image_columns(status, message, sha256).items():
            self._columns[f"images/{name}"].replace(numbers, values)

    def blank_images(self, numbers: np.ndarray, crops: int) -> None:
        """Replace all that is known of images, by ascending number, and their rows by zeros, with right checksums."""
        for name, column in self._columns.items():
            places = numbers
            if name.startswith("layers/"):
                places = (numbers[:, None] * crops + np.arange(crops)).ravel()
            stored = self._file[name]
            column.replace(places, np.zeros((len(places), *stored.shape[1:]), stored.dtype))

    def strings(self, name: str, count: int) -> list[str]:
        """The first `count` entries of a text column, whatever the checksums of chunks that are not full yet."""
        return [value.decode() for value in read_rows(self._file[name], count).tolist()]

    def nonzero(self, name: str, count: int) -> list[int]:
        """Which of the first `count` entries of a column are not zero."""
        return [int(number) for number in np.flatnonzero(read_rows(self._file[name], count))]

    def put(self, layer: str, name: str, values: np.ndarray) -> None:
        """Write a whole dataset below a group of the layer's name (moments: mean, std ...)."""
        layers = self._file["layers"]
        group = layers.get(layer)
        if group is None:
            group = layers.create_group(layer)
            group.attrs["order"] = np.int64(len(layers) - 1)
        self._put(group, name, values)

    def put_table(self, name: str, values: np.ndarray, **attributes: float | str) -> None:
        """Write a whole dataset beside the layers, GROUP/NAME or NAME, and attributes of that group."""
        where, _, own = name.rpartition("/")
        group = self._file.require_group(where) if where else self._file
        self._put(group, own, values)
        for key, value in attributes.items():
            _set_attribute(group, key, value)

    def put_classes(self, classes: Sequence[str]) -> None:
        """Write the names of the classes of a file without images."""
        create_classes(self._file, classes)

    def describe(self, layer: str, **attributes: int | str) -> None:
        """Set attributes of a layer."""
        for name, value in attributes.items():
            _set_attribute(self._file["layers"][layer], name, value)

    def _put(self, group: h5py.Group, name: str, values: np.ndarray) -> None:
        column = Appender(create_column(group, name, values.shape, values.dtype))
        column.append(values)
        column.flush()

    def commit(self) -> None:
        """Everything appended so far is on the disk when this returns."""
        for column in self._columns.values():
            column.flush()
        self._file.flush()
        if self._behind is not None:
            self._behind.wait()
            os.fsync(self._file.id.get_vfd_handle())

    def set_fingerprint(self, fingerprint: str) -> None:
        """Replace the fingerprint in place (it has a fixed length)."""
        self._file.attrs.modify("fingerprint", _digest(fingerprint))

    def abandon(self) -> None:
        """Close without writing what was not committed."""
        if self._behind is not None:
            self._behind.close()
        if self._open:
            self._open = False
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                if self._behind is None:
                    self._file.close()
                else:
                    close_without_writing(self._file)

    def close(self) -> None:
        """Commit and close. Raises ValueError if rows are missing.

        As it closes HDF5 writes that nobody has the file open: whoever needs that on the disk syncs the file.
        """
        if not self._open:
            return
        for name, column in self._columns.items():
            if column.rows != len(self._file[name]):
                raise ValueError(f"{name} should have {len(self._file[name])} rows, found {column.rows}")
        self.commit()
        self._open = False
        if self._behind is None:
            content = self._file.id.get_file_image()
            self._file.close()
            with open(self._path, "r+b") as file:  # written over, not replaced: whoever holds a lock on it keeps it
                file.write(content)
                file.truncate()
        else:
            close_written(self._file)
        seal(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.abandon()


def _set_attribute(item: h5py.HLObject, name: str, value: Any) -> None:
    """Text has fixed length: what has variable length lies in HDF5's global heap, where a damaged file can hang it."""
    if not isinstance(value, str):
        item.attrs[name] = np.int64(value) if isinstance(value, int) else value
        return
    content = value.encode("utf-8", "backslashreplace")
    if len(content) > ATTRIBUTE_BYTES:
        raise BadInput(
            f"The {name} of a file should take at most {ATTRIBUTE_BYTES:,} bytes. Found: {len(content):,}, "
            f"{value[:60]} ... Choose fewer layers with --layers."
        )
    item.attrs[name] = np.array(content, h5py.string_dtype("utf-8", max(1, len(content))))


def _digest(fingerprint: str) -> np.ndarray:
    return np.array(fingerprint.encode(), f"S{DIGEST_LENGTH}")
