"""Spans of a stream's rows as tasks: what every worker of a cluster makes of its own, and the whole of them again."""

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
from fne_cli.tasks.parts import Parts
from fne_cli.tasks.place import Place, Result, visible

_BLOCK_BYTES = 1 << 25  # read at once


def tasks_of(
    stream: RowStream, jobs: Iterable[tuple[str, FileRows | RowBlock]], settings: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Plain settings of a task for each span of the stream's parts or tasks, and how many rows it has."""
    paths = [os.path.abspath(path) for path in stream.files.paths]
    own = {**settings, "paths": paths, "batch_size": stream.batch_rows}
    spans = stream.spans(jobs)
    return [{**own, "span": [first, last]} for first, last, _ in spans], [rows for *_, rows in spans]


def leave(place: Place, batches: Iterable[tuple[str, np.ndarray]], progress: Progress) -> Result:
    """Write what comes, (layer, rows), behind one another: a file for each layer. Returns how many rows each has."""
    runs: list[tuple[str, int]] = []
    with progress.track(0, "rows") as advance:
        for name, batches_of_layer in groupby(batches, key=lambda pair: pair[0]):
            count = 0
            with place.writing(f"rows-{len(runs)}") as file:
                for _, rows in batches_of_layer:
                    file.write(np.ascontiguousarray(rows).data)
                    count += len(rows)
                    advance(len(rows))
            runs.append((name, count))
    return {"runs": runs}


def arriving(
    parts: Parts, function: str, tasks: Sequence[Mapping[str, Any]], sizes: Sequence[int], specs: Sequence[Layer]
) -> Iterator[tuple[Result, Iterator[tuple[str, np.ndarray]]]]:
    """For each task, in order, its result and what it left: (layer, rows) as `specs` says, some rows at a time."""
    layers = {spec.name: spec for spec in specs}
    for found, place in parts.results(function, tasks, "rows", sizes):
        yield found, _rows(place, [(layers[name], count) for name, count in found["runs"]])


def _rows(place: Place, runs: Sequence[tuple[Layer, int]]) -> Iterator[tuple[str, np.ndarray]]:
    for number, (layer, count) in enumerate(runs):
        path, left = visible(place.path(f"rows-{number}")), count
        step = max(1, _BLOCK_BYTES // max(1, layer.row_bytes))
        with open(path, "rb") as file:
            while left:
                values = np.fromfile(file, layer.dtype, min(step, left) * layer.features)
                if len(values) < min(step, left) * layer.features:
                    raise DamagedFile(f"{path} should have {count:,} rows. Found: fewer.\nRemove {place.folder}.")
                yield layer.name, values.reshape(-1, *layer.row_shape)
                left -= min(step, left)
