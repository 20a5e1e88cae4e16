"""Writing a file of the format: created whole, then filled row by row."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.store.chunks import Appender, create_column, read_rows, replace_rows
from fne_cli.store.schema import DIGEST_LENGTH, FORMAT, MESSAGE_BYTES, VERSION, Images, Layer, canonical_json


def text_column(values: Sequence[str], size: int | None = None) -> np.ndarray:
    """Strings as a fixed-length UTF-8 column of `size` bytes (default: fits all); longer ones are cut."""
    encoded = [value.encode() for value in values]
    if size is None:
        size = max((len(value) for value in encoded), default=1)
    cut = [value if len(value) <= size else value[:size].decode(errors="ignore").encode() for value in encoded]
    return np.array(cut, dtype=h5py.string_dtype("utf-8", max(1, size)))


class Writer:
    """A file under construction at `path` (an OUTPUT.partial). Use as a context manager."""

    def __init__(self, file: h5py.File, checksum: Callable[[np.ndarray], int] | None = None) -> None:
        self._file = file
        self._checksum = checksum
        self._columns: dict[str, Appender] = {}

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
        fingerprint: str = "0" * DIGEST_LENGTH,
        images: Images | None = None,
        checksum: Callable[[np.ndarray], int] | None = None,
    ) -> Self:
        """A new file with `rows` rows in every layer. With `images`, the image table is written now and complete.

        `checksum` is a fast Fletcher-32 of (bytes,) uint8, for files written faster than HDF5 computes its own.
        """
        # The chunk cache is of no use to a writer of whole chunks, and costs a megabyte for each layer.
        file = h5py.File(path, "w", locking=False, rdcc_nbytes=0)
        file.attrs["format"] = FORMAT
        file.attrs["version"] = np.int64(VERSION)
        file.attrs["kind"] = kind
        file.attrs["fingerprint"] = np.array(fingerprint.encode(), f"S{DIGEST_LENGTH}")
        for name, value in (("settings", settings), ("sources", sources), ("software", software)):
            _json_attribute(file, name, value)
        writer = cls(file, checksum)
        if images is not None:
            writer._create_images(images)
        group = file.create_group("layers")
        for number, layer in enumerate(layers):
            dataset = create_column(group, layer.name, (rows, *layer.row_shape), layer.dtype)
            dataset.attrs["order"] = np.int64(number)
            for key, value in layer.attrs.items():
                dataset.attrs[key] = value
        file.flush()
        return writer

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Go on with a file that `create` made."""
        return cls(h5py.File(path, "r+", locking=False, rdcc_nbytes=0))

    def _create_images(self, images: Images) -> None:
        group = self._file.create_group("images")
        count = len(images)
        columns = {
            "path": text_column(images.path),
            "split": text_column(images.split),
            "label": np.asarray(images.label),
            "status": np.asarray(images.status, np.uint8),
            "message": text_column(images.message, MESSAGE_BYTES),
            "sha256": text_column(images.sha256, DIGEST_LENGTH),
        }
        for name, values in columns.items():
            create_column(group, name, (count, *values.shape[1:]), values.dtype)
            column = self._column(f"images/{name}")
            column.append(values)
            column.flush()
        del self._columns["images/status"], self._columns["images/message"], self._columns["images/sha256"]
        self.set_classes(images.classes)

    def add_column(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Create an empty column of the image table, images/NAME, to be filled with `append_column`."""
        group = self._file.require_group("images")
        create_column(group, name, shape, dtype)

    def append_column(self, name: str, values: np.ndarray) -> None:
        """Add entries to a column of the image table."""
        self._column(f"images/{name}").append(values)

    def set_classes(self, classes: Sequence[str]) -> None:
        """Write the names of the classes."""
        self._file.create_dataset("classes", data=text_column(classes), track_times=False)

    def _column(self, name: str, start: int = 0) -> Appender:
        if name not in self._columns:
            self._columns[name] = Appender(self._file[name], start, self._checksum)
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

    def append_images(self, status: np.ndarray, message: Sequence[str], sha256: Sequence[str]) -> None:
        """Add what is known of an image only once it has been read."""
        self._column("images/status").append(status)
        self._column("images/message").append(text_column(message, MESSAGE_BYTES))
        self._column("images/sha256").append(text_column(sha256, DIGEST_LENGTH))

    def replace(self, name: str, row: int, values: np.ndarray) -> None:
        """Write rows again that were written before; see replace_rows."""
        replace_rows(self._file[name], row, values)

    def replace_image(self, image: int, status: np.ndarray, message: Sequence[str], sha256: Sequence[str]) -> None:
        """Write again what `append_images` wrote of one image."""
        columns = {
            "status": np.asarray(status, np.uint8),
            "message": text_column(message, MESSAGE_BYTES),
            "sha256": text_column(sha256, DIGEST_LENGTH),
        }
        for name, values in columns.items():
            replace_rows(self._file[f"images/{name}"], image, values)

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
        column = Appender(create_column(group, name, values.shape, values.dtype))
        column.append(values)
        column.flush()

    def describe(self, layer: str, **attributes: int | str) -> None:
        """Set attributes of a layer."""
        for name, value in attributes.items():
            self._file["layers"][layer].attrs[name] = np.int64(value) if isinstance(value, int) else value

    def commit(self) -> None:
        """Everything appended so far is on the disk when this returns."""
        for column in self._columns.values():
            column.flush()
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())

    def set_fingerprint(self, fingerprint: str) -> None:
        """Replace the fingerprint in place (it has a fixed length)."""
        self._file.attrs.modify("fingerprint", np.array(fingerprint.encode(), f"S{DIGEST_LENGTH}"))

    def reserve(self) -> None:
        """Have the file system set aside the file's blocks now. Raises DoesNotFit if it cannot."""
        size = os.path.getsize(self._file.filename)
        try:
            os.posix_fallocate(self._file.id.get_vfd_handle(), 0, size)
        except OSError as error:
            raise DoesNotFit(
                f"{self._file.filename} should become {size:,} bytes, which the file system refuses: {error.strerror}."
            ) from error

    def abandon(self) -> None:
        """Close without writing what was not committed."""
        if self._file.id.valid:
            self._file.close()

    def close(self) -> None:
        """Commit and close."""
        if self._file.id.valid:
            self.commit()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def _json_attribute(file: h5py.File, name: str, value: Any) -> None:
    text = canonical_json(value)
    if len(text) <= 60_000:  # an attribute of the portable layout may have 64 KiB
        file.attrs[name] = text
    else:
        raise ValueError(f"{name} takes {len(text)} bytes: {json.dumps(value)[:200]}")
