"""Spans of a stream's rows as tasks: what every worker makes of its own, written, and the whole of them read again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.progress import Progress
from fne_cli.store.format.schema import Layer
from fne_cli.store.many.joined import FileRows, RowBlock
from fne_cli.store.many.stream import RowStream
from fne_cli.tasks.files import Result, TaskFiles, wait_for
from fne_cli.tasks.parts import Parts

_BLOCK_BYTES = 1 << 25  # read at once


def span_tasks(
    parts: Parts, stream: RowStream, blocks: Iterable[tuple[str, FileRows | RowBlock]], settings: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Plain settings of a task for each span of the stream's blocks, and how many rows it has."""
    paths = [os.path.abspath(path) for path in stream.files.paths]
    own = {**settings, "paths": paths, "batch_size": stream.batch_rows}
    spans = stream.spans(blocks, parts.sizes.row_bytes)
    return [{**own, "span": [first, last]} for first, last, _ in spans], [rows for *_, rows in spans]


def write_rows(files: TaskFiles, batches: Iterable[tuple[str, np.ndarray]], progress: Progress) -> Result:
    """Write what comes, (layer, rows), behind one another: a file for each layer. Returns how many rows each has."""
    runs: list[tuple[str, int]] = []
    with progress.track(0, "rows") as advance:
        for name, batches_of_layer in groupby(batches, key=lambda pair: pair[0]):
            count = 0
            with files.writing(f"rows-{len(runs)}") as file:
                for _, rows in batches_of_layer:
                    file.write(np.ascontiguousarray(rows).data)
                    count += len(rows)
                    advance(len(rows))
            runs.append((name, count))
    return {"runs": runs}


def read_rows(
    parts: Parts, function: str, tasks: Sequence[Mapping[str, Any]], sizes: Sequence[int], specs: Sequence[Layer]
) -> Iterator[tuple[Result, Iterator[tuple[str, np.ndarray]]]]:
    """For each task, in order, its result and the rows that it wrote: (layer, rows) as `specs` says, some at a time."""
    layers = {spec.name: spec for spec in specs}
    for found, files in parts.results(function, tasks, "rows", sizes):
        yield found, _rows(files, [(layers[name], count) for name, count in found["runs"]])


def _rows(files: TaskFiles, runs: Sequence[tuple[Layer, int]]) -> Iterator[tuple[str, np.ndarray]]:
    for number, (layer, count) in enumerate(runs):
        path, left = wait_for(files.path(f"rows-{number}")), count
        step = max(1, _BLOCK_BYTES // max(1, layer.row_bytes))
        with open(path, "rb") as file:
            while left:
                values = np.fromfile(file, layer.dtype, min(step, left) * layer.features)
                if len(values) < min(step, left) * layer.features:
                    raise DamagedFile(f"{path} should have {count:,} rows. Found: fewer.\nRemove {files.folder}.")
                yield layer.name, values.reshape(-1, *layer.row_shape)
                left -= min(step, left)
