"""A folder that TensorBoard's Embedding Projector reads: tensors, what is known of each row, pictures, and a config."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from fne_cli.errors import BadInput
from fne_cli.progress import Progress
from fne_cli.steps.export.told import Told
from fne_cli.store.other.cells import as_cell
from fne_cli.store.other.matrix import Matrix, MatrixBatch
from fne_cli.store.other.predictions import is_right, label_names
from fne_cli.store.other.tables import numbers, texts
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded

TENSORS, METADATA, SPRITE, CONFIG = "tensors.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt"

MOST = 100_000  # rows that the projector asks TensorBoard for
_SHEET, _SIDE = 8192, 64  # pixels: of a sprite at most, as its documentation says; of a picture in it at most


class Projector:
    """The files of a folder; each is noted as this export's. pictures: whether there is a sprite."""

    def __init__(self, folder: Path, digest: str, origin: Origin, pictures: bool) -> None:
        self._folder, self._digest, self._origin = folder, digest, origin
        self._names = (TENSORS, METADATA, *((SPRITE,) if pictures else ()), CONFIG)  # the config is accepted last

    def are_there(self, overwrite: bool, what: str, progress: Progress) -> bool:
        """Whether all are; the folder is made if need be. Raises DifferentOutput if one is another's."""
        try:
            os.makedirs(self._folder, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self._folder} should be a folder for TensorBoard. Found: {error.strerror}.") from error
        found = [
            is_recorded(self._folder / name, self._of(name), self._origin, overwrite, what, progress)
            for name in self._names
        ]
        return all(found)

    def _of(self, name: str) -> str:
        return hashlib.sha256(f"{name} {self._digest}".encode()).hexdigest()

    def write(self, matrix: Matrix, batches: Iterator[MatrixBatch], told: Told, progress: Progress) -> None:
        """All of them, the config last: without it TensorBoard shows nothing."""
        with ExitStack() as stack:
            open_files = {name: stack.enter_context(Output(self._folder / name)) for name in self._names}
            paths: list[str] = []
            with (
                open(open_files[TENSORS].into, "w", encoding="utf-8") as tensors,
                open(open_files[METADATA].into, "w", encoding="utf-8") as metadata,
            ):
                metadata.write("\t".join(_head(matrix, told)) + "\n")
                for rows in batches:
                    tensors.writelines("\t".join(map(str, numbers(values))) + "\n" for values in rows.values)
                    metadata.writelines("\t".join(line) + "\n" for line in _lines(rows, matrix, told))
                    if SPRITE in open_files and len(paths) < MOST:
                        paths += texts(rows.path)
            config = f'  tensor_name: "images"\n  tensor_path: "{TENSORS}"\n  metadata_path: "{METADATA}"\n'
            if SPRITE in open_files:
                side = side_of(min(MOST, matrix.shape[0]))
                told.write_sheet(open_files[SPRITE].into, paths[:MOST], side, progress)
                config += f'  sprite {{\n    image_path: "{SPRITE}"\n    single_image_dim: {side}\n'
                config += f"    single_image_dim: {side}\n  }}\n"
            open_files[CONFIG].into.write_text(f"embeddings {{\n{config}}}\n", encoding="utf-8")
            if matrix.shape[0] > MOST:
                progress.note(f"TensorBoard shows the first {MOST:,} of {matrix.shape[0]:,} rows")
            for name, output in open_files.items():
                output.accept_noted({"fingerprint": self._of(name), **self._origin.noted_whole(output.path)})


def side_of(count: int) -> int:
    """Of the pictures in a sprite of so many, which is a square of squares, in pixels."""
    across = max(1, -(-_SHEET // _SIDE))
    while across * across < count:
        across += 1
    return min(_SIDE, _SHEET // across)


def _head(matrix: Matrix, told: Told) -> list[str]:
    """The class first: TensorBoard writes the first column beside the points."""
    crop = ["crop"] if matrix.crops > 1 else []
    return ["label", "split", "path", *crop, *(["prediction", "right"] if told.said is not None else [])]


def _lines(rows: MatrixBatch, matrix: Matrix, told: Told) -> Iterator[list[str]]:
    """Cells of the table, which has no quotes: `as_cell` writes tabs and ends of lines as escapes."""
    labels = label_names(rows.label, matrix.classes)
    for label, split, path, crop in zip(labels, texts(rows.split), texts(rows.path), rows.crop.tolist(), strict=True):
        line = [as_cell(label), as_cell(split), as_cell(path)]
        if matrix.crops > 1:
            line.append(str(crop))
        if told.said is not None:
            guess = told.said.get(path, "")
            right = ("yes" if is_right(label, guess) else "no") if label and guess else ""
            line += [as_cell(guess), right]
        yield line
