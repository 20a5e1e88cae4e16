"""The shards of an extraction as the one file that an unsharded run would have written, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import WrongFile
from fne_cli.progress import Progress
from fne_cli.store.format.schema import Layer, fingerprint_of_blocks, without_shard
from fne_cli.store.format.writer import Writer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.stream import RowStream, copy_images
from fne_cli.store.output.partial import Output


class Shards(JoinedFiles):
    """All shards of one extraction, in any order. Raises MissingShards, or WrongFile for any others."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths, "activations", complete=True)
        counts = self.counts
        if len(counts) > 1 and not self.interleaved:
            expected, lengths = self.files[0].settings["shard"]["images"], ", ".join(map(str, counts[:9]))
            self.close()
            raise WrongFile(
                f"The shards should have {expected:,} images, spread evenly. Found: {sum(counts):,} ({lengths})."
            )
        self.settings = without_shard(self.settings)

    def fingerprint(self) -> str:
        """Of the whole."""
        return fingerprint_of_blocks(self.kind, self.settings, [], self.blocks(), self.classes)


def write_merged(
    shards: Shards, path: Path, batch_rows: int, progress: Progress, record: Mapping[str, Any] | None = None
) -> None:
    """Write the whole to `path`, at most `batch_rows` rows of a layer in memory; `record` goes to its run record."""
    specs = [
        Layer(name, readers[0].shape[1:], readers[0].dtype, readers[0].attrs) for name, readers in shards.layers.items()
    ]
    with (
        Output(path) as output,
        Writer.create(
            output.into,
            shards.kind,
            specs,
            shards.rows,
            settings=shards.settings,
            sources=[],
            software=shards.files[0].software,
            table=shards.table(),
        ) as writer,
        progress.track(shards.rows * len(specs), "rows") as advance,
    ):
        copy_images(shards, writer)
        for spec in specs:
            stream = RowStream(shards, batch_rows, [spec.name])
            for _, rows in stream.transform({spec.name: _copy}, spec.dtype, np.nan, lambda rows: rows):
                writer.append(spec.name, rows.reshape(-1, *spec.row_shape))
                advance(len(rows))
        writer.commit()
        writer.set_fingerprint(shards.fingerprint())
        writer.close()
        output.accept(record)


def _copy(rows: np.ndarray, out: np.ndarray) -> None:
    out[:] = rows
