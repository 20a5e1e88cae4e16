"""activations -> moments: mean, standard deviation, extremes and zeros of every feature over the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics import ternary
from fne_cli.numerics.checksums import fletcher32
from fne_cli.numerics.moments import Moments, Sums
from fne_cli.progress import SILENT, Progress
from fne_cli.store.existing import up_to_date
from fne_cli.store.finite import refuse_infinite
from fne_cli.store.output import Output
from fne_cli.store.reader import open_file
from fne_cli.store.schema import Layer, fingerprint
from fne_cli.store.several import Several
from fne_cli.store.software import software
from fne_cli.store.stream import Stream, copy_images
from fne_cli.store.writer import Writer


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
    progress: Progress = SILENT,
) -> Normalized:
    """Write count, mean, std, minimum, maximum and zeros of each feature over the chosen rows of one or more files.

    rows: "train" (default if there are splits), "all", or any split. standardized: a file for the z-scores of all rows,
    float32. Memory holds `batch_size` rows, or one chunk.
    """
    paths = (activations,) if isinstance(activations, Path) else tuple(activations)
    if standardized is not None and standardized.resolve() == moments.resolve():
        raise BadInput(f"The z-scores should be a file of their own. Found: {moments} for them and the moments.")
    with Several(paths) as files:
        name, chosen = files.chosen(rows)
        count = int(chosen.sum()) * files.crops
        settings = {"rows": name, "activations": files.settings}
        sources = sorted(files.sources(), key=lambda source: source["fingerprint"])
        done = up_to_date(moments, "moments", settings, sources, overwrite, paths)
        scores_settings = {"moments_rows": name, "crops": files.crops, "activations": files.settings}
        scores_sources = [
            *files.sources(),
            {"kind": "moments", "fingerprint": fingerprint("moments", settings, sources)},
        ]
        wanted = standardized is not None and not up_to_date(
            standardized, "standardized", scores_settings, scores_sources, overwrite, (*paths, moments)
        )
        if rows is None and name == "all" and not done:
            progress.note(f"{files.name} has no splits: the moments are those of all {count:,} rows")
        stream = Stream(files, batch_size, fletcher32)
        result = Normalized(moments, name, count, up_to_date=True)
        if not done:
            table = _write_moments(stream, chosen, moments, settings, sources, progress)
            constant = {layer: np.flatnonzero(part.constant).tolist() for layer, part in table.items()}
            features = sum(len(part.mean) for part in table.values())
            result = Normalized(moments, name, count, features, {k: v for k, v in constant.items() if v})
        if standardized is not None and wanted:
            _write_scores(stream, moments, standardized, scores_settings, scores_sources, progress)
            result = Normalized(**{**vars(result), "standardized": True})
        return result


def _write_moments(
    stream: Stream, chosen: np.ndarray, path: Path, settings: dict[str, Any], sources: Any, progress: Progress
) -> dict[str, Moments]:
    files = stream.files
    table = {}
    with (
        Output(path) as output,
        Writer.create(
            output.partial,
            "moments",
            [],
            0,
            settings=settings,
            sources=sources,
            software=software("numba"),
            fingerprint=fingerprint("moments", settings, sources),
        ) as writer,
        progress.track(files.rows * len(files.layers), "rows") as advance,
    ):
        totals = {name: Sums(readers[0].features) for name, readers in files.layers.items()}
        for name, part, sums in stream.fold(chosen, Sums, Sums.add):
            if not sums.finite:
                refuse_infinite(files, name, part, chosen)
            totals[name].merge(sums)
            advance(part.stop - part.start)
        for name, total in totals.items():
            table[name] = total.moments()
            for dataset, values in table[name].datasets().items():
                writer.put(name, dataset, values)
            writer.describe(name, rows=total.count)
        writer.close()
        output.accept()
    return table


def _write_scores(
    stream: Stream, moments: Path, path: Path, settings: dict[str, Any], sources: Any, progress: Progress
) -> None:
    files = stream.files
    with open_file(moments, "moments") as statistics:
        table = statistics.moments()
    specs = [
        Layer(name, (readers[0].features,), np.dtype(np.float32), readers[0].attrs)
        for name, readers in files.layers.items()
    ]
    with (
        Output(path) as output,
        Writer.create(
            output.partial,
            "standardized",
            specs,
            files.rows,
            settings=settings,
            sources=sources,
            software=software("numba"),
            fingerprint=fingerprint("standardized", settings, sources),
            table=files.table(),
            checksum=fletcher32,
        ) as writer,
        progress.track(files.rows * len(specs), "rows") as advance,
    ):
        copy_images(files, writer)
        scores = {name: ternary.Scores(part["mean"], part["std"]).write for name, part in table.items()}
        for name, rows in stream.transform(scores, np.float32, np.nan, lambda rows: rows):
            writer.append(name, rows)
            advance(len(rows))
        writer.close()
        output.accept()
