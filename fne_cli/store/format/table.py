"""The image table of a file to be: its columns, and how they are created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.store.format.chunks import create_column
from fne_cli.store.format.columns import text_bytes, text_column
from fne_cli.store.format.schema import DIGEST_LENGTH, MESSAGE_BYTES, Images


@dataclass(frozen=True)
class Table:
    """The image table to be: its rows, for each column the shape of an entry and its type, and the classes."""

    rows: int
    columns: Mapping[str, tuple[tuple[int, ...], Any]]
    classes: Sequence[str]

    @classmethod
    def of(cls, images: Images) -> Self:
        """One that holds `images`."""
        columns = {
            "path": ((), h5py.string_dtype("utf-8", text_bytes(images.path))),
            "split": ((), h5py.string_dtype("utf-8", text_bytes(images.split))),
            "label": (images.label.shape[1:], images.label.dtype),
            "status": ((), np.dtype(np.uint8)),
            "message": ((), h5py.string_dtype("utf-8", MESSAGE_BYTES)),
            "sha256": ((), h5py.string_dtype("utf-8", DIGEST_LENGTH)),
        }
        return cls(len(images), columns, images.classes)


def create_images(file: h5py.File, table: Table) -> None:
    """Create the columns of the image table, empty, and write the classes."""
    group = file.create_group("images")
    for name, (shape, dtype) in table.columns.items():
        create_column(group, name, (table.rows, *shape), dtype)
    create_classes(file, table.classes)


def create_classes(file: h5py.File, classes: Sequence[str]) -> None:
    """Write the names of the classes."""
    file.create_dataset("classes", data=text_column(classes), track_times=False)


def image_columns(status: np.ndarray, message: Sequence[str], sha256: Sequence[str]) -> dict[str, np.ndarray]:
    """What is known of an image only once it has been read, as the columns have it."""
    return {
        "status": np.asarray(status, np.uint8),
        "message": text_column(message, MESSAGE_BYTES),
        "sha256": text_column(sha256, DIGEST_LENGTH),
    }
