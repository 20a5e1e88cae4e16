"""activations -> moments: mean, standard deviation, extremes and zeros of every feature over the training images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.codes import ternary
from fne_cli.numerics.statistics.moments import Moments, Sums
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Layer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.stream import EVERYTHING, RowStream, refuse_infinite
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.up_to_date import up_to_date
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.files import Result, TaskFiles, check_same_file, open_inputs, task
from fne_cli.tasks.output import streamed_output
from fne_cli.tasks.parts import Parts
from fne_cli.tasks.spans import read_rows, span_tasks, write_rows


@dataclass(frozen=True)
class Normalized:
    """The file, the rows it was computed from and their name, features, and which of these are constant.

    constant: the column numbers of each layer that has any. standardized: whether z-scores were written now.
    """

    path: Path
    rows: str
    count: int
    features: int = 0
    constant: dict[str, list[int]] = field(default_factory=dict)
    up_to_date: bool = False
    standardized: bool = False


def normalize(
    activations: Path | Sequence[Path],
    moments: Path,
    *,
    rows: str | None = None,
    standardized: Path | None = None,
    batch_size: int = 32768,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress = SILENT,
) -> Normalized:
    """Write count, mean, std, minimum, maximum and zeros of each feature over the chosen rows of one or more files.

    rows: "train" (default if there are splits), "all", or any split. standardized: a file for the z-scores of all rows,
    float32. Memory holds `batch_size` rows, or one chunk. With a `cluster`, its workers read the rows.
    """
    if standardized is not None and standardized.resolve() == moments.resolve():
        raise BadInput(f"The z-scores should be a file of their own. Found: {moments} for them and the moments.")
    with JoinedFiles(activations) as files:
        name, chosen = files.chosen(rows)
        count = int(chosen.sum()) * files.crops
        origin, scores = _origins(files, name, rows, moments)
        done = up_to_date(moments, origin, overwrite, progress)
        wanted = standardized is not None and not up_to_date(standardized, scores, overwrite, progress)
        if absent := files.absent:
            progress.note(absent)
        if rows is None and name == "all" and not done:
            progress.note(f"{files.name} has no splits: the moments are those of all {count:,} rows")
        stream = RowStream(files, batch_size)
        result = Normalized(moments, name, count, up_to_date=True)
        if not done:
            table = _write_moments(stream, chosen, moments, origin, cluster, progress)
            constant = {layer: np.flatnonzero(part.constant).tolist() for layer, part in table.items()}
            features = sum(len(part.mean) for part in table.values())
            result = Normalized(moments, name, count, features, {k: v for k, v in constant.items() if v})
        if standardized is not None and wanted:
            _write_scores(stream, moments, standardized, scores, cluster, progress)
            result = Normalized(**{**vars(result), "standardized": True})
        return result


def _origins(files: JoinedFiles, name: str, asked: str | None, moments: Path) -> tuple[Origin, Origin]:
    """Of the moments of the rows `name`, and of the z-scores. asked: the rows that the command named, if any."""
    inputs = {"activations": files.paths}
    origin = Origin(
        "moments",
        {"rows": name, "activations": files.settings},
        sorted(files.sources(), key=lambda source: source["fingerprint"]),
        inputs,
        inherited=("activations", *(() if asked else ("rows",))),
        network=files.settings,
    )
    scores = Origin(
        "standardized",
        {"moments_rows": name, "crops": files.crops, "activations": files.settings},
        [*files.sources(), {"kind": "moments", "fingerprint": origin.fingerprint}],
        {**inputs, "moments": (moments,)},
        inherited=("activations", "crops", *(() if asked else ("moments_rows",))),
        network=files.settings,
        images=lambda: files.images,
    )
    return origin, scores


def _write_moments(
    stream: RowStream,
    chosen: np.ndarray,
    path: Path,
    origin: Origin,
    cluster: Cluster | None,
    progress: Progress,
) -> dict[str, Moments]:
    files, table = stream.files, {}
    with streamed_output(path, origin, files, cluster) as (writer, parts):
        totals = _nothing(files)
        if parts is None:
            _add_up(totals, stream, chosen, progress)
        else:
            for layer, sums in _added_up(parts, stream, origin.settings["rows"]):
                totals[layer].merge(sums)
        for layer, total in totals.items():
            table[layer] = total.moments()
            for dataset, values in table[layer].datasets().items():
                writer.put(layer, dataset, values)
            writer.describe(layer, rows=total.count)
    return table


def _nothing(files: JoinedFiles) -> dict[str, Sums]:
    return {layer: Sums(readers[0].features) for layer, readers in files.layers.items()}


def _add_up(
    totals: Mapping[str, Sums],
    stream: RowStream,
    chosen: np.ndarray,
    progress: Progress,
    span: Sequence[int | None] = EVERYTHING,
) -> None:
    """Add the chosen rows of all parts of the stream, or of a span. Raises DamagedFile for one that is not finite."""
    with progress.track(stream.files.rows * len(totals), "rows") as advance:
        for layer, part, sums in stream.fold(chosen, Sums, Sums.add, span):
            if not sums.finite:
                refuse_infinite(stream.files, layer, part, chosen)
            totals[layer].merge(sums)
            advance(part.stop - part.start)


def _added_up(parts: Parts, stream: RowStream, rows: str) -> Iterator[tuple[str, Sums]]:
    """What the rows of each layer add up to in each of the workers' spans, in order."""
    tasks, sizes = span_tasks(parts, stream, stream.file_rows(), {"rows": rows})
    for found, files in parts.results("moments", tasks, "sums", sizes):
        for number, (layer, count) in enumerate(found["counts"]):
            yield layer, Sums.of_state(count, files.load(f"sums-{number}"))


@task
def add_up_span(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: add up the chosen rows of a span of the stream's parts."""
    with open_inputs(settings) as source:
        totals = _nothing(source)
        _, chosen = source.chosen(settings["rows"])
        _add_up(totals, RowStream(source, settings["batch_size"]), chosen, progress, settings["span"])
    found = [(layer, sums) for layer, sums in totals.items() if sums.count]
    files.save(**{f"sums-{number}": sums.state for number, (_, sums) in enumerate(found)})
    return {"counts": [(layer, sums.count) for layer, sums in found]}


def _write_scores(
    stream: RowStream,
    moments: Path,
    path: Path,
    origin: Origin,
    cluster: Cluster | None,
    progress: Progress,
) -> None:
    files = stream.files
    with open_file(moments, "moments") as statistics:
        table, beside = statistics.moments(), {moments: statistics.fingerprint}
    specs = [
        Layer(name, (readers[0].features,), np.dtype(np.float32), readers[0].attrs)
        for name, readers in files.layers.items()
    ]
    more: dict[str, Any] = {"layers": specs, "beside": beside}
    with streamed_output(path, origin, files, cluster, **more) as (writer, parts):
        if parts is None:
            with progress.track(files.rows * len(specs), "rows") as advance:
                for name, rows in _scores(stream, table):
                    writer.append(name, rows)
                    advance(len(rows))
        else:
            tasks, sizes = span_tasks(parts, stream, stream.row_blocks(), {"moments": os.path.abspath(moments)})
            for _, batches in read_rows(parts, "scores", tasks, sizes, specs):
                for name, rows in batches:
                    writer.append(name, rows)


def _scores(
    stream: RowStream, table: Mapping[str, Mapping[str, np.ndarray]], span: Sequence[int | None] = EVERYTHING
) -> Iterator[tuple[str, np.ndarray]]:
    scores = {name: ternary.Scores(part["mean"], part["std"]).write for name, part in table.items()}
    return stream.transform(scores, np.float32, np.nan, lambda rows: rows, span)


@task
def scores_of_span(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: the z-scores of a span of the stream's rows."""
    moments = Path(settings["moments"])
    with open_inputs(settings) as source, open_file(moments, "moments") as statistics:
        check_same_file(moments, statistics.fingerprint, settings["inputs"])
        stream = RowStream(source, settings["batch_size"])
        return write_rows(files, _scores(stream, statistics.moments(), settings["span"]), progress)
