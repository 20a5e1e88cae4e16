"""What an output will take, before any work is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fne_cli.errors import DoesNotFit
from fne_cli.store.format.chunks import stored_bytes
from fne_cli.store.format.columns import text_bytes
from fne_cli.store.format.schema import DIGEST_LENGTH, MESSAGE_BYTES, Images, Layer


@dataclass(frozen=True)
class SizeEstimate:
    """Rows, features, and bytes of the file; bytes that are free for it."""

    rows: int
    features: int
    file_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows x {self.features:,} features, {human(self.file_bytes)}; "
            f"{human(self.free_bytes)} free on the disk"
        )


def estimate(output: Path, layers: Sequence[Layer], images: Images, rows: int) -> SizeEstimate:
    """The estimate for a file at `output`. Blocks that an interrupted run has already written count as free."""
    classes = len(images.classes) * text_bytes(images.classes)
    table = (text_bytes(images.path), text_bytes(images.split), DIGEST_LENGTH, MESSAGE_BYTES, 1)
    label_bytes = images.label.nbytes // max(1, len(images))
    size = classes + sum(stored_bytes(width, len(images), 1) for width in table)
    size += stored_bytes(label_bytes, len(images), images.label.ndim)
    size += sum(stored_bytes(layer.row_bytes, rows, 1 + len(layer.row_shape)) for layer in layers)
    folder = output.absolute().parent
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    partial = output.with_name(output.name + ".partial")
    if partial.exists():
        free += os.stat(partial).st_blocks * 512
    return SizeEstimate(rows, sum(layer.features for layer in layers), size, free)


def check_fits(output: Path, wanted: SizeEstimate) -> None:
    """Raises DoesNotFit if the disk is too small."""
    if wanted.file_bytes > wanted.free_bytes:
        raise DoesNotFit(
            f"{output} would take {wanted.file_bytes:,} bytes ({wanted.rows:,} rows x {wanted.features:,} features). "
            f"Free on its disk: {wanted.free_bytes:,}.\n"
            "Use another disk, fewer --layers, or --dtype float16 (half the size)."
        )


def human(size: float) -> str:
    """Bytes as a person reads them: 48.7 KB, 1.2 GB."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
