"""Spans of a stream's rows as tasks: what every worker of a cluster makes of its own, and the whole of them again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.progress import Progress
from fne_cli.store.parts import Parts, Place, Result, visible
from fne_cli.store.schema import Layer
from fne_cli.store.several import Part, Task
from fne_cli.store.stream import Stream


def tasks_of(
    stream: Stream, jobs: Iterable[tuple[str, Part | Task]], settings: Mapping[str, Any]
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
) -> Iterator[tuple[Result, list[tuple[str, np.ndarray]]]]:
    """For each task, in order, its result and what it left: (layer, rows) as `specs` says, memory-mapped."""
    layers = {spec.name: spec for spec in specs}
    for found, place in parts.results(function, tasks, "rows", sizes):
        runs = enumerate(found["runs"])
        yield found, [(name, _mapped(place, number, count, layers[name])) for number, (name, count) in runs]


def _mapped(place: Place, number: int, rows: int, layer: Layer) -> np.ndarray:
    path, shape = visible(place.path(f"rows-{number}")), (rows, *layer.row_shape)
    if not np.prod(shape):
        return np.empty(shape, layer.dtype)
    try:
        return np.memmap(path, layer.dtype, "r", shape=shape)
    except (OSError, ValueError) as error:
        raise DamagedFile(f"{path} should have {rows:,} rows. Found: {error}.\nRemove {place.folder}.") from error
